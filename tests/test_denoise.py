from dataclasses import replace

import pytest
import torch
from tiny_model import CANVAS, VOCAB, WINDOW, tiny_model
from torch import Tensor

from sampler.canvas import Noise
from sampler.denoise import Block, Draft, Pins, finalize, generate
from sampler.model import Prefix, TransformersDenoiser, params_from_checkpoint
from sampler.params import InvalidParameter, SamplingParams


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def denoiser(model):
    return TransformersDenoiser(model)


def prompt_of(length: int, rows: int = 1, seed: int = 3) -> Tensor:
    return torch.randint(8, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def noise_of(seed: int, rows: int = 1) -> Noise:
    return Noise([torch.Generator().manual_seed(seed + row) for row in range(rows)])


# A random model never agrees with itself twice, so it stops on confidence alone.
EARLY = {"confidence_threshold": 1.5, "stability_threshold": 0}

PARAMS = SamplingParams(
    canvas_length=CANVAS, max_new_tokens=CANVAS, max_steps=6, eos_token_ids=(1,)
)


def run(denoiser, prompt, params, noise, **more):
    """Return the drafts, the blocks and the final prefix."""
    drafts, blocks = [], []
    steps = generate(denoiser, prompt, params, noise, **more)
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            return drafts, blocks, stop.value
        if isinstance(event, Draft | Block):
            (drafts if isinstance(event, Draft) else blocks).append(event)


@pytest.mark.parametrize(
    ("name", "length", "rows", "tokens", "options"),
    [
        ("one canvas", 5, 1, CANVAS, {}),
        ("a prompt longer than the sliding window", 3 * WINDOW, 1, CANVAS, {}),
        ("several canvases", 5, 1, 4 * CANVAS, {}),
        ("several canvases across the window", WINDOW - 2, 1, 5 * CANVAS, {}),
        ("a batch of two", 7, 2, 2 * CANVAS, {}),
        ("early stop of the denoising", 5, 1, 2 * CANVAS, EARLY),
        ("early stop of one row of two", 6, 2, 2 * CANVAS, EARLY),
        ("no stability asked", 5, 1, CANVAS, {"stability_threshold": 0}),
        ("two equal drafts asked", 5, 1, CANVAS, {"stability_threshold": 2}),
        ("a generous entropy bound", 5, 1, CANVAS, {"entropy_bound": 8.0}),
        ("end of sequence in a block", 5, 1, 4 * CANVAS, {"eos_token_id": list(range(1, 40))}),
        ("end of sequence in one row", 9, 2, 4 * CANVAS, {"eos_token_id": [1, *range(20, 29)]}),
    ],
)
def test_the_sampler_gives_what_transformers_generate_gives(
    model, denoiser, name, length, rows, tokens, options
):
    options = {"max_denoising_steps": 6, "eos_token_id": [1], "pad_token_id": 0} | options
    bound = options.pop("entropy_bound", 0.1)
    options["sampler_config"] = {
        "_cls_name": "EntropyBoundSamplerConfig",
        "entropy_bound": bound,
    }
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        DiffusionGemmaGenerationConfig,
    )

    config = DiffusionGemmaGenerationConfig(max_new_tokens=tokens, t_min=0.4, t_max=0.8, **options)
    prompt = prompt_of(length, rows)
    for seed in range(4):
        torch.manual_seed(seed)
        expected = model.generate(prompt, generation_config=config)
        params = SamplingParams(
            canvas_length=CANVAS,
            max_new_tokens=tokens,
            max_steps=6,
            entropy_bound=bound,
            confidence_threshold=options.get("confidence_threshold", 0.005),
            stability_threshold=options.get("stability_threshold", 1),
            eos_token_ids=tuple(options["eos_token_id"]),
        )
        drafts, blocks, _ = run(denoiser, prompt, params, noise_of(seed))
        got = torch.cat([prompt, *(block.ids for block in blocks)], dim=1)
        assert got.tolist() == expected.sequences.tolist(), name
        assert len(drafts) == sum(block.steps for block in blocks)


def test_the_early_stop_cases_do_stop_early(denoiser):
    params = replace(PARAMS, **EARLY)
    blocks = [run(denoiser, prompt_of(6, 2), params, noise_of(s))[1][0] for s in range(4)]
    assert min(block.steps for block in blocks) < params.max_steps


def test_the_same_seed_gives_the_same_text(denoiser):
    first, second = (run(denoiser, prompt_of(9), PARAMS, noise_of(5))[1][0].ids for _ in range(2))
    assert first.tolist() == second.tolist()


def test_a_row_does_not_depend_on_its_neighbours(denoiser):
    alone = run(denoiser, prompt_of(9), PARAMS, noise_of(5))[1][0].ids
    among = run(denoiser, prompt_of(9), PARAMS, noise_of(5, rows=3), rows=3)[1][0].ids
    assert among[0].tolist() == alone[0].tolist()
    assert among[1].tolist() != alone[0].tolist()


def test_the_last_block_is_committed_too(denoiser):
    prompt = prompt_of(5)
    _, blocks, prefix = run(denoiser, prompt, replace(PARAMS, max_new_tokens=16), noise_of(0))
    whole = torch.cat([prompt, *(b.ids for b in blocks)], dim=1)
    assert prefix.length == whole.shape[1]
    fresh = denoiser.prefill(whole)
    canvas = prompt_of(CANVAS, seed=8)
    torch.testing.assert_close(
        denoiser.denoise(prefix, canvas, None),
        denoiser.denoise(fresh, canvas, None),
        atol=1e-4,
        rtol=1e-4,
    )


def pins_at(*positions: int, tokens: Tensor | None = None, first: Tensor | None = None) -> Pins:
    pinned = torch.zeros(CANVAS, dtype=torch.bool)
    pinned[list(positions)] = True
    return Pins(pinned, torch.arange(40, 40 + CANVAS) if tokens is None else tokens, first)


@pytest.mark.parametrize("positions", [(7,), (5, 6, 7), (0, 1), (2, 5), tuple(range(8))])
def test_pinned_tokens_never_change(denoiser, positions):
    pins = pins_at(*positions)
    drafts, blocks, _ = run(denoiser, prompt_of(6), PARAMS, noise_of(1), pins=pins)
    for event in [*drafts, *blocks]:
        assert event.ids[0, list(positions)].tolist() == [40 + p for p in positions]


def test_pins_hold_for_the_first_block_only(denoiser):
    params = replace(PARAMS, max_new_tokens=2 * CANVAS)
    _, blocks, _ = run(denoiser, prompt_of(6), params, noise_of(1), pins=pins_at(*range(CANVAS)))
    assert blocks[0].ids[0].tolist() == list(range(40, 48))
    assert blocks[1].ids[0].tolist() != list(range(40, 48))


def test_a_fully_pinned_canvas_settles_as_soon_as_two_drafts_are_equal(denoiser):
    _, blocks, _ = run(denoiser, prompt_of(6), PARAMS, noise_of(1), pins=pins_at(*range(CANVAS)))
    assert blocks[0].steps == 2


def test_the_first_position_takes_only_what_is_allowed(denoiser):
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[[60, 61]] = True
    for seed in range(5):
        _, blocks, _ = run(
            denoiser, prompt_of(6), PARAMS, noise_of(seed), pins=pins_at(7, first=allowed)
        )
        assert blocks[0].ids[0, 0].item() in (60, 61)


class CountingDenoiser:
    """A model that wants token 9 everywhere and counts its passes."""

    vocab_size = VOCAB
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.steps = 0
        self.commits: list[int] = []

    def prefill(self, ids: Tensor) -> Prefix:
        self.commits.append(ids.shape[1])
        return Prefix(None, ids.shape[1], ids.shape[0])

    def commit(self, prefix: Prefix, ids: Tensor) -> tuple[Prefix, Tensor]:
        self.commits.append(ids.shape[1])
        return Prefix(None, prefix.length + ids.shape[1], ids.shape[0]), torch.zeros(ids.shape)

    def widen(self, prefix: Prefix, batch: int) -> Prefix:
        return Prefix(None, prefix.length, batch)

    def denoise(self, prefix: Prefix, ids: Tensor, signal: Tensor | None) -> Tensor:
        self.steps += 1
        logits = torch.zeros(*ids.shape, VOCAB)
        logits[..., 9] = 30.0
        return logits


def test_closing_the_generator_stops_within_a_step():
    fake = CountingDenoiser()
    steps = generate(fake, prompt_of(4), replace(PARAMS, max_new_tokens=80), noise_of(0))
    next(steps)
    assert fake.steps == 1
    steps.close()
    assert (fake.steps, fake.commits) == (1, [4])


def test_a_sure_model_settles_in_two_steps_and_fills_every_block():
    fake = CountingDenoiser()
    params = replace(PARAMS, max_new_tokens=20)
    drafts, blocks, prefix = run(fake, prompt_of(4), params, noise_of(0))
    assert [b.steps for b in blocks] == [2, 2, 2]
    assert all(bool(b.settled.all()) for b in blocks)
    assert prefix.length == 4 + 3 * CANVAS
    assert [d.step for d in drafts] == [1, 2, 1, 2, 1, 2]


def test_the_end_of_sequence_stops_the_blocks_and_pads_what_lies_behind():
    fake = CountingDenoiser()
    params = replace(PARAMS, max_new_tokens=80, eos_token_ids=(9,))
    _, blocks, _ = run(fake, prompt_of(4), params, noise_of(0))
    assert [b.ids.tolist() for b in blocks] == [[[9, 0, 0, 0, 0, 0, 0, 0]]]


def test_finalize_pads_behind_the_first_end_and_whole_finished_rows():
    params = replace(PARAMS, eos_token_ids=(1, 5))
    draft = torch.tensor([[7, 5, 1, 7], [7, 7, 7, 7], [1, 7, 7, 7]])
    ids, finished = finalize(draft, torch.tensor([False, True, False]), params)
    assert ids.tolist() == [[7, 5, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert finished.tolist() == [True, True, True]


@pytest.mark.parametrize(
    ("prompt", "pins", "words"),
    [
        (torch.zeros(1, 0, dtype=torch.long), None, "prompt is empty"),
        (
            prompt_of(3),
            Pins(torch.zeros(5, dtype=torch.bool), torch.zeros(5).long()),
            "8 positions",
        ),
    ],
)
def test_wrong_input_is_refused_with_its_value(prompt, pins, words):
    with pytest.raises(InvalidParameter, match=words):
        next(generate(CountingDenoiser(), prompt, PARAMS, noise_of(0), pins=pins))


def test_the_checkpoint_brings_its_own_defaults(model):
    params = params_from_checkpoint(model)
    assert params.canvas_length == CANVAS
    assert params.max_steps == SamplingParams().max_steps
