"""A person types in the real Neovim with nano: ghost text comes, keys take it, nothing is lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from home import Home, until
from neovim_picture import look
from real_neovim import VERSIONS, Editor, neovim, users_lines

pytestmark = pytest.mark.e2e

FILE = '''\
"""Kästen fester Größe 🙂 und ihre Fläche: 宽度 × 高度."""


class Box:
    def __init__(self, width, height):
        self.width = width

    def area(self):
        return self.width * self.height


NAME = "für später 🙂"
'''

# From normal mode: go to a line, open the next one, type. Characters of two, three and four bytes
# stand before the cursor, so that a column counted in the wrong unit shows.
ATTEMPTS = [
    '6Go"é宽🙂"; self.height = ',
    '8Go"é宽🙂"; return self.width * ',
    '8Go"é宽🙂"; return self.',
    '6Go"é宽🙂"; self.height = hei',
    '8Go"é宽🙂"; return self.wid',
]


@pytest.fixture(scope="module", params=VERSIONS)
def running(daemon_home: Home, request: pytest.FixtureRequest) -> Iterator[Editor]:
    with neovim(daemon_home, users_lines(), request.param) as editor:
        yield editor


@pytest.fixture
def editor(running: Editor, daemon_home: Home) -> Editor:
    running.open(daemon_home.folder / "größe.py", FILE)
    return running


def joined(lines: list[str], row: int, text: str) -> list[str]:
    """The lines with `text` appended to the line `row`, and nothing else touched."""
    return [*lines[:row], *(lines[row] + text).split("\n"), *lines[row + 1 :]]


def test_tab_takes_the_ghost_text_and_one_undo_takes_it_back(editor: Editor) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    typed = editor.lines()
    row, column = editor.cursor()
    assert column == len(typed[row].encode()), "the cursor stands at the end of what was typed"
    assert typed[:row] + typed[row + 1 :] == FILE.splitlines()

    editor.keys("<Tab>")

    expected = joined(typed, row, ghost)
    editor.await_lines(expected)
    last = row + ghost.count("\n")
    assert editor.cursor() == (last, len(expected[last].encode()))
    editor.keys("<Esc>u")
    editor.await_lines(typed)


def test_a_character_typed_into_the_ghost_text_is_not_repeated_on_accept(editor: Editor) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    before = editor.lines()
    row, _ = editor.cursor()
    if ghost[0] == "\n":
        pytest.fail(f"no character to type through at the start of {ghost!r}")

    editor.keys(ghost[0].replace("<", "<lt>") + "<Tab>")

    editor.await_lines(joined(before, row, ghost))


def test_a_word_is_taken_the_rest_is_shown_and_dismissed(editor: Editor) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    before = editor.lines()
    row, _ = editor.cursor()
    word = editor.lua("return require('dgemma.suggestion').word(...)", ghost)
    assert word and ghost.startswith(word)

    editor.keys("<M-Right>")

    editor.await_lines(joined(before, row, word))
    if rest := ghost.removeprefix(word):
        editor.await_ghost(rest)
        editor.keys("<C-]>")
        editor.await_ghost("")


SCENE = '''\
class Box:
    """A box with a width, a height and a name."""

    def __init__(self, width, height, name):
        self.width = width
        self.height = height
        self.name = name

    def is_empty(self):
        return False

    def __repr__(self):
        return f"Box({self.width}, {self.height})"
'''


def test_a_person_sees_it_behind_what_they_typed(running: Editor, daemon_home: Home) -> None:
    """With DGEMMA_TEST_PICTURES the screen is kept in that folder, as the README shows it."""
    running.open(daemon_home.folder / "box.py", SCENE)
    ghost = running.type_for_ghost(["9Goif self.width", "9Goreturn self.wid"])
    row, _ = running.cursor()
    screen = look(running.nvim, width=72, height=18)
    assert running.lines()[row] + ghost.split("\n")[0][:12] in screen.text()
    if folder := os.environ.get("DGEMMA_TEST_PICTURES"):
        picture = screen.svg("Neovim: the dimmed text is suggested, Tab takes it")
        Path(folder, "neovim.svg").write_text(picture, encoding="utf-8")


def test_tab_without_ghost_text_is_a_tab(editor: Editor) -> None:
    editor.keys("Go<Tab>x")
    until(lambda: editor.lines()[-1].endswith("x"), "the keys")
    assert editor.lines()[-1].removesuffix("x").isspace()
    assert editor.lines()[:-1] == FILE.splitlines()


def test_typing_goes_on_while_the_daemon_is_killed_and_comes_back(
    editor: Editor, daemon_home: Home
) -> None:
    editor.type_for_ghost(ATTEMPTS)
    (daemon,) = [one for one in daemon_home.processes() if "daemon" in one.cmdline()]
    daemon.kill()
    psutil.wait_procs([daemon], timeout=30)
    # Other words than before, which the language server could answer from what it remembers.
    others = [attempt.replace("é宽🙂", "and now ü宽🙂") for attempt in ATTEMPTS]
    editor.keys("<Esc>u" + others[0])
    line = others[0].removeprefix("6Go")
    until(lambda: any(line in one for one in editor.lines()), "the typed line")
    editor.keys("<Esc>u")
    assert editor.type_for_ghost(others)
    assert any("daemon" in one.cmdline() for one in daemon_home.processes())
    assert "Error" not in editor.nvim.command_output("messages")


def test_a_file_of_another_type_gets_ghost_text_too(running: Editor, daemon_home: Home) -> None:
    running.open(daemon_home.folder / "notes.txt", FILE)
    assert running.type_for_ghost(ATTEMPTS)
