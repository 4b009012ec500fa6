import pytest

from dgemma_lsp.context import Window, for_model, split_lines, window


@pytest.mark.parametrize(
    ("marked", "prefix_chars", "suffix_chars", "expected"),
    [
        pytest.param("ab|cd", 10, 10, ("ab", "cd"), id="everything fits"),
        pytest.param("ab|cd", 2, 2, ("ab", "cd"), id="everything fits exactly"),
        pytest.param("|", 10, 10, ("", ""), id="an empty document"),
        pytest.param("one\ntwo\nth|ree", 6, 10, ("two\nth", "ree"), id="the cut is a border"),
        pytest.param("one\ntwo\nth|ree", 5, 10, ("th", "ree"), id="half a line before is left out"),
        pytest.param("abcdef|", 3, 0, ("def", ""), id="one long line before is cut inside"),
        pytest.param("abcdef\n|x", 3, 9, ("ef\n", "x"), id="a long line above is cut inside"),
        pytest.param("|one\ntwo\n", 0, 6, ("", "one\n"), id="half a line after is left out"),
        pytest.param("|one\ntwo\n", 0, 4, ("", "one\n"), id="the cut after is a border"),
        pytest.param("|abcdef", 0, 3, ("", "abc"), id="one long line after is cut inside"),
        pytest.param(
            "é\n日本\n😋|😋\n日本", 4, 2, ("日本\n😋", "😋\n"), id="characters, not bytes"
        ),
        pytest.param("a\r\nb|b\r\nc", 2, 3, ("b", "b\r\n"), id="a line end of two stays whole"),
        pytest.param("abc|def", 64, 0, ("abc", ""), id="no suffix wanted"),
    ],
)
def test_the_window_is_what_fits_around_the_cursor(
    marked: str, prefix_chars: int, suffix_chars: int, expected: tuple[str, str]
) -> None:
    offset = marked.index("|")
    text = marked.replace("|", "")
    assert window(text, offset, prefix_chars=prefix_chars, suffix_chars=suffix_chars) == Window(
        *expected
    )


def test_every_window_is_the_text_next_to_the_cursor_and_within_its_budget() -> None:
    text = "def f(x):\n\n    return x\n\n\nprint(f(1))\n"
    for offset in range(len(text) + 1):
        for budget in range(len(text) + 2):
            got = window(text, offset, prefix_chars=budget, suffix_chars=budget)
            assert text[:offset].endswith(got.prefix) and len(got.prefix) <= budget
            assert text[offset:].startswith(got.suffix) and len(got.suffix) <= budget


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_outside_the_text_is_refused_with_its_value(offset: int) -> None:
    with pytest.raises(ValueError, match=f"offset {offset} lies outside a text of 3 characters"):
        window("abc", offset, prefix_chars=9, suffix_chars=9)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a\nb", ("a\n", "b")),
        ("a\r\n\r\nb\r", ("a\r\n", "\r\n", "b\r")),
        ("a\n\n", ("a\n", "\n")),
        ("a\x0cb\n\x0c\nc\u2028d\x85e\x1cf", ("a\x0cb\n", "\x0c\n", "c\u2028d\x85e\x1cf")),
    ],
)
def test_lines_end_where_editors_end_them(text: str, lines: tuple[str, ...]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\n", "a\nb\n"),
        ("x\ud83dy", "x\ufffdy"),
        ("\ude0a", "\ufffd"),
        ("naïve 日本 😋", "naïve 日本 😋"),
    ],
)
def test_the_model_reads_plain_line_ends_and_valid_unicode(text: str, expected: str) -> None:
    assert for_model(text) == expected
    for_model(text).encode("utf-8")
