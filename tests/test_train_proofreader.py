from pathlib import Path

import pytest

from dgemma_lsp import verdicts
from dgemma_lsp.corrections import Correction
from sampler.train import proofreader
from sampler.train.corpus import Document
from sampler.train.proofreader import Gains

TEXT = '"""Return the number of all values in the table."""\n\nx = 1  # Too short.\n'


def gains(kind: str, *values: float) -> Gains:
    """What changes of one kind gain, each at a place of its own."""
    proposed = [Correction(kind, 10 * at, 10 * at + 5, "x") for at in range(len(values))]
    return Gains(proposed, list(values))


def test_a_bound_lies_where_it_parts_mistakes_from_clean_text() -> None:
    clean = [gains("a", 1.0)] * 50 + [gains("a", 3.0)]
    wrong = [(gains("a", 9.0), [True])] * 20 + [(gains("a", 0.5), [False])] * 20
    bounds, mended = proofreader.choose(clean, wrong, [1.0])
    assert 3.0 < bounds.least["a"] < 9.0
    assert mended == 20


def test_no_more_of_clean_text_is_touched_than_may_be() -> None:
    clean = [gains("a", 9.0)] * 10 + [gains("b", 1.0)] * 90
    wrong = [(gains("a", 8.0), [True])] * 50 + [(gains("b", 5.0), [True])] * 50
    bounds, _ = proofreader.choose(clean, wrong, [1.0])
    touched = [verdicts.judge(one.proposed, one.gains, bounds) for one in clean]
    assert sum(map(bool, touched)) <= proofreader.TOUCHED * len(clean)


def test_a_kind_that_is_seldom_right_is_told_only_far_above_what_was_seen() -> None:
    clean = [gains("a", 4.0)] * 50
    wrong = [(gains("a", 4.0), [False])] * 50
    bounds, _ = proofreader.choose(clean, wrong, [1.0])
    assert bounds.least["a"] == pytest.approx(4.0 + proofreader.MARGIN)


def test_whole_sentences_are_gathered_and_spoilt_outside_of_code() -> None:
    found = proofreader.gather([Document("a/b.py", TEXT)], 10, seed=1)
    assert [read.clean.text for read in found] == ["Return the number of all values in the table."]
    assert found[0].spoilt.text != found[0].clean.text


@pytest.mark.parametrize(
    ("name", "language"), [("a.rst", "rst"), ("b.md", "markdown"), ("c/d.py", "python")]
)
def test_a_file_is_read_by_the_end_of_its_name(name: str, language: str) -> None:
    assert proofreader.language_of(str(Path("x") / name)) == language
