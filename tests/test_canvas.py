import math

import pytest
import torch
from torch import Tensor

from sampler.canvas import (
    SURE,
    Noise,
    Step,
    accept,
    advance,
    merge,
    new_canvas,
    pin,
    settled,
    take,
    warm,
)

T, F = True, False
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("entropies", "free", "bound", "accepted"),
    [
        # The sum without the last: 0, 0.1, 0.3, 0.6 against the bound.
        ([0.1, 0.2, 0.3, 0.4], [T, T, T, T], 0.25, [T, T, F, F]),
        ([0.4, 0.3, 0.2, 0.1], [T, T, T, T], 0.25, [F, F, T, T]),
        ([0.1, 0.2, 0.3, 0.4], [T, T, T, T], 0.7, [T, T, T, T]),
        # One position is always accepted.
        ([9.0, 8.0, 7.0, 9.5], [T, T, T, T], 0.01, [F, F, T, F]),
        # Pinned positions are not accepted and spend nothing.
        ([0.1, 0.2, 0.3, 0.4], [F, T, T, T], 0.25, [F, T, T, F]),
        ([5.0, 0.2, 0.3, 0.4], [F, T, T, T], 0.25, [F, T, T, F]),
        ([0.1, 0.2, 0.3, 0.4], [F, F, F, T], 0.01, [F, F, F, T]),
        ([0.1, 0.2, 0.3, 0.4], [F, F, F, F], 0.25, [F, F, F, F]),
    ],
)
def test_the_least_entropy_within_the_bound_is_accepted(entropies, free, bound, accepted):
    got = accept(torch.tensor([entropies]), torch.tensor([free]), bound)
    assert got.tolist() == [accepted]


def test_each_row_has_a_budget_of_its_own():
    entropies = torch.tensor([[0.1, 0.2, 0.3], [5.0, 6.0, 4.0]])
    got = accept(entropies, torch.ones(2, 3, dtype=torch.bool), 0.15)
    assert got.tolist() == [[T, T, F], [F, F, T]]


@pytest.mark.parametrize(
    ("history", "draft", "entropies", "region", "expected"),
    [
        ([[1, 2]], [1, 2], [0.001, 0.001], [T, T], True),
        ([[1, 2]], [1, 3], [0.001, 0.001], [T, T], False),
        ([[1, 2]], [1, 2], [0.1, 0.1], [T, T], False),
        ([[1, 2], [1, 2]], [1, 2], [0.001, 0.001], [T, T], True),
        ([[1, 3], [1, 2]], [1, 2], [0.001, 0.001], [T, T], False),
        ([], [1, 2], [0.001, 0.001], [T, T], True),
        # The mean: 0.004 and 0.006 against 0.005.
        ([[1, 2]], [1, 2], [0.0, 0.008], [T, T], True),
        ([[1, 2]], [1, 2], [0.0, 0.012], [T, T], False),
        # What lies outside of the region neither changes nor doubts anything.
        ([[1, 2]], [1, 3], [0.001, 9.0], [T, F], True),
        ([[1, 2]], [3, 2], [0.001, 0.001], [T, F], False),
        ([[1, 2]], [1, 2], [0.008, 0.0], [T, F], False),
    ],
)
def test_a_row_settles_when_its_region_is_stable_and_sure(
    history, draft, entropies, region, expected
):
    drafts = torch.tensor(history, dtype=torch.long).view(len(history), 1, 2)
    got = settled(
        drafts, torch.tensor([draft]), torch.tensor([entropies]), torch.tensor([region]), 0.005
    )
    assert got.tolist() == [expected]


def test_noise_covers_the_whole_vocabulary_evenly():
    counts = torch.bincount(Noise([0], 11, CPU).tokens(20_000)[0], minlength=11)
    # Four standard errors of a share of 20,000 draws.
    assert counts.div(20_000).tolist() == pytest.approx([1 / 11] * 11, abs=4 * 0.29 / 20_000**0.5)


def test_uniform_numbers_lie_in_0_to_1_evenly():
    drawn = Noise([0], 11, CPU).uniform(20_000)[0]
    assert drawn.min() >= 0 and drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=4 * 12**-0.5 / 20_000**0.5)


def draws(noise: Noise) -> list[Tensor]:
    return [noise.tokens(9), noise.uniform(9), noise.tokens(5), noise.uniform(9)]


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_rows_noise_is_that_of_its_seed_alone(row):
    seeds = [7, 8, 7_000_000_000]
    alone, among = draws(Noise([seeds[row]], 50, CPU)), draws(Noise(seeds, 50, CPU))
    assert [d[row].tolist() for d in among] == [d[0].tolist() for d in alone]


def test_two_seeds_draw_two_noises():
    tokens, uniform, *_ = draws(Noise([1, 2], 50, CPU))
    assert tokens[0].tolist() != tokens[1].tolist()
    assert uniform[0].tolist() != uniform[1].tolist()


def canvas_of(*rows: list[int], stability: int = 1):
    return new_canvas(torch.tensor(rows), stability=stability)


def pinned_canvas():
    return pin(canvas_of([1, 2, 3, 4]), torch.tensor([F, F, T, T]), torch.tensor([0, 0, 5, 6]))


def test_pins_show_in_ids_and_drafts_and_are_not_free():
    canvas = pinned_canvas()
    assert canvas.ids.tolist() == canvas.draft.tolist() == [[1, 2, 5, 6]]
    assert canvas.free.tolist() == [[T, T, F, F]]


def test_rows_may_be_pinned_each_in_its_own_way():
    canvas = pin(
        canvas_of([1, 2, 3], [1, 2, 3]),
        torch.tensor([[T, F, F], [F, F, T]]),
        torch.tensor([[7, 7, 7], [8, 8, 8]]),
    )
    assert canvas.ids.tolist() == [[7, 2, 3], [1, 2, 8]]
    assert canvas.free.tolist() == [[F, T, T], [T, T, F]]


@pytest.mark.parametrize(
    ("given", "renewed", "ids"),
    [
        ([T, T, T, T], [F, F, F, F], [7, 8, 5, 6]),
        ([T, T, T, T], [T, T, T, T], [1, 2, 5, 6]),
        ([T, T, T, T], [F, T, F, T], [7, 2, 5, 6]),
        ([F, T, T, T], [F, F, F, F], [1, 8, 5, 6]),
        ([F, F, F, F], [F, F, F, F], [1, 2, 5, 6]),
    ],
)
def test_a_warm_text_stands_where_it_is_given_and_neither_pinned_nor_renewed(given, renewed, ids):
    canvas = warm(
        pinned_canvas(), torch.tensor([7, 8, 9, 9]), torch.tensor(given), torch.tensor(renewed)
    )
    assert canvas.ids.tolist() == canvas.draft.tolist() == [ids]
    assert canvas.free.tolist() == [[T, T, F, F]]


def step_of(likely: list[list[int]], entropy: list[list[float]], sampled=None) -> Step:
    return Step(
        sampled=torch.tensor(likely if sampled is None else sampled),
        likely=torch.tensor(likely),
        entropy=torch.tensor(entropy),
        soft=torch.zeros(len(likely), len(likely[0]), 1),
    )


def advanced(canvas, step: Step, **more):
    options = {"region": canvas.free, "entropy_bound": 0.1, "confidence_threshold": 0.005} | more
    return advance(canvas, step, torch.full_like(canvas.ids, 99), **options)


def test_a_step_accepts_what_was_drawn_at_the_sure_position_and_renews_the_rest():
    canvas = canvas_of([1, 2, 3])
    after = advanced(canvas, step_of([[4, 5, 6]], [[2.0, 0.2, 3.0]], sampled=[[14, 15, 16]]))
    assert after.ids.tolist() == [[99, 15, 99]]
    assert after.draft.tolist() == [[4, 5, 6]]
    assert after.step == 1


def test_what_was_accepted_may_be_noise_again_a_step_later():
    first = advanced(canvas_of([1, 2]), step_of([[4, 5]], [[0.2, 2.0]]))
    second = advanced(first, step_of([[4, 5]], [[2.0, 0.2]]))
    assert (first.ids.tolist(), second.ids.tolist()) == ([[4, 99]], [[99, 5]])


def test_a_step_never_changes_what_is_pinned():
    after = advanced(pinned_canvas(), step_of([[7, 8, 5, 6]], [[0.2, 9.0, 0.0, 0.0]]))
    assert after.ids.tolist() == [[7, 99, 5, 6]]
    assert after.draft.tolist() == [[7, 8, 5, 6]]


def test_pinned_positions_do_not_make_a_canvas_sure():
    # Two of four positions are free, each 0.008: their mean decides, not that of the canvas.
    unsure = step_of([[3, 3, 5, 6]], [[0.008, 0.008, 0.0, 0.0]])
    assert advanced(advanced(pinned_canvas(), unsure), unsure).settled.tolist() == [False]
    sure = step_of([[3, 3, 5, 6]], [[0.004, 0.004, 0.0, 0.0]])
    assert advanced(advanced(pinned_canvas(), sure), sure).settled.tolist() == [True]


@pytest.mark.parametrize(("stability", "steps"), [(0, 1), (1, 2), (2, 3), (4, 5)])
def test_a_sure_canvas_settles_after_as_many_equal_drafts_as_are_asked_for(stability, steps):
    canvas, taken = canvas_of([1, 2], stability=stability), 0
    while not bool(canvas.settled.all()):
        canvas, taken = advanced(canvas, step_of([[3, 3]], [[0.0, 0.0]])), taken + 1
    assert taken == steps


def test_only_the_region_needs_to_settle():
    region = torch.tensor([[T, F]])
    first = advanced(canvas_of([1, 2]), step_of([[3, 4]], [[0.0, 9.0]]), region=region)
    second = advanced(first, step_of([[3, 5]], [[0.0, 9.0]]), region=region)
    assert (first.settled.tolist(), second.settled.tolist()) == ([False], [True])


@pytest.mark.parametrize(("entropy", "sure"), [(0.0, T), (SURE - 0.01, T), (SURE, F), (9.0, F)])
def test_stable_marks_what_equals_the_draft_before_and_is_sure(entropy, sure):
    first = advanced(pinned_canvas(), step_of([[3, 4, 5, 6]], [[entropy] * 4]))
    assert first.stable.tolist() == [[F, F, T, T]]
    second = advanced(first, step_of([[3, 7, 5, 6]], [[entropy] * 4]))
    assert second.stable.tolist() == [[sure, F, T, T]]


def test_noise_that_happens_to_equal_the_first_draft_is_not_stable():
    assert advanced(canvas_of([3, 4]), step_of([[3, 4]], [[9.0, 9.0]])).stable.tolist() == [[F, F]]


def fields(canvas) -> list[object]:
    tensors = [getattr(canvas, name) for name in canvas.__dataclass_fields__ if name != "step"]
    return [canvas.step, *(None if t is None else t.tolist() for t in tensors)]


@pytest.mark.parametrize("stability", [0, 1, 2])
@pytest.mark.parametrize("rows", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_a_step_of_some_rows_is_that_of_all_for_them_and_leaves_the_others(stability, rows):
    likely = [[3, 4], [5, 6], [7, 8]]
    canvas = advanced(
        canvas_of([1, 2], [1, 2], [1, 2], stability=stability), step_of(likely, [[0.0, 1.0]] * 3)
    )
    whole = step_of([[3, 9], [5, 9], [9, 9]], [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    active = torch.tensor(rows)
    part = Step(*(getattr(whole, name)[active] for name in Step.__dataclass_fields__))
    merged = merge(canvas, advanced(take(canvas, active), part), active)
    everything = advanced(canvas, whole)
    others = torch.tensor([row for row in range(3) if row not in rows], dtype=torch.long)
    assert fields(take(merged, active)) == fields(take(everything, active))
    assert fields(take(merged, others))[1:] == fields(take(canvas, others))[1:]
    assert merged.step == 2


def test_a_bound_of_infinity_accepts_everything_that_is_free():
    got = accept(torch.full((1, 3), 5.0), torch.tensor([[T, F, T]]), math.inf)
    assert got.tolist() == [[T, F, T]]
