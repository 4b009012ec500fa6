import pytest
import torch

from sampler.infill import lay_out, middle
from sampler.params import InvalidParameter


@pytest.mark.parametrize(
    ("suffix", "hole", "pinned"),
    [
        ([7, 8, 9], 5, [0, 0, 0, 0, 0, 7, 8, 9]),
        ([7, 8, 9, 10, 11], 5, [0, 0, 0, 0, 0, 7, 8, 9]),
        ([7], 5, [0, 0, 0, 0, 0, 0, 0, 7]),
        ([], 8, [0] * 8),
        ([7, 8], 8, [0] * 8),
    ],
)
def test_the_suffix_is_pinned_at_the_end_of_the_canvas(suffix, hole, pinned):
    pins = lay_out(suffix, 8, hole, first=None, device="cpu")
    assert pins.tokens.tolist() == pinned
    assert pins.pinned.tolist() == [token != 0 for token in pinned]


@pytest.mark.parametrize("hole", [0, -1, 9])
def test_a_hole_outside_of_the_canvas_is_refused(hole):
    with pytest.raises(InvalidParameter, match=f"within 1..8, not {hole}"):
        lay_out([7], 8, hole, first=None, device="cpu")


def test_what_may_come_first_goes_along():
    first = torch.tensor([True, False])
    assert lay_out([], 4, 4, first=first, device="cpu").first is first


@pytest.mark.parametrize(
    ("ids", "free", "text"),
    [
        ([5, 6, 1, 1, 9, 9], 4, [5, 6]),
        ([5, 6, 7, 8, 9, 9], 4, [5, 6, 7, 8]),
        ([1, 6, 7, 8, 9, 9], 4, []),
        ([5, 3, 7, 8, 9, 9], 4, [5]),
    ],
)
def test_the_middle_ends_with_the_first_end_of_sequence(ids, free, text):
    assert middle(ids, free, (1, 3)) == text
