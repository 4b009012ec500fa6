"""A person has a selection rewritten in the real VS Code: previews it, applies it, undoes it.

The model is small and random, so what it writes is any text; that it is the shipped path is real.
"""

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from real_vscode import Window, vscode

pytestmark = pytest.mark.e2e

FILE = """\
# 😋 The `dgemma` tool

It fills 3 holes in `größe.py` and tells what it did, see [the guide](https://example.org).

- one thing
- another thing
"""
PANEL = ".bulk-edit-panel"
KEPT = ["`dgemma`", "3", "`größe.py`", "[the guide](https://example.org)"]


@pytest.fixture(scope="module")
def window(instructed_home: Home) -> Iterator[Window]:
    folder = instructed_home.folder / "text"
    (folder / ".vscode").mkdir(parents=True)
    # The language server goes by the editor's settings, and so by this model.
    settings = {"dgemma.model.name": instructed_home.config.model.name}
    (folder / ".vscode" / "settings.json").write_text(json.dumps(settings))
    scripts = Path(sysconfig.get_path("scripts"))
    with vscode(instructed_home, folder, commands=scripts) as window:
        yield window


@pytest.fixture
def editor(window: Window) -> Window:
    window.open(window.home.folder / "text" / "text.md", FILE)
    until(lambda: window.status().startswith("ready"), "the model to be ready")
    return window


def rewrite(editor: Window, mode: str) -> None:
    """Select everything and choose a mode, then the first of several variants."""
    editor.keys("Control+a")
    editor.run("DGemma: Rewrite Selection…")
    row = editor.page.locator(".quick-input-list .monaco-list-row")
    row.filter(has_text=mode).first.click()
    row.filter(has_text="Variant 1").first.click()


def preview(editor: Window) -> None:
    """Wait for the preview of the refactoring."""
    editor.page.locator(f"{PANEL} .monaco-list-row").first.wait_for()


def test_the_change_is_previewed_applied_and_undone_in_one_step(editor: Window) -> None:
    rewrite(editor, "Shorten")
    preview(editor)
    assert editor.file.read_text(encoding="utf-8") == FILE

    # What asks for confirmation is not checked by itself.
    editor.page.locator(f"{PANEL} .monaco-list-row [role=checkbox]").first.click()
    editor.page.locator(PANEL).get_by_role("button", name="Apply").click()
    until(lambda: editor.text() != FILE, "the new text", patience_s=20)
    new = editor.text()
    assert all(span in new for span in KEPT)
    assert [line[:2] for line in new.split("\n")[4:6]] == ["- ", "- "]

    editor.page.locator(".monaco-editor .view-line").first.click()
    editor.keys("Control+z")
    editor.becomes(FILE)


def test_what_is_discarded_changes_nothing(editor: Window) -> None:
    rewrite(editor, "Simplify")
    preview(editor)
    editor.page.locator(PANEL).get_by_role("button", name="Discard").click()
    editor.page.locator(f"{PANEL} .monaco-list-row").first.wait_for(state="hidden")
    assert editor.text() == FILE
