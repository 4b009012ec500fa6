import pytest

from dgemma_lsp import chat_commands
from dgemma_lsp.chat_commands import Command, Place, Question
from dgemma_lsp.errors import UserError


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", None),
        ("  \n", None),
        ("why?", Question("why?")),
        ("  two\nlines ", Question("two\nlines")),
        ("//usr/bin is what?", Question("/usr/bin is what?")),
        ("/list", Command("list")),
        ("/open 3 ", Command("open", "3")),
        ("/system  Be brief. ", Command("system", "Be brief.")),
        ("/system", Command("system")),
    ],
)
def test_a_line_is_a_question_or_a_command(line: str, meant: Question | Command | None) -> None:
    assert chat_commands.parse(line) == meant


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/fly", "/fly: no such command; /help names them, // begins a question with /"),
        ("/usr/bin?", "/usr/bin?: no such command; /help names them, // begins a question with /"),
        ("/export", "/export FILE write it to FILE: JSON where that ends in .json, else Markdown"),
    ],
)
def test_a_command_that_cannot_be_taken_is_told_in_one_line(line: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        chat_commands.parse(line)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("argument", "place"),
    [
        ("a.py", Place("a.py")),
        ("a.py:3-5", Place("a.py", 3, 5)),
        ("C:a.py", Place("C:a.py")),
        ("a b.py:7-7", Place("a b.py", 7, 7)),
    ],
)
def test_a_place_is_a_file_or_lines_of_it(argument: str, place: Place) -> None:
    assert chat_commands.place(argument) == place


@pytest.mark.parametrize("argument", ["a.py:0-3", "a.py:5-3"])
def test_lines_that_are_none_are_refused(argument: str) -> None:
    with pytest.raises(UserError, match="lines count from 1"):
        chat_commands.place(argument)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("a"), "1\n2\n3\n"),
        (Place("a", 2, 2), "2\n"),
        (Place("a", 2, 99), "2\n3\n"),
    ],
)
def test_the_lines_that_are_meant_are_cut_out(place: Place, text: str) -> None:
    assert chat_commands.cut("1\n2\n3\n", place) == text


def test_a_line_that_a_file_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="a: has 1 lines, and no line 2"):
        chat_commands.cut("1\n", Place("a", 2, 3))


@pytest.mark.parametrize(("file", "language"), [("x/a.py", "py"), ("Makefile", "")])
def test_a_fence_is_named_after_the_ending(file: str, language: str) -> None:
    assert chat_commands.language(file) == language


@pytest.mark.parametrize(("argument", "count"), [("0", 3), ("4", 3), ("x", 3), ("²", 3), ("1", 0)])
def test_a_number_that_is_not_in_the_list_is_refused(argument: str, count: int) -> None:
    with pytest.raises(UserError, match=f"^{argument}: no number of the list"):
        chat_commands.number(argument, count)


def test_help_names_every_command() -> None:
    lines = chat_commands.help_text().splitlines()
    assert [line.split()[0] for line in lines] == [f"/{name}" for name in chat_commands.COMMANDS]
    assert chat_commands.number("3", 3) == 3
