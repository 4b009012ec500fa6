import pytest

from sampler.params import InvalidParameter, SamplingParams


def test_the_defaults_are_accepted_by_their_own_checks():
    assert SamplingParams().max_steps == 48


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"canvas_length": 0}, "canvas_length must be at least 1, not 0"),
        ({"max_new_tokens": -1}, "max_new_tokens must be at least 1, not -1"),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0"),
        ({"stability_threshold": -1}, "stability_threshold must be at least 0, not -1"),
        ({"pad_token_id": -1}, "pad_token_id"),
        ({"temperature_steps": 4}, "at least max_steps .48., not 4"),
        ({"t_min": 0.0}, "not 0.0 and 0.8"),
        ({"t_min": 0.9}, "not 0.9 and 0.8"),
        ({"entropy_bound": 0.0}, "entropy_bound must be above 0, not 0.0"),
        ({"entropy_bound": float("nan")}, "not nan"),
        ({"confidence_threshold": -0.1}, "not -0.1"),
    ],
)
def test_a_value_out_of_range_is_refused_and_shown(values, words):
    with pytest.raises(InvalidParameter, match=words):
        SamplingParams(**values)


@pytest.mark.parametrize(
    ("tokens", "canvas", "blocks"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (256, 64, 4)]
)
def test_the_number_of_blocks_covers_the_tokens(tokens, canvas, blocks):
    assert SamplingParams(max_new_tokens=tokens, canvas_length=canvas).num_blocks == blocks


@pytest.mark.parametrize(
    ("params", "step", "temperature"),
    [
        (SamplingParams(max_steps=4), 1, 0.8),
        (SamplingParams(max_steps=4), 4, 0.5),
        (SamplingParams(), 48, 0.4 + 0.4 / 48),
        (SamplingParams(max_steps=4, temperature_steps=48), 1, 0.8),
        (SamplingParams(max_steps=4, temperature_steps=48), 4, 0.4 + 0.4 * 45 / 48),
        (SamplingParams(t_min=0.3, t_max=0.3), 7, 0.3),
    ],
)
def test_the_temperature_falls_linearly_with_the_steps(params, step, temperature):
    assert params.temperature(step) == pytest.approx(temperature)
