"""The tables of quality, by nano at the smallest size: no figure is held to anything here."""

from pathlib import Path

import pytest

from dgemma_lsp.bench import Hole
from dgemma_lsp.config import Config
from sampler.benchmarks.report import Estimate
from sampler.load import load
from sampler.train import cases, humaneval, quality
from sampler.train.editor import Editor, Fill
from sampler.train.quality import Extent

CODE = "def area(width, height):\n    # the product of its two sides\n    return width * height\n"
GIVEN = {cases.ONE: [Hole(Path("a.py"), CODE, 65, 86)]}
PROSE = {cases.PROSE: [Hole(Path("a.py"), CODE, 31, 60)]}
EXTENT = Extent((1, 2), 2)


@pytest.fixture(scope="module")
def editor():
    return Editor.open(load("nano", device="cpu"), Config())


def silent(text):
    pass


def fill(text, **others):
    return Fill(
        text, others.get("candidates", [text]), others.get("ms", 5.0), others.get("steps", 2), -1.0
    )


def test_figures_count_what_is_shown_exact_and_parses():
    hole = GIVEN[cases.ONE][0]
    got = quality.figures(
        [hole, hole], [[fill(hole.middle), fill("")], [fill("("), fill("x", steps=0)]]
    )
    assert got["n"] == 2
    assert got["shown, %"] == 75
    assert got["exact, %"].mean == 25
    assert got["parses, %"].mean == 75
    assert got["ms p50"] == 5.0
    assert (got["denoised, %"], got["steps taken"]) == (75, 1.5)


def row(kind, steps, exact, length="unknown", ms=50.0):
    estimate = Estimate(exact, 0, 100)
    shares = {"exact, %": estimate, "similar, %": estimate, "parses, %": Estimate(95, 90, 99)}
    return {"holes": kind, "length": length, "steps": steps, **shares, "ms p50": ms}


def test_goals_are_asked_of_the_default_steps_with_the_length_unknown():
    rows = [
        row(cases.ONE, 4, 19.0),
        row(cases.ONE, 32, 20.0),
        row(cases.ONE, 4, 99.0, length="known"),
        row(cases.SEVERAL, 4, 0.0, ms=260.0),
        row(cases.SEVERAL, 32, 0.0),
        row(cases.ONE, None, 0.0, length="left empty"),
    ]
    met = {goal.what: goal.met for goal in quality.goals(rows, 4)}
    assert met == {
        "one line in 4 steps: exact, %": False,
        "one line in 4 steps: parses, %": True,
        "one line: ms p50": True,
        "2 to 6 lines: ms p50": False,
        "one line: exact, % in 4 steps, % of that in 32": True,
        "one line: similar, % in 4 steps, % of that in 32": True,
        "2 to 6 lines: exact, % in 4 steps, % of that in 32": True,
        "2 to 6 lines: similar, % in 4 steps, % of that in 32": True,
    }
    assert quality.goals(rows, 5) == []


def test_holes_are_filled_at_every_step_count_and_beside_two_yardsticks(editor):
    section = quality.by_steps(editor, GIVEN, EXTENT, silent)
    assert [(r["length"], r["steps"]) for r in section.rows] == [
        ("unknown", 1),
        ("unknown", 2),
        ("known", 1),
        ("known", 2),
        ("left empty", None),
        ("the line above", None),
    ]
    assert len({tuple(r) for r in section.rows}) == 1


def test_prose_is_compared_word_by_word(editor):
    section = quality.prose(editor, PROSE, EXTENT, silent)
    assert [r["steps"] for r in section.rows] == [1, 2, "left empty", "the line above"]
    assert section.rows[2]["ROUGE-L, %"].mean == 0


def test_candidates_are_counted(editor):
    section = quality.candidates(editor, GIVEN, EXTENT, silent)
    assert [r["steps"] for r in section.rows] == [1, 2]
    assert all(0 <= r["different"].mean <= quality.CANDIDATES for r in section.rows)


def test_both_sides_fill_the_same_holes(editor):
    section = quality.sides(editor, GIVEN, EXTENT, {"causal": 9.0, "diffusion": 99.0}, silent)
    assert [(r["side"], r["length"], r["perplexity"]) for r in section.rows] == [
        ("diffusion", "unknown", 99.0),
        ("diffusion", "tokens known", 99.0),
        ("causal", "unknown", 9.0),
        ("causal", "lines known", 9.0),
        ("both", "unknown", None),
    ]


def test_human_evals_programs_are_run_beside_yardsticks(editor):
    drawn = {humaneval.SINGLE: humaneval.sample(humaneval.SINGLE, 2, 0, indented=True)}
    section = humaneval.run(editor, drawn, Extent((1,), 1), "line's text", silent)
    by_way = {r["steps"]: r for r in section.rows}
    assert list(by_way) == [1, "left empty", "the line above", "what was cut out"]
    assert by_way["what was cut out"]["pass, %"].mean == 100
    assert by_way["what was cut out"]["standard error"] == 0
