import json

import pytest

from dgemma_lsp.at_cursor import Insertion
from dgemma_lsp.bench import (
    Hole,
    Outcome,
    cut,
    judge,
    one_and_several_lines,
    parses,
    python_files,
    rows,
    summarise,
)
from dgemma_lsp.errors import UserError

CODE = "def f(x):\n    y = x + 1\n\n    return y\n"


def given(text):
    return Insertion(text=text, candidates=[], steps=3, ms=5.0, model="", stable=True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("z = 1\n" * 30)
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "latin.py").write_bytes("ä = 1".encode("latin-1"))
    (tmp_path / "note.txt").write_text("x")
    return tmp_path


def test_only_python_files_that_parse_are_taken(folder):
    assert [f.name for f in python_files([folder])] == ["a.py", "b.py"]


@pytest.mark.parametrize(
    ("place", "words"), [("nowhere", "no such file or folder"), ("broken.py", "holds no Python")]
)
def test_a_place_without_python_is_refused(folder, place, words):
    with pytest.raises(UserError, match=words):
        python_files([folder / place])


@pytest.mark.parametrize(
    ("lines", "middles"),
    [
        (1, {"def f(x):", "y = x + 1", "return y"}),
        (2, {"def f(x):\n    y = x + 1", "y = x + 1"}),
        (3, {"def f(x):\n    y = x + 1", "y = x + 1\n\n    return y"}),
    ],
)
def test_a_hole_is_whole_lines_without_the_first_indentation(folder, lines, middles):
    holes = cut([folder / "a.py"], count=len(middles), lines=lines, seed=0)
    assert {hole.middle for hole in holes} == middles
    assert all(hole.filled(hole.middle) == CODE for hole in holes)


def test_holes_are_spread_over_the_files_and_the_seed_fixes_them(folder):
    files = python_files([folder])
    holes = cut(files, count=4, lines=1, seed=3)
    assert sorted(hole.file.name for hole in holes) == ["a.py", "a.py", "b.py", "b.py"]
    assert holes == cut(files, count=4, lines=1, seed=3)
    assert len(set(holes)) == 4


def test_too_many_holes_are_refused_with_what_there_is(folder):
    with pytest.raises(UserError, match="99 holes of 1 lines are wanted, the files hold only 3"):
        cut([folder / "a.py"], count=99, lines=1, seed=0)


def test_the_sampler_is_given_holes_of_one_line_and_of_three_in_turn(folder):
    given = one_and_several_lines([folder], count=2).splitlines()
    holes = [json.loads(line) for line in given]
    assert [hole["middle"].count("\n") for hole in holes] == [0, 2, 0, 2]
    texts = {hole["before"] + hole["middle"] + hole["after"] for hole in holes}
    assert texts == {CODE, "z = 1\n" * 30}


@pytest.mark.parametrize(
    ("text", "valid"),
    [("x = 1\n", True), ("", True), ("x = (\n", False), ("x\0", False), ('"\\d"\n', True)],
)
def test_parsing_tells_valid_python(text, valid):
    assert parses(text) == valid


@pytest.mark.parametrize(
    ("text", "shown", "exact", "valid"),
    [
        ("y = x + 1", True, True, True),
        ("y = 2", True, False, True),
        ("y = (", True, False, False),
        ("", False, False, True),
    ],
)
def test_an_answer_is_judged_by_the_joined_text(folder, text, shown, exact, valid):
    hole = Hole(folder / "a.py", CODE, CODE.index("y = x"), CODE.index("\n\n"))
    got = judge(hole, given(text))
    assert (got.shown, got.exact, got.parses, got.parses_empty) == (shown, exact, valid, True)


def test_the_summary_counts_shares_and_percentiles():
    outcomes = [
        Outcome(
            shown=i > 0,
            exact=i == 1,
            similar=0.5,
            parses=i < 3,
            parses_empty=True,
            ms=float(i),
            steps=i,
        )
        for i in range(5)
    ]
    got = summarise("nano", outcomes)
    assert (got.shown, got.exact, got.parses, got.parses_empty) == (80.0, 20.0, 60.0, 100.0)
    assert (got.ms_p50, got.ms_p95, got.steps) == (2.0, 3.8, 2.0)
    assert ("joined text parses", "60.0 %") in rows(got)
