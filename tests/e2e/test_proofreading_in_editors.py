"""A person writes prose with nano: mistakes are underlined, mended by a key, and stay ignored."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from real_neovim import VERSIONS, Editor, neovim, users_lines
from real_vscode import ROOT, Window, vscode

from dgemma_lsp.accepted import DICTIONARY

pytestmark = pytest.mark.e2e

# The emoji has four bytes and two UTF-16 units.
TEXT = """\
# Notes

It is 🙂 so that this functoin returns a list of the values.

The value is returned by the the function.
"""
BYTES = len("It is 🙂 so that this ".encode())
MENDED = TEXT.replace("functoin", "function")


def underlined(editor: Editor) -> list[tuple[str, int, int]]:
    """The rule of each diagnostic, its row and its column in bytes."""
    found = editor.lua("return vim.diagnostic.get(0)")
    return sorted((one["code"], one["lnum"], one["col"]) for one in found)


def choose(editor: Editor, title: str) -> None:
    """Take a quick fix at the cursor by its title."""
    editor.lua(
        """
        local title = ...
        vim.lsp.buf.code_action({
          apply = true,
          filter = function(action) return action.title == title end,
        })
        """,
        title,
    )


EXPECTED = [("repeated", 4, 28), ("spelling", 2, BYTES)]


@pytest.mark.parametrize("version", VERSIONS)
def test_neovim_underlines_mends_and_ignores_for_good(daemon_home: Home, version: str) -> None:
    file = daemon_home.folder / f"notes-{version}.md"
    with neovim(daemon_home, users_lines(), version) as editor:
        editor.open(file, TEXT)
        until(lambda: underlined(editor) == EXPECTED, "the mistakes to be underlined")
        editor.nvim.api.win_set_cursor(0, (3, BYTES))
        choose(editor, "Change to “function”")
        editor.await_lines(MENDED.split("\n")[:-1])
        until(lambda: underlined(editor) == EXPECTED[:1], "the first mistake to go")
        editor.nvim.api.win_set_cursor(0, (5, 30))
        choose(editor, "Ignore this here")
        until(lambda: underlined(editor) == [], "what is ignored to go")
    with neovim(daemon_home, users_lines(), version) as editor:
        editor.open(file, TEXT)
        until(lambda: underlined(editor) == EXPECTED[1:], "the mistake that is not ignored")


@pytest.fixture(scope="module")
def window(daemon_home: Home) -> Iterator[Window]:
    folder = daemon_home.folder / "prose"
    folder.mkdir()
    with vscode(daemon_home, folder, commands=Path(sysconfig.get_path("scripts"))) as window:
        yield window


def test_vs_code_underlines_mends_and_learns_a_word(window: Window) -> None:
    squiggles = window.page.locator(".monaco-editor .squiggly-info, .monaco-editor .squiggly-hint")
    window.open(window.home.folder / "prose" / "notes.md", TEXT)
    until(lambda: squiggles.count() == 2, "two squiggles")
    if os.environ.get("DGEMMA_PICTURES"):
        window.page.screenshot(path=ROOT / ".pictures" / "proofread.png")

    def fix(line: int, right: int, title: str) -> None:
        row = window.page.locator(".action-widget .monaco-list-row", has_text=title).first

        # A busy VS Code opens the menu before it has asked the server what belongs into it.
        def offered() -> bool:
            window.keys("Escape")
            window.go_to(line)
            window.keys("Home", *["ArrowRight"] * right, "Control+.")
            try:
                row.wait_for(timeout=10_000)
            except PlaywrightTimeout:
                return False
            return True

        until(offered, title)
        row.click()

    fix(5, 30, "Take the second one away")
    until(lambda: squiggles.count() == 1, "one squiggle")
    window.becomes(TEXT.replace("the the", "the"))
    fix(3, 24, "Add “functoin” to the project's dictionary")
    until(lambda: squiggles.count() == 0, "no squiggle")
    assert (window.home.folder / "prose" / DICTIONARY).read_text() == "functoin\n"


def test_the_command_tells_mends_and_exits_as_git_hooks_want(daemon_home: Home) -> None:
    file = daemon_home.folder / "command.md"
    file.write_text(TEXT, encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [daemon_home.command, "proofread", *arguments, str(file)],
            env=daemon_home.env,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    code, said = run()
    assert code == 1
    assert f"{file}:3:{TEXT.splitlines()[2].index('functoin') + 1}: functoin: " in said
    assert "+The value is returned by the function." in run("--diff")[1]
    assert run("--fix")[0] == 1
    assert file.read_text(encoding="utf-8") == MENDED.replace("the the", "the")
    assert run() == (0, "")


def test_what_is_accepted_lies_in_the_user_s_own_folder(daemon_home: Home) -> None:
    kept = json.loads(daemon_home.paths.accepted.read_text())
    assert any("notes-" in uri for uri in kept["files"])
