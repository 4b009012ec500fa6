"""A person types in the real VS Code: ghost text appears, Tab takes it, nothing else changes."""

import itertools
import json
import os
import signal
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from real_vscode import Window, inserted, vscode

from dgemma_lsp.config import Completion

pytestmark = pytest.mark.e2e

# Characters of two, three and four bytes stand before the cursor, so that a column counted in the
# wrong unit shows.
BEFORE = '"é宽🙂"; '
FILE = f'''\
"""Kästen fester Größe 🙂 und ihre Fläche: 宽度 × 高度."""


class Box:
    def __init__(self, width, height):
        self.width = width
        {BEFORE}

    def area(self):
        {BEFORE}


NAME = "für später 🙂"
'''

# A line, counted from 1, and what is typed at its end.
ATTEMPTS = [
    (7, "self.height = "),
    (10, "return self.width * "),
    (7, "self.height = h"),
    (10, "return self.width * sel"),
    (10, "return self.wid"),
]

INDENT = " " * 8
PICTURED = f'''\
"""Boxes and what they hold."""


class Box:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def scale(self, factor):
{INDENT}
'''

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def window(daemon_home: Home) -> Iterator[Window]:
    folder = daemon_home.folder / "code"
    folder.mkdir()
    with vscode(daemon_home, folder, commands=Path(sysconfig.get_path("scripts"))) as window:
        yield window


@pytest.fixture
def editor(window: Window) -> Window:
    """The window with a file of its own for the test."""
    window.open(window.home.folder / "code" / f"größe{next(numbers)}.py", FILE)
    return window


def typed_line(text: str) -> int:
    """The line, counted from 1, that was typed into: the only one that differs from FILE."""
    pairs = enumerate(zip(text.split("\n"), FILE.split("\n"), strict=True), start=1)
    (line,) = (number for number, (now, before) in pairs if now != before)
    return line


def outcomes(home: Home) -> dict[str, int]:
    """What became of the suggestions so far, as `dgemma stats` counts it."""
    (figures, *_) = json.loads(home.dgemma("stats", "--json")) or [{}]
    return {name: figures.get(name, 0) for name in ("accepted", "partly", "rejected")}


def test_tab_takes_the_ghost_text_and_one_undo_takes_it_back(editor: Window) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    typed = editor.text()

    editor.keys("Tab")
    editor.becomes(inserted(typed, typed_line(typed), ghost))
    assert editor.ghost() != ghost

    editor.keys("Control+z")
    editor.becomes(typed)


def test_a_word_is_taken_and_the_rest_stays_to_be_taken(editor: Window) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    typed = editor.text()
    line = typed_line(typed)

    editor.keys("Control+ArrowRight")

    word = until(lambda: editor.line(line).removeprefix(typed.split("\n")[line - 1]), "a word")
    assert ghost.startswith(word)
    if word != ghost:
        until(lambda: editor.ghost() == ghost.removeprefix(word), "the rest of the ghost text")
        editor.keys("Tab")
    editor.becomes(inserted(typed, line, ghost))


def test_escape_sends_the_ghost_text_away_and_changes_nothing(editor: Window) -> None:
    editor.type_for_ghost(ATTEMPTS)
    typed = editor.text()
    before = outcomes(editor.home)

    editor.keys("Escape")

    until(lambda: not editor.ghost(), "the ghost text to go")
    assert editor.text() == typed
    until(
        lambda: outcomes(editor.home)["rejected"] == before["rejected"] + 1,
        "the rejection to be recorded",
    )


def test_what_is_typed_through_is_not_repeated(editor: Window) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    typed = editor.text()
    line = typed_line(typed)

    editor.type(ghost[0])

    until(lambda: editor.ghost() == ghost[1:], "the rest of the ghost text")
    editor.becomes(inserted(typed, line, ghost[0]))
    editor.keys("Tab")
    editor.becomes(inserted(typed, line, ghost))


def test_an_accepted_suggestion_is_told_to_the_server(editor: Window) -> None:
    editor.type_for_ghost(ATTEMPTS)
    before = outcomes(editor.home)
    editor.keys("Tab")
    until(
        lambda: outcomes(editor.home)["accepted"] == before["accepted"] + 1,
        "the acceptance to be recorded",
    )


def test_tab_without_ghost_text_indents(editor: Window) -> None:
    editor.go_to(2)
    editor.keys("Escape")
    until(lambda: not editor.ghost(), "no ghost text")
    editor.keys("Tab")
    editor.becomes(inserted(FILE, 2, "    "))


def test_typing_goes_on_after_the_daemon_was_killed(editor: Window) -> None:
    editor.type_for_ghost(ATTEMPTS)
    editor.keys("Escape")
    (daemon,) = editor.home.running("daemon")
    editor.type(" ")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    editor.keys("Backspace")

    editor.open(editor.file.with_name("again.py"), FILE)
    assert editor.type_for_ghost(ATTEMPTS)

    (again,) = editor.home.running("daemon")
    assert again.pid != daemon.pid


def test_a_killed_server_comes_back_and_restarts_never_make_two_of_it(editor: Window) -> None:
    (first,) = editor.home.running("lsp")
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: editor.home.running("lsp"), "the server to come back")

    for _ in range(3):
        editor.run("DGemma: Restart Language Server")
    until(lambda: editor.status().startswith("ready"), "the server")
    assert editor.type_for_ghost(ATTEMPTS)
    assert len(editor.home.running("lsp")) == 1


def test_the_status_item_is_ready_and_opens_its_menu(editor: Window) -> None:
    until(lambda: editor.status().startswith("ready"), "the model to be ready")

    editor.page.locator(editor.STATUS).click()
    menu = editor.page.locator(".quick-input-list .monaco-list-row")
    menu.first.wait_for()
    entries = menu.all_inner_texts()
    editor.keys("Escape")

    for entry in ("Pause completions", "Restart the language server", "Open the output"):
        assert any(entry in text for text in entries), f"{entry} is not in {entries}"


def test_paused_means_no_ghost_text_until_resumed(editor: Window) -> None:
    editor.run("DGemma: Pause Completions")
    until(lambda: editor.status().startswith("paused"), "the pause")
    editor.go_to(7)
    editor.type("self.height = hei")
    editor.run("DGemma: Resume Completions")
    until(lambda: editor.status().startswith("ready"), "the end of the pause")
    assert editor.type_for_ghost(ATTEMPTS[1:])


def test_it_is_told_why_nothing_is_shown(editor: Window) -> None:
    editor.go_to(4)
    editor.keys("ArrowLeft", "ArrowLeft")  # inside the word Box
    editor.run("DGemma: Explain Why Nothing Is Shown Here")
    assert "word" in editor.notice("DGemma: ")


def test_the_chat_runs_in_a_terminal(editor: Window) -> None:
    editor.run("DGemma: Open Chat in a Terminal")
    until(lambda: editor.home.running("chat"), "the chat to start")
    editor.run("Terminal: Kill All Terminals")
    until(lambda: not editor.home.running("chat"), "the chat to end")


def test_a_setting_reaches_the_server_when_it_is_changed(editor: Window) -> None:
    settings = editor.file.parent / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"dgemma.completion.max_lines": 0}')
    assert "max_lines" in editor.notice("completion.max_lines")


def test_the_picture_in_the_readme(window: Window) -> None:
    """With DGEMMA_TEST_PICTURES the window is kept in that folder, as the README shows it."""
    settings = window.home.folder / "code" / ".vscode" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    # As everybody has it; the other tests show whatever the model writes.
    sure = Completion().min_confidence
    settings.write_text(json.dumps({"dgemma.completion.min_confidence": sure}))
    window.run("Notifications: Clear All Notifications")
    window.open(window.home.folder / "code" / "boxes.py", PICTURED)
    places = [(13, "return self.wid"), (13, "self.width *= ")]
    assert window.type_for_ghost(places)
    if folder := os.environ.get("DGEMMA_TEST_PICTURES"):
        window.page.screenshot(path=Path(folder) / "vscode.png")
