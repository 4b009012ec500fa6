import pytest

from dgemma_lsp.stops import Stops


def given(strings: list[str], pieces: list[str]) -> list[str]:
    stops = Stops(strings)
    return [*(stops.push(piece) for piece in pieces), stops.rest()]


@pytest.mark.parametrize(
    ("strings", "pieces", "parts"),
    [
        ([], ["a", "b"], ["a", "b", ""]),
        ([""], ["a"], ["a", ""]),
        (["\n"], ["a\nb", "c"], ["a", "", ""]),
        (["END"], ["aEN", "Db"], ["a", "", ""]),
        (["END"], ["aEN", "d"], ["a", "ENd", ""]),
        (["END"], ["aEN"], ["a", "EN"]),
        (["END"], ["aE", "EN", "D"], ["a", "E", "", ""]),
        (["ab", "b"], ["xab"], ["x", ""]),
        (["b", "ab"], ["xa", "b"], ["x", "", ""]),
        (["aab"], ["a", "a", "a", "b"], ["", "", "a", "", ""]),
    ],
)
def test_a_text_ends_before_the_first_stop_string_wherever_the_pieces_part(
    strings: list[str], pieces: list[str], parts: list[str]
) -> None:
    assert given(strings, pieces) == parts


def test_what_is_given_out_is_never_taken_back() -> None:
    text = "one two\n\nthree"
    for first in range(len(text)):
        for second in range(first, len(text)):
            pieces = [text[:first], text[first:second], text[second:]]
            assert "".join(given(["\n\n"], pieces)) == "one two"


def test_that_a_stop_string_came_is_told() -> None:
    stops = Stops(["x"])
    stops.push("a")
    assert not stops.found
    stops.push("x")
    assert stops.found
