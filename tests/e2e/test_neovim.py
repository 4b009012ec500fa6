"""A person types in the real Neovim: ghost text appears, <Tab> takes it, nothing else changes."""

from collections.abc import Iterator

import pytest
from home import Home, until
from real_neovim import Editor, neovim

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
    '6Go"é宽🙂"; self.height = hei',
    '6Go"é宽🙂"; self.height = ',
    '8Go"é宽🙂"; return self.wid',
    '8Go"é宽🙂"; return self.width * ',
]


@pytest.fixture
def editor(daemon_home: Home) -> Iterator[Editor]:
    file = daemon_home.folder / "größe.py"
    file.write_text(FILE, encoding="utf-8")
    with neovim(daemon_home, file) as editor:
        yield editor


def joined(lines: list[str], row: int, text: str) -> list[str]:
    """The lines with `text` appended to the line `row`, and nothing else touched."""
    return [*lines[:row], *(lines[row] + text).split("\n"), *lines[row + 1 :]]


def test_tab_takes_the_ghost_text_and_changes_nothing_else(editor: Editor) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    typed = editor.lines()
    row, column = editor.cursor()
    assert column == len(typed[row].encode()), "the cursor stands at the end of what was typed"
    assert typed[:row] + typed[row + 1 :] == FILE.splitlines()

    editor.keys("<Tab>")

    until(lambda: editor.lines() != typed, "the ghost text to be accepted")
    expected = joined(typed, row, ghost)
    assert editor.lines() == expected
    last = row + ghost.count("\n")
    assert editor.cursor() == (last, len(expected[last].encode()))
    assert editor.ghost() == ""


def test_a_character_typed_into_the_ghost_text_is_not_repeated_on_accept(editor: Editor) -> None:
    ghost = editor.type_for_ghost(ATTEMPTS)
    before = editor.lines()
    row, _ = editor.cursor()
    if ghost[0] == "\n":
        pytest.fail(f"no character to type through at the start of {ghost!r}")

    editor.keys(ghost[0].replace("<", "<lt>") + "<Tab>")

    length = len("\n".join(before)) + len(ghost)
    until(lambda: len("\n".join(editor.lines())) >= length, "the ghost text to be accepted")
    assert editor.lines() == joined(before, row, ghost)


def test_tab_without_ghost_text_is_a_tab(editor: Editor) -> None:
    editor.keys("Go<Tab>x")
    until(lambda: editor.lines()[-1].endswith("x"), "the keys")
    assert editor.lines()[-1].removesuffix("x").isspace()
    assert editor.lines()[:-1] == FILE.splitlines()


def test_a_file_of_another_type_gets_ghost_text_too(daemon_home: Home) -> None:
    file = daemon_home.folder / "notes.txt"
    file.write_text(FILE, encoding="utf-8")
    with neovim(daemon_home, file) as editor:
        assert editor.type_for_ghost(ATTEMPTS)
