import pytest

from dgemma_lsp.problems import LONGEST, NEAR, QUOTED, Problem, Problems, near, problem

TEXT = "import os\nfirst = one(1)\n¦second = \nthird = two(3)\nthird = two(3)\n"
ONE = Problem("first = one(1)", "one is not defined")
TWO = Problem("third = two(3)", "two is not defined")


def told(text: str, *problems: Problem, chars: int = 1000) -> str:
    before, after = text.split("¦")
    return near(problems, before, after, chars)


def test_problems_are_told_in_the_order_of_the_text_with_the_line_that_they_are_of() -> None:
    assert told(TEXT, TWO, ONE) == (
        "one is not defined: first = one(1)\ntwo is not defined: third = two(3)"
    )


@pytest.mark.parametrize(
    "text",
    ["a = 1\n¦x = y\nb = 1\n", "a = 1\nx =¦ y\nb = 1\n", "a = 1\nx = y¦\nb = 1\n", "a = 1\nx = y¦"],
)
def test_the_line_of_the_cursor_is_not_told_of(text: str) -> None:
    assert told(text, Problem("x = y", "y is not defined")) == ""
    assert told(text, Problem("a = 1", "unused")) == "unused: a = 1"


def test_a_line_that_was_changed_since_is_not_told_of() -> None:
    assert told(TEXT.replace("one(1)", "two(1)"), ONE) == ""


@pytest.mark.parametrize(("lines", "is_told"), [(NEAR - 1, True), (NEAR, False)])
def test_only_what_is_near_is_told_of(lines: int, is_told: bool) -> None:
    between = "pass\n" * lines
    assert bool(told(f"bad\n{between}¦x\n", Problem("bad", "no"))) == is_told
    assert bool(told(f"¦x\n{between}bad\n", Problem("bad", "no"))) == is_told


def test_where_there_is_no_room_for_all_the_nearest_stay() -> None:
    text = "far = f()\nnear = g()\n¦x\n"
    problems = [Problem("far = f()", "no f"), Problem("near = g()", "no g")]
    assert told(text, *problems, chars=len("no g: near = g()") + 1) == "no g: near = g()"
    assert told(text, *problems, chars=len("no g: near = g()")) == ""


def test_long_lines_and_messages_are_shortened() -> None:
    line, message = "x" * 100, "y" * 200
    got = told(f"{line}\n¦", Problem(line, message))
    assert got == f"{'y' * (LONGEST - 3)}...: {'x' * (QUOTED - 3)}..."


def test_a_message_of_several_lines_becomes_one() -> None:
    assert problem("  f(1)\n", "no such\n  function") == Problem("f(1)", "no such function")


@pytest.mark.parametrize(("line", "message"), [("\n", "missing newline"), ("x = 1", " \n")])
def test_what_is_said_of_nothing_and_nothing_that_is_said_is_left_out(
    line: str, message: str
) -> None:
    assert problem(line, message) is None


def test_a_document_has_the_problems_that_were_told_last_until_it_is_closed() -> None:
    problems = Problems()
    before, after = TEXT.split("¦")
    problems.told("a", [ONE])
    problems.told("a", [TWO])
    assert problems.near("a", before, after, 1000) == "two is not defined: third = two(3)"
    assert problems.near("b", before, after, 1000) == ""
    problems.closed("a")
    assert problems.near("a", before, after, 1000) == ""
