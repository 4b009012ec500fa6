"""How a line may begin that binds what the code around it needs."""

import pytest

from dgemma_lsp.beginnings import OPENERS, beginnings
from dgemma_lsp.bindings import Surroundings


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Surroundings(), []),
        (Surroundings(wanted=("x",)), ["x ="]),
        (Surroundings(wanted=("x", "y", "z")), ["x, y =", "y, x =", "x =", "y ="]),
        (Surroundings(wanted=("x",), opens=True), ["for x in"]),
        (
            Surroundings(wanted=("x", "y"), opens=True),
            ["for x, y in", "for y, x in", "for x in", "for y in"],
        ),
        (Surroundings(opens=True), list(OPENERS)),
        # What is typed is gone on with, and nothing else is said of a line that begins otherwise.
        (Surroundings(wanted=("total",), typed="to"), ["tal ="]),
        (Surroundings(wanted=("total",), typed="total "), ["="]),
        (Surroundings(wanted=("total",), typed="total ="), []),
        (Surroundings(wanted=("total",), typed="print("), []),
        (Surroundings(typed="wh", opens=True), ["ile"]),
        (Surroundings(wanted=("x", "y"), typed="for x", opens=True), [", y in", " in"]),
    ],
)
def test_a_line_begins_with_what_binds_the_wanted_names(
    around: Surroundings, expected: list[str]
) -> None:
    assert beginnings(around) == expected
