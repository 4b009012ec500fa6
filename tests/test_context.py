import itertools
import random

import pytest

from dgemma_lsp.context import Window, for_model, split_lines, window


@pytest.mark.parametrize(
    ("marked", "prefix_chars", "suffix_chars", "expected"),
    [
        pytest.param("ab|cd", 10, 10, ("ab", "cd"), id="everything fits"),
        pytest.param("ab|cd", 2, 2, ("ab", "cd"), id="everything fits exactly"),
        pytest.param("|", 10, 10, ("", ""), id="an empty document"),
        pytest.param("one\ntwo\nth|ree", 6, 10, ("two\nth", "ree"), id="the cut is a border"),
        pytest.param("one\n" * 5 + "th|ree", 16, 9, ("one\n" * 3 + "th", "ree"), id="by a quarter"),
        pytest.param(
            "four\n" * 5 + "th|ree", 16, 9, ("four\n" * 2 + "th", "ree"), id="half a line"
        ),
        pytest.param("a\n" * 10 + "b|", 16, 0, ("a\n" * 6 + "b", ""), id="no line more than that"),
        pytest.param("abcdef|", 3, 0, ("def", ""), id="one long line before is cut inside"),
        pytest.param("abcdef\n|x", 3, 9, ("ef\n", "x"), id="a long line above is cut inside"),
        pytest.param("|" + "one\n" * 6, 0, 16, ("", "one\n" * 4), id="the cut after is a border"),
        pytest.param("|" + "four\n" * 5, 0, 16, ("", "four\n" * 2), id="half a line after"),
        pytest.param("|" + "a\n" * 10, 0, 16, ("", "a\n" * 8), id="nor a line more after"),
        pytest.param("|abcdef", 0, 3, ("", "abc"), id="one long line after is cut inside"),
        pytest.param("|one\ntwo\n", 0, 7, ("", "one\ntwo"), id="a long line below is cut inside"),
        pytest.param(
            "é\n日本\n😋|😋\n日本", 4, 2, ("日本\n😋", "😋\n"), id="characters, not bytes"
        ),
        pytest.param(
            "a" * 11 + "\r\n" + "b" * 7 + "|", 8, 8, ("b" * 7, ""), id="a line end of two is whole"
        ),
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


def lines(count: int, seed: int) -> str:
    chooser = random.Random(seed)
    return "".join("é" * chooser.randrange(80) + "\n" for _ in range(count))


@pytest.mark.parametrize("budget", [64, 1000, 6000])
def test_a_long_text_is_read_for_most_of_the_budget_and_from_line_to_line(budget: int) -> None:
    text = lines(400, seed=budget)
    quarter = budget // 4
    for offset in range(0, len(text), 37):
        prefix, suffix = window(text, offset, prefix_chars=budget, suffix_chars=budget)
        before, after = text[:offset], text[offset:]
        assert min(len(before), budget - quarter - min(80, quarter)) <= len(prefix) <= budget
        assert min(len(after), budget - quarter - min(80, quarter)) <= len(suffix) <= budget
        if quarter > 80:
            assert prefix == before or before.removesuffix(prefix).endswith("\n")
            assert suffix == after or suffix.endswith("\n")


@pytest.mark.parametrize("typed", ["x", "\n", "word and\n", "    return 日本\r\n"])
@pytest.mark.parametrize("one_line", [False, True])
@pytest.mark.parametrize("budget", [1000, 6000])
def test_typing_moves_the_beginning_of_the_prefix_seldom_and_the_end_of_the_suffix_never(
    typed: str, one_line: bool, budget: int
) -> None:
    before, after = lines(200, seed=1), lines(200, seed=2)
    if one_line:
        before, after = before.replace("\n", " "), after.replace("\n", " ")
    added = (typed * 2000)[:2000]
    starts, ends = [], set()
    for count in range(len(added) + 1):
        now = before + added[:count]
        prefix, suffix = window(now + after, len(now), prefix_chars=budget, suffix_chars=budget)
        starts.append(len(now) - len(prefix))
        ends.add(suffix)
    moves = [b - a for a, b in itertools.pairwise(starts) if a != b]
    assert len(moves) <= 2000 // (budget // 4) + 1
    assert all(move > 0 for move in moves)
    assert len(ends) == 1


def test_going_through_a_text_moves_the_end_of_the_suffix_seldom() -> None:
    text = lines(400, seed=3)
    ends = [
        offset + len(window(text, offset, prefix_chars=1000, suffix_chars=1000).suffix)
        for offset in range(4000, 6001)
    ]
    assert ends == sorted(ends)
    assert len(set(ends)) <= 2000 // 250 + 2


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_outside_the_text_is_refused_with_its_value(offset: int) -> None:
    with pytest.raises(ValueError, match=f"offset {offset} lies outside a text of 3 characters"):
        window("abc", offset, prefix_chars=9, suffix_chars=9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a\nb", ("a\n", "b")),
        ("a\r\n\r\nb\r", ("a\r\n", "\r\n", "b\r")),
        ("a\n\n", ("a\n", "\n")),
        ("a\x0cb\n\x0c\nc\u2028d\x85e\x1cf", ("a\x0cb\n", "\x0c\n", "c\u2028d\x85e\x1cf")),
    ],
)
def test_lines_end_where_editors_end_them(text: str, expected: tuple[str, ...]) -> None:
    assert split_lines(text) == expected


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
