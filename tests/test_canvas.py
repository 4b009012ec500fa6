import math

import pytest
import torch

from sampler.canvas import (
    CERTAIN,
    Noise,
    accept,
    advance,
    entropy,
    force_pins,
    new_canvas,
    pin,
    settled,
)

T, F = True, False


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("probs", "nats"),
    [
        ([1.0, 0.0, 0.0, 0.0], 0.0),
        ([0.5, 0.5, 0.0, 0.0], math.log(2)),
        ([0.25, 0.25, 0.25, 0.25], math.log(4)),
        ([0.7, 0.1, 0.1, 0.1], -0.7 * math.log(0.7) - 0.3 * math.log(0.1)),
    ],
)
def test_the_entropy_is_that_of_the_distribution(probs, nats):
    logits = torch.tensor([math.log(p) if p else -CERTAIN for p in probs])
    assert entropy(logits).item() == pytest.approx(nats, abs=1e-5)


def test_the_entropy_of_a_masked_vocabulary_is_finite():
    logits = torch.full((3, 50), -CERTAIN)
    logits[:, 7] = CERTAIN
    assert entropy(logits).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("entropies", "free", "bound", "accepted"),
    [
        # The sum without the last: 0, 0.1, 0.3, 0.6 against the bound.
        ([0.1, 0.2, 0.3, 0.4], [T, T, T, T], 0.25, [T, T, F, F]),
        ([0.4, 0.3, 0.2, 0.1], [T, T, T, T], 0.25, [F, F, T, T]),
        ([0.1, 0.2, 0.3, 0.4], [T, T, T, T], 0.6, [T, T, T, T]),
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


@pytest.mark.parametrize(
    ("history", "draft", "mean", "expected"),
    [
        ([[1, 2]], [1, 2], 0.001, True),
        ([[1, 2]], [1, 3], 0.001, False),
        ([[1, 2]], [1, 2], 0.1, False),
        ([[1, 2], [1, 2]], [1, 2], 0.001, True),
        ([[1, 3], [1, 2]], [1, 2], 0.001, False),
    ],
)
def test_a_row_settles_when_it_is_stable_and_sure(history, draft, mean, expected):
    got = settled(
        torch.tensor(history)[:, None], torch.tensor([draft]), torch.tensor([mean]), 0.005
    )
    assert got.tolist() == [expected]


def test_without_a_history_every_draft_is_stable():
    got = settled(
        torch.empty(0, 1, 2, dtype=torch.long), torch.tensor([[1, 2]]), torch.tensor([0.0]), 0.005
    )
    assert got.tolist() == [True]


def test_noise_covers_the_whole_vocabulary():
    drawn = Noise([generator(0)]).tokens(4, 2000, 11)
    assert sorted(set(drawn.flatten().tolist())) == list(range(11))


def test_one_generator_for_each_row_makes_rows_independent():
    both = Noise([generator(1), generator(2)]).tokens(2, 9, 50)
    assert both[1].tolist() == Noise([generator(2)]).tokens(1, 9, 50)[0].tolist()


def test_sampling_follows_the_probabilities():
    probs = torch.tensor([0.1, 0.6, 0.3]).expand(1, 6000, 3).contiguous()
    counts = torch.bincount(Noise([generator(0)]).sample(probs)[0], minlength=3) / 6000
    # Three standard errors of a share of 6,000 draws.
    assert counts.tolist() == pytest.approx([0.1, 0.6, 0.3], abs=3 * (0.24 / 6000) ** 0.5)


def pinned_canvas():
    canvas = new_canvas(Noise([generator(0)]), 1, 4, 9, stability=1)
    return pin(canvas, torch.tensor([F, F, T, T]), torch.tensor([0, 0, 5, 6]))


def test_pins_show_in_ids_and_drafts_and_are_not_free():
    canvas = pinned_canvas()
    assert canvas.ids[0, 2:].tolist() == canvas.draft[0, 2:].tolist() == [5, 6]
    assert canvas.free.tolist() == [[T, T, F, F]]


def test_the_model_is_made_certain_of_the_pins():
    logits = force_pins(torch.zeros(1, 4, 9), pinned_canvas())
    assert logits.argmax(-1)[0, 2:].tolist() == [5, 6]
    assert entropy(logits)[0].tolist() == pytest.approx([math.log(9), math.log(9), 0, 0])


def step(canvas, logits, **more):
    options = {"temperature": 1.0, "entropy_bound": 0.1, "confidence_threshold": 0.005} | more
    return advance(canvas, logits, Noise([generator(3)]), **options)


def test_a_step_accepts_the_sure_position_and_renoises_the_rest():
    canvas = new_canvas(Noise([generator(0)]), 1, 3, 1000, stability=1)
    logits = torch.zeros(1, 3, 1000)
    logits[0, 1, 77] = 100.0
    after = step(canvas, logits)
    assert after.ids[0, 1].item() == 77
    assert after.draft[0, 1].item() == 77
    assert after.ids[0, 0].item() != canvas.ids[0, 0].item()
    assert after.step == 1


def test_pinned_entropy_does_not_keep_a_canvas_from_settling():
    canvas = pinned_canvas()
    logits = torch.zeros(1, 4, 9)
    logits[0, :2, 3] = 100.0
    after = step(step(canvas, logits), logits)
    assert after.settled.tolist() == [True]
    assert after.draft.tolist() == [[3, 3, 5, 6]]


def test_a_settled_row_stays_as_it_is():
    canvas = pinned_canvas()
    sure = torch.zeros(1, 4, 9)
    sure[0, :2, 3] = 100.0
    done = step(step(canvas, sure), sure)
    other = torch.zeros(1, 4, 9)
    other[0, :2, 8] = 100.0
    assert step(done, other).draft.tolist() == done.draft.tolist()


def test_stable_marks_what_equals_the_draft_before():
    canvas = pinned_canvas()
    one, two = torch.zeros(1, 4, 9), torch.zeros(1, 4, 9)
    one[0, 0, 3] = one[0, 1, 4] = two[0, 0, 3] = two[0, 1, 7] = 50.0
    first = step(canvas, one)
    assert first.stable.tolist() == [[F, F, T, T]]
    assert step(first, two).stable.tolist() == [[T, F, T, T]]
