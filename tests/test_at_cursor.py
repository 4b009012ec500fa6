"""A place in a file, and what is inserted there."""

from pathlib import Path

import pytest

from dgemma_lsp import at_cursor
from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.errors import UserError
from dgemma_lsp.wire import Reason, Sampling, Timings

FILE = Path("/src/a.py")


@pytest.mark.parametrize(
    ("text", "line", "column", "before"),
    [
        ("", 1, 0, ""),
        ("ab\ncd", 1, 0, ""),
        ("ab\ncd", 1, 2, "ab"),
        ("ab\ncd", 2, 2, "ab\ncd"),
        ("ab\ncd\n", 3, 0, "ab\ncd\n"),
        ("ab\r\ncd\r\n", 1, 2, "ab"),
        ("ab\r\ncd\r\n", 2, 1, "ab\r\nc"),
        ("ab\r\ncd\r\n", 3, 0, "ab\r\ncd\r\n"),
        ("größe\n漢字😀x", 1, 4, "größ"),
        ("größe\n漢字😀x", 2, 3, "größe\n漢字😀"),
        ("a\x0cb\u2028c\n", 1, 5, "a\x0cb\u2028c"),
    ],
)
def test_a_place_is_counted_in_lines_and_characters(
    text: str, line: int, column: int, before: str
) -> None:
    assert text[: at_cursor.offset(FILE, text, line, column)] == before


@pytest.mark.parametrize(
    ("line", "column", "allowed"),
    [
        (0, 0, "lines 1 to 3"),
        (-1, 0, "lines 1 to 3"),
        (4, 0, "lines 1 to 3"),
        (1, 3, "columns 0 to 2"),
        (1, -1, "columns 0 to 2"),
        (3, 1, "columns 0 to 0"),
    ],
)
def test_a_place_outside_is_refused_with_the_allowed_range(
    line: int, column: int, allowed: str
) -> None:
    with pytest.raises(UserError, match=allowed):
        at_cursor.offset(FILE, "ab\r\ncd\r\n", line, column)


def test_a_file_is_read_as_it_is_without_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\n")
    assert at_cursor.read(file) == "a\r\nb\n"


def test_the_model_reads_unix_line_ends_and_as_much_as_the_options_say() -> None:
    text = "x\r\n" * 100 + "y\r\n" * 100
    request = at_cursor.request(
        FILE,
        text,
        300,
        Options(prefix_chars=64, suffix_chars=16, max_lines=9),
        candidates=2,
        deadline_ms=None,
        sampling=Sampling(),
    )
    assert request.prefix == "x\n" * 20
    assert request.suffix == "y\n" * 5
    assert (request.language, request.max_lines) == ("python", 9)


REQUEST = at_cursor.request(
    FILE, "", 0, Options(), candidates=2, deadline_ms=None, sampling=Sampling()
)


def answer(*texts: str, reason: Reason = "settled") -> Completion:
    timings = Timings(steps=4, total_ms=12.34)
    return Completion(texts=list(texts), reason=reason, timings=timings, steps=4, stable=True)


def test_candidates_that_are_alike_or_empty_are_shown_once_or_not() -> None:
    given = answer("", "b = 2", "c = 3", "b = 2")
    found = at_cursor.insertion(given, REQUEST, "a\n", 2, Options(), "nano")
    assert (found.text, found.candidates) == ("b = 2", ["b = 2", "c = 3"])
    assert (found.steps, found.ms, found.model, found.stable) == (4, 12.3, "nano", True)


def test_the_inserted_text_has_the_line_ends_of_the_file() -> None:
    text = "def f():\r\n    \r\n"
    given = answer("a = 1\n    return a")
    found = at_cursor.insertion(given, REQUEST, text, 14, Options(), "nano")
    assert found.text == "a = 1\r\n    return a"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer(""), "leaves this place empty"),
        (answer("", reason="deadline"), "deadline"),
        (answer("a"), "repeats"),
    ],
)
def test_an_empty_answer_is_explained(given: Completion, why: str) -> None:
    assert why in at_cursor.why_empty(given, REQUEST, "a\n", 2, Options())
