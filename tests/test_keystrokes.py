from itertools import pairwise
from statistics import fmean

import pytest

from dgemma_lsp.keystrokes import LONGEST, Piece, drawn, key, pieces

OLD = "import os\n\n\ndef area(width, height):\n    return width\n\n\nNAME = 1\n"


def typed(old: str, new: str) -> list[tuple[str, str]]:
    return [(piece.removed, piece.text) for piece in pieces("a.py", old, new)]


def changed(was: str, now: str) -> str:
    assert OLD.count(was) == 1
    return OLD.replace(was, now)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, []),
        (changed("import os\n", "import os\nimport sys\n"), [("", "\nimport sys")]),
        (changed("return width", "return width * height"), [("", " * height")]),
        (changed("NAME = 1\n", "NAME = 1\nOTHER = 2\n"), [("", "\nOTHER = 2")]),
        (
            changed("    return width\n", "    with open(name) as file:\n"),
            [("return width", "with open(name) as file:")],
        ),
        (changed("area(width", "area(deep, width"), [("", "deep, ")]),
    ],
)
def test_what_differs_is_typed_from_where_a_person_begins(
    new: str, expected: list[tuple[str, str]]
) -> None:
    assert typed(OLD, new) == expected


@pytest.mark.parametrize(
    "new",
    [
        changed("import os\n\n", ""),
        changed("\n\n\nNAME", "\n\n\n\n\nNAME"),
        changed("def area(width, height):\n", "") + "def area(width, height):\n",
        changed("NAME = 1", "NAME = 2"),
    ],
    ids=["removed", "blank lines", "moved", "a single character"],
)
def test_what_is_no_word_or_was_moved_is_not_typed(new: str) -> None:
    assert typed(OLD, new) == []


def test_the_same_change_is_typed_once() -> None:
    old = "".join(f"x{n}: t.Any\n" for n in range(9))
    assert typed(old, old.replace("t.Any", "object")) == [("t.Any", "object")]


def test_above_a_piece_stands_the_new_text_and_below_it_the_old_one() -> None:
    new = changed("import os\n", "import sys, os\n").replace("NAME = 1", "NAME = width")
    first, second = pieces("a.py", OLD, new)
    assert first.before + first.removed + first.after == OLD
    assert second.before + second.text + second.after == new


def test_of_a_long_piece_the_beginning_is_typed() -> None:
    (piece,) = pieces("a.py", OLD, OLD + "word = 1\n" * 100)
    assert len(piece.text) == LONGEST


def keys(text: str, seed: int = 0) -> list[tuple[float, str, str]]:
    found, at = [], 0
    while at < len(text):
        one = key(seed, 0, text, at)
        found.append((one.gap_s, one.text, one.wrong))
        at += len(one.text)
    return found


CODE = "\ndef area(self, width, height):\n    total = width * height\n    return total" * 20


def test_the_keys_give_the_text_and_a_line_brings_its_indentation() -> None:
    assert "".join(text for _, text, _ in keys(CODE)) == CODE
    assert {text for _, text, _ in keys(CODE) if len(text) > 1} == {"\n    "}


def test_the_same_seed_gives_the_same_keys_wherever_it_begins() -> None:
    assert keys(CODE) == keys(CODE)
    assert keys(CODE, seed=1) != keys(CODE)
    assert key(0, 3, CODE, 40) == key(0, 3, CODE, 40)


def test_the_pace_is_that_of_people_with_pauses_before_words_and_lines() -> None:
    found = keys(CODE)
    assert 0.2 < fmean(gap for gap, _, _ in found) < 0.26
    lines = fmean(gap for gap, text, _ in found[1:] if text.startswith("\n"))
    behind_line_ends = [later for one, (later, _, _) in pairwise(found) if one[1][0] == "\n"]
    assert lines < fmean(behind_line_ends)


def test_some_letters_are_typed_wrong_first() -> None:
    wrong = [(text, wrong) for _, text, wrong in keys(CODE) if wrong]
    assert 0 < len(wrong) < 0.1 * len(CODE)
    assert all(text.isalpha() and text != wrong for text, wrong in wrong)


def test_pieces_are_drawn_file_by_file_until_there_are_enough() -> None:
    files = [
        [Piece(file=str(n), before="", removed="", text="1234", after="") for _ in range(3)]
        for n in range(5)
    ]
    taken = drawn(files, 20, seed=0)
    assert [piece.file for piece in taken] == sorted(
        (piece.file for piece in taken), key=[piece.file for piece in taken].index
    )
    assert len(taken) == 5
    assert taken == drawn(files, 20, seed=0)
    assert len(drawn(files, 10_000, seed=0)) == 15
