import random

import pytest

from dgemma_lsp.edits import Edit, Span, between, common_end, common_start, follow


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("", "", Edit(0, 0, 0), id="nothing"),
        pytest.param("ab", "ab", Edit(2, 0, 0), id="no change"),
        pytest.param("ab", "axb", Edit(1, 0, 1), id="a key"),
        pytest.param("axb", "ab", Edit(1, 1, 0), id="a key taken back"),
        pytest.param("a1b", "a22b", Edit(1, 1, 2), id="something else"),
        pytest.param("aa", "aaa", Edit(2, 0, 1), id="the same once more"),
        pytest.param("日本", "日😋本", Edit(1, 0, 1), id="characters, not bytes"),
        pytest.param("abc", "", Edit(0, 3, 0), id="all gone"),
    ],
)
def test_an_edit_is_what_two_texts_do_not_share(old: str, new: str, expected: Edit) -> None:
    assert between(old, new) == expected


def test_an_edit_makes_the_new_text_of_the_old_one() -> None:
    chooser = random.Random(1)
    for _ in range(500):
        old, new = ("".join(chooser.choices("ab", k=chooser.randrange(12))) for _ in range(2))
        start, removed, added = between(old, new)
        assert old[:start] + new[start : start + added] + old[start + removed :] == new


def test_common_ends_are_counted_as_one_by_one() -> None:
    chooser = random.Random(2)
    for _ in range(500):
        one, other = ("".join(chooser.choices("ab", k=chooser.randrange(12))) for _ in range(2))
        same = [a == b for a, b in zip(one, other, strict=False)]
        assert common_start(one, other) == [*same, False].index(False)
        same = [a == b for a, b in zip(one[::-1], other[::-1], strict=False)]
        assert common_end(one, other) == [*same, False].index(False)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(Edit(0, 0, 3), Span(7, 11), id="before it"),
        pytest.param(Edit(2, 2, 0), Span(2, 6), id="up to its start"),
        pytest.param(Edit(4, 0, 1), Span(5, 9), id="at its start"),
        pytest.param(Edit(8, 0, 5), Span(4, 8), id="at its end"),
        pytest.param(Edit(9, 1, 0), Span(4, 8), id="behind it"),
        pytest.param(Edit(5, 1, 3), Span(4, 10), id="inside it"),
        pytest.param(Edit(4, 4, 0), Span(4, 4), id="it is gone"),
        pytest.param(Edit(3, 2, 1), Span(3, 7), id="over its start"),
        pytest.param(Edit(7, 3, 1), Span(4, 8), id="over its end"),
    ],
)
def test_a_piece_is_followed_through_an_edit(edit: Edit, expected: Span) -> None:
    assert follow(Span(4, 8), edit) == expected
