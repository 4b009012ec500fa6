import random

import pytest
import torch

from sampler import masks

WINDOWS = [None, 1, 2, 5, 16]


def seen_causally(length, start, widths, window):
    """Return who sees whom, one pair at a time: a reference for `masks.causal`."""
    queries = [(row, at) for row, width in enumerate(widths) for at in range(width)]

    def near(distance):
        return distance >= 0 and (window is None or distance < window)

    return [
        [near(length + at - before) for before in range(start, length)]
        + [row == other and near(at - there) for other, there in queries]
        for row, at in queries
    ]


def seen_by_canvases(seen, widths):
    rows = [row for row, width in enumerate(widths) for _ in range(width)]
    return [[True] * seen + [row == other for other in rows] for row in rows]


@pytest.mark.parametrize(
    ("length", "window", "first"),
    [
        (0, None, 0),
        (1000, None, 0),
        (0, 16, 0),
        (14, 16, 0),
        (15, 16, 0),
        (16, 16, 1),
        (17, 16, 2),
        (100, 16, 85),
        (3, 1, 3),
    ],
)
def test_the_first_position_seen_is_a_window_before_the_next_token(length, window, first):
    assert masks.first_seen(length, window) == first


@pytest.mark.parametrize("window", WINDOWS)
def test_nothing_before_the_first_seen_position_is_seen_and_that_position_is(window):
    for length in range(40):
        first = masks.first_seen(length, window)
        whole = masks.causal(length, 0, (3,), window)
        assert not bool(whole[:, :first].any())
        assert bool(whole[0, first:length].all())


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("length", "widths"),
    [(0, (4,)), (0, (3, 1)), (7, (1,)), (7, (20,)), (15, (2, 2)), (16, (2, 3)), (17, (1, 17, 2))],
)
def test_a_token_sees_its_own_row_backwards_as_far_as_the_window(length, widths, window):
    start = masks.first_seen(length, window)
    got = masks.causal(length, start, widths, window)
    assert got.dtype == torch.bool
    assert got.tolist() == seen_causally(length, start, widths, window)


def test_random_rows_are_masked_as_one_pair_at_a_time():
    rng = random.Random(5)
    for _ in range(300):
        window = rng.choice(WINDOWS)
        length = rng.randrange(30)
        widths = [rng.randrange(1, 9) for _ in range(rng.randrange(1, 5))]
        start = masks.first_seen(length, window)
        assert masks.causal(length, start, widths, window).tolist() == seen_causally(
            length, start, widths, window
        )


@pytest.mark.parametrize("seen", [0, 1, 9])
@pytest.mark.parametrize("widths", [(4, 4), (1, 5), (2, 3, 1)])
def test_a_canvas_sees_all_of_itself_and_of_the_text_and_no_other_canvas(seen, widths):
    assert masks.canvases(seen, widths).tolist() == seen_by_canvases(seen, widths)


def test_a_canvas_alone_needs_no_mask():
    assert masks.canvases(9, (4,)) is None
