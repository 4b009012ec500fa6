import pytest

from dgemma_lsp import corrections, verdicts
from dgemma_lsp.corrections import Correction
from dgemma_lsp.verdicts import Bounds

BOUNDS = Bounds(weight=0.5, least={"a": 2.0, "b.x": -1.0})


@pytest.mark.parametrize(
    ("kind", "gain", "odds", "told"),
    [
        ("a", 2.1, 0.0, True),
        ("a", 2.0, 0.0, False),
        ("a", 1.0, 3.0, True),
        ("b.x", -0.5, 0.0, True),
        ("unknown", 99.0, 0.0, False),
    ],
)
def test_a_correction_is_told_where_it_gains_more_than_the_bound_of_its_kind(
    kind, gain, odds, told
) -> None:
    one = Correction(kind, 0, 1, "x", odds)
    assert verdicts.judge([one], [gain], BOUNDS) == ([one] if told else [])


def test_of_what_overlaps_the_surest_is_told_and_all_of_it_in_the_order_of_the_text() -> None:
    late, weak, strong = (
        Correction("a", 9, 10, "x"),
        Correction("a", 0, 3, "weak"),
        Correction("a", 2, 5, "strong"),
    )
    assert verdicts.judge([late, weak, strong], [3, 4, 5], BOUNDS) == [strong, late]


def test_a_sentence_is_mended_in_all_places_at_once() -> None:
    told = [Correction("a", 0, 1, "Aa"), Correction("a", 3, 4, "")]
    assert verdicts.mend("abcde", told) == "Aabce"


def test_gains_are_measured_from_the_sentence_as_it_stands() -> None:
    assert verdicts.gains([-10.0, -8.0, -13.5]) == [2.0, -3.5]


def test_the_bounds_that_are_shipped_are_of_rules_that_there_are() -> None:
    shipped = verdicts.bounds()
    assert shipped.model.least and shipped.alone.least
    kinds = {*shipped.model.least, *shipped.alone.least}
    assert {kind.partition(".")[0] for kind in kinds} <= corrections.RULES.keys()
