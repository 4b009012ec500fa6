"""What follows at calls from another signature."""

import pytest

from dgemma_lsp.calls import LONGEST, Resigned, changes
from dgemma_lsp.edits import Span, between
from dgemma_lsp.signature import resigned

A_CALL = "\n\ndef g(a, b, c):\n    return {}\n"


def header(parameters: str) -> str:
    return f"def f({parameters}):\n    pass\n"


def change_of(before: str, text: str) -> Resigned:
    edit = between(before, text)
    found = resigned(before, text, Span(edit.start, edit.start + edit.added))
    assert found is not None
    return Resigned(*found, "m")


def became(old: str, new: str, call: str) -> str | None:
    """What a call should be after the edit of a header; None where nothing is said."""
    before, text = (header(one) + A_CALL.format(call) for one in (old, new))
    found = changes(before, text, change_of(before, text), 0)
    if not found:
        return None
    [line] = found
    done = text[: line.start] + line.text + text[line.end :]
    return done.partition("return ")[2].rstrip()


@pytest.mark.parametrize(
    ("old", "new", "call", "expected"),
    [
        pytest.param("a, b", "a", "f(1, 2)", "f(1)", id="the last one removed"),
        pytest.param("a, b", "b", "f(1, 2)", "f(2)", id="the first one removed"),
        pytest.param("a", "", "f(1)", "f()", id="the only one removed"),
        pytest.param("a, b", "a", "f(1, b=2)", "f(1)", id="a named one removed"),
        pytest.param("a, b", "b, a", "f(1, 2)", "f(2, 1)", id="exchanged"),
        pytest.param("a, b", "b, a", "f(1, b=2)", "f(a=1, b=2)", id="exchanged, one named"),
        pytest.param("a, b", "a, d", "f(1, b = 2)", "f(1, d=2)", id="a named one renamed"),
        pytest.param("a", "a, c", "f(1)", "f(1, c)", id="one added that is at hand"),
        pytest.param("a", "c, a", "f(1)", "f(c, 1)", id="one added before"),
        pytest.param("", "c", "f()", "f(c)", id="the first one added"),
        pytest.param("a", "a, *, c", "f(1)", "f(1, c=c)", id="one added that must be named"),
        pytest.param("a, b", "a, *, b", "f(1, 2)", "f(1, b=2)", id="one that must be named now"),
        pytest.param("a, b", "a, x=0, b=1", "f(1, 2)", "f(1, b=2)", id="one added in between"),
        pytest.param("a, b", "a, b, /", "f(1, b=2)", "f(1, 2)", id="one that may not be named"),
        pytest.param("a, b", "a", "f(1, [2, (3)])", "f(1)", id="brackets in it"),
        pytest.param("a, b", "b", "f(x('é,('), 2,)", "f(2,)", id="a comma at the end"),
        pytest.param(
            "a, b",
            "b, a",
            "f(\n        1,\n        2,\n    )",
            "f(\n        2,\n        1,\n    )",
            id="a line for each",
        ),
        pytest.param(
            "a, b",
            "a",
            "f(\n        1,\n        2,\n    )",
            "f(\n        1,\n    )",
            id="a line for each, one removed",
        ),
    ],
)
def test_a_call_hands_over_the_same_by_the_new_signature(
    old: str, new: str, call: str, expected: str
) -> None:
    assert became(old, new, call) == expected


@pytest.mark.parametrize(
    ("old", "new", "call"),
    [
        pytest.param("a", "a, x", "f(1)", id="a value would have to be made up"),
        pytest.param("a", "a, x=1", "f(1)", id="it fits as it is"),
        pytest.param("a, b", "a, x", "f(1, 2)", id="handed over in a row, a name means nothing"),
        pytest.param("a, b", "b, a", "f(b = 2, a = 1)", id="all are named"),
        pytest.param("a, b", "a", "f(*both)", id="a star"),
        pytest.param("a, b", "a", "f(1, **more)", id="two stars"),
        pytest.param("a, b", "a", "f(1)", id="it did not fit before"),
        pytest.param("a, b", "a", "f(1, 2, 3)", id="too many before"),
        pytest.param("a, b", "a", "f(1, z=2)", id="an unknown name"),
        pytest.param("a, b", "a", "f((1), (2))", id="brackets around"),
        pytest.param("a, b", "a", "f(1,  # one\n        2)", id="a remark inside"),
        pytest.param("a, b, c", "a, c", "f(1, 2,\n        3)", id="commas of two kinds"),
        pytest.param("a, b", "d, a", "f(1, 2)", id="two things at once"),
        pytest.param("a", "", "f(x for x in a)", id="a generator without brackets"),
        pytest.param("a, b", "b, a", "f(1, 2), f(2, 1)", id="another call is so already"),
    ],
)
def test_what_is_not_sure_is_left_alone(old: str, new: str, call: str) -> None:
    assert became(old, new, call) is None


def test_a_call_that_was_written_since_is_left_alone() -> None:
    before, text = header("a, b") + "f(1, 2)\n", header("a") + "f(1, 2)\nf(3, 4)\n"
    change = change_of(before, header("a") + "f(1, 2)\n")
    assert [one.text for one in changes(before, text, change, 0)] == ["f(1)"]


def test_the_nearest_call_below_the_cursor_comes_first() -> None:
    calls = "f(1, 1)\nf(2, 2)\nf(3, 3)\n"
    before, text = header("a, b") + calls, header("a") + calls
    cursor = text.index("f(2")
    found = changes(before, text, change_of(before, text), cursor)
    assert [one.text for one in found] == ["f(2)", "f(3)", "f(1)"]


def test_calls_in_another_document_follow_where_it_imports_the_function() -> None:
    before, definition = header("a, b"), header("a")
    change = change_of(before, definition)
    for text, expected in (
        ("from m import f\nf(1, 2)\n", ["f(1)"]),
        ("from n import f\nf(1, 2)\n", []),
    ):
        found = changes(text, text, change, 0, definition=definition)
        assert [one.text for one in found] == expected


@pytest.mark.parametrize("broken", ["f(1, 2)\nx = (\n", "f(1, 2)\n#" + "x" * LONGEST])
def test_a_text_that_does_not_parse_or_is_too_long_has_no_calls(broken: str) -> None:
    before, text = header("a, b"), header("a")
    assert changes(before + broken, text + broken, change_of(before, text), 0) == []
