import numpy as np
import pytest
import torch

from sampler.train.objective import Batch
from sampler.train.own_steps import OwnSteps, Predicted, advance, draw, pin_soft, predict

EMBED = torch.eye(4)


def batch(noisy, target, free, weight):
    """One window with one canvas."""
    return Batch(
        clean=np.zeros((1, 8), np.int64),
        offset=np.array([[4]]),
        target=np.array([[target]]),
        noisy=np.array([[noisy]]),
        weight=np.array([[weight]], np.float32),
        free=np.array([[free]], np.bool_),
        pure=np.zeros((1, 1), np.bool_),
    )


def own(bound, kept=0.25):
    return OwnSteps(steps=1, temperature=0.5, bound=bound, kept=kept, seed=0)


@pytest.mark.parametrize(
    ("uniform", "sampled"), [(0.0, 0), (0.09, 0), (0.11, 1), (0.39, 2), (0.61, 3), (1.0, 3)]
)
def test_a_uniform_number_draws_the_token_in_whose_share_it_lies(uniform, sampled):
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    logits = 0.5 * shares.log()  # a temperature of a half makes the shares of it
    said = predict(logits.view(1, 1, 4), None, 0.5, torch.tensor([[uniform]]), EMBED)
    assert said.sampled.item() == sampled
    torch.testing.assert_close(said.soft[0, 0], shares)
    assert said.entropy.item() == pytest.approx(-(shares * shares.log()).sum().item(), abs=1e-5)


def test_what_is_accepted_is_as_drawn_and_the_rest_noise_but_for_what_is_pinned():
    before = batch([7, 7, 7, 7], [1, 2, 3, 7], [True, True, True, False], [1.0, 1.0, 0.5, 0.0])
    said = Predicted(
        soft=torch.zeros(1, 4, 4),
        sampled=torch.tensor([[1, 5, 6, 6]]),
        entropy=torch.tensor([[0.1, 0.2, 9.0, 0.0]]),
    )
    after = advance(before, said, own(bound=0.15), torch.tensor([[8, 8, 3, 8]]))
    assert after.noisy.tolist() == [[[1, 5, 3, 7]]]
    # Right: what was kept. Wrong: what was noise. The third is right by chance.
    assert after.weight.tolist() == [[[0.25, 1.0, 0.125, 0.0]]]


def test_a_token_that_is_lost_again_weighs_as_noise():
    before = batch([1, 2], [1, 2], [True, True], [0.25, 0.25])
    said = Predicted(torch.zeros(1, 2, 4), torch.tensor([[1, 2]]), torch.tensor([[0.0, 9.0]]))
    after = advance(before, said, own(bound=0.0), torch.tensor([[8, 8]]))
    assert after.noisy.tolist() == [[[1, 2]]]  # the last one within the bound is taken, too
    after = advance(before, said, own(bound=-1.0), torch.tensor([[8, 8]]))
    assert after.noisy.tolist() == [[[8, 8]]]
    assert after.weight.tolist() == [[[1.0, 1.0]]]


def test_pinned_positions_are_certain_of_their_own_token():
    given = batch([3, 3], [1, 2], [True, False], [1.0, 0.0])
    soft = pin_soft(torch.full((1, 2, 4), 0.5), given, EMBED)
    assert soft.tolist() == [[[0.5] * 4, [0.0, 0.0, 1.0, 0.0]]]


def test_one_to_three_steps_are_drawn_around_the_samplers_own_settings():
    drawn = [draw(np.random.default_rng(seed), 0.25) for seed in range(200)]
    assert {one.steps for one in drawn} == {1, 2, 3}
    assert all(0.2 <= one.temperature <= 0.8 and 1 <= one.bound <= 12 for one in drawn)
    assert min(one.bound for one in drawn) < 2 and max(one.bound for one in drawn) > 8
