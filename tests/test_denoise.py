from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from loops import (
    CPU,
    by_hand,
    causal_log_probs,
    first_canvas,
    new_engine,
    noise_of,
    prompt_of,
    recorded,
    run,
    say,
    step_to_the_end,
    tame_model,
    tokens_of,
)
from tiny_model import CANVAS, VOCAB, WINDOW
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    DiffusionGemmaGenerationConfig,
    EntropyBoundSampler,
    EntropyBoundSamplerConfig,
)

from sampler.canvas import Noise, Step
from sampler.denoise import NotANumber, Pins, Warm, denoise_block, finalize, generate
from sampler.engine import Request
from sampler.events import Block, Draft, Event, Scored
from sampler.forward import Forward, Span
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Denoise, Prefill, Score

T, F = True, False

PARAMS = SamplingParams(
    canvas_length=CANVAS, max_new_tokens=CANVAS, max_steps=6, eos_token_ids=(1,)
)

# A random model hardly ever agrees with itself twice over a whole canvas, so it stops on confidence
# alone; or on agreement where the canvas is small and what was drawn stays in it.
EARLY = {"confidence_threshold": 1.5, "stability_threshold": 0}
AGREEING = {
    "canvas_length": 2,
    "entropy_bound": 8.0,
    "confidence_threshold": 9.0,
    "max_steps": 12,
}
TWICE = {**AGREEING, "stability_threshold": 2}


@pytest.fixture(scope="module")
def model():
    return tame_model()


@pytest.fixture(scope="module")
def denoiser(model):
    return Forward(model)


def blocks_of(events: list[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def drafts_of(events: list[Event]) -> list[Draft]:
    return [event for event in events if isinstance(event, Draft)]


def text_of(events: list[Event]) -> list[int]:
    return [token for block in blocks_of(events) for token in block.ids[0].tolist()]


def plain(events: list[Event]) -> list[object]:
    """Events as numbers, to be compared."""
    return [
        [v.tolist() if isinstance(v, Tensor) else v for v in vars(event).values()]
        for event in events
    ]


def denoised(works) -> list[Denoise]:
    return [work for work in works if isinstance(work, Denoise)]


# Against transformers


@contextmanager
def drawing_from(noise: Noise, pins: Pins | None = None) -> Iterator[None]:
    """Have transformers' `generate` draw its canvases and samples from `noise`; pins stay."""

    def initialize_canvas(sampler, batch_size, device):
        drawn = noise.tokens(sampler.canvas_length)
        return drawn if pins is None else torch.where(pins.pinned, pins.tokens, drawn)

    def multinomial(probs: Tensor, num_samples: int) -> Tensor:
        mass = probs.double().cumsum(-1)
        uniform = noise.uniform(len(probs))[0, :, None].double()
        return torch.searchsorted(mass, uniform * mass[:, -1:], right=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntropyBoundSampler, "initialize_canvas", initialize_canvas)
        patch.setattr(torch, "multinomial", multinomial)
        yield


def made_certain(pins: Pins):
    """A logits processor of transformers that leaves every position the tokens it may take."""
    may = torch.ones(len(pins.pinned), VOCAB, dtype=torch.bool)
    for at, tokens in pins.allowed.items():
        may[at] = tokens
    may[pins.pinned] = torch.arange(VOCAB) == pins.tokens[pins.pinned, None]
    return lambda ids, logits: logits.masked_fill(~may, -1e4)


def generated(
    model, prompt: list[int], params: SamplingParams, seed: int, pins: Pins | None = None
):
    """What transformers' `generate` gives: the new tokens, and how many steps it took."""
    config = DiffusionGemmaGenerationConfig(
        max_new_tokens=params.max_new_tokens,
        max_denoising_steps=params.max_steps,
        t_min=params.t_min,
        t_max=params.t_max,
        sampler_config=EntropyBoundSamplerConfig(params.entropy_bound),
        stability_threshold=params.stability_threshold,
        confidence_threshold=params.confidence_threshold,
        eos_token_id=list(params.eos_token_ids),
        pad_token_id=params.pad_token_id,
    )
    with drawing_from(noise_of(seed), pins), pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.config, "canvas_length", params.canvas_length)
        output = model.generate(
            torch.tensor([prompt]),
            generation_config=config,
            logits_processor=None if pins is None else LogitsProcessorList([made_certain(pins)]),
        )
    new = output.sequences[0, len(prompt) :]
    steps = (new != params.pad_token_id).sum() / output.tokens_per_forward
    return new.tolist(), round(steps.item())


@pytest.mark.parametrize(
    ("lengths", "canvases", "options"),
    [
        pytest.param([5], 1, {}, id="one canvas"),
        pytest.param([1], 2, {}, id="a prompt of one token"),
        *(
            pytest.param([WINDOW + more], 2, {}, id=f"a prompt of the window's length {more:+}")
            for more in (-1, 0, 1)
        ),
        pytest.param([3 * WINDOW], 1, {}, id="a prompt longer than the sliding window"),
        pytest.param([5], 4, {}, id="several canvases"),
        pytest.param([WINDOW - 2], 5, {}, id="several canvases across the window"),
        pytest.param([6], 2, {"canvas_length": 5}, id="a narrow canvas"),
        pytest.param([20], 2, {"canvas_length": 2 * WINDOW}, id="a canvas wider than the window"),
        pytest.param([7, 7], 2, {}, id="two requests at once"),
        pytest.param([3, 40, 17], 3, {}, id="three requests of different lengths at once"),
        pytest.param([5], 2, EARLY, id="early stop of the denoising"),
        pytest.param([6, 9], 2, EARLY, id="early stop of one request of two"),
        pytest.param([5], 1, {"stability_threshold": 0}, id="no stability asked"),
        pytest.param([5], 3, AGREEING, id="an equal draft asked"),
        pytest.param([5], 3, TWICE, id="two equal drafts asked"),
        pytest.param([5, 7, 30], 3, AGREEING, id="an equal draft asked of three requests"),
        pytest.param([5], 1, {"entropy_bound": 8.0}, id="a generous entropy bound"),
        pytest.param([5], 1, {"entropy_bound": 1e-6}, id="one token a step"),
        pytest.param([5], 4, {"eos_token_ids": tuple(range(1, 40))}, id="an end in a block"),
        pytest.param(
            [9, 12], 4, {"eos_token_ids": (1, *range(20, 29))}, id="an end in one request of two"
        ),
    ],
)
def test_the_sampler_gives_what_transformers_generate_gives(
    model, denoiser, lengths, canvases, options
):
    params = replace(PARAMS, **options)
    params = replace(params, max_new_tokens=canvases * params.canvas_length)
    for seed in range(3):
        prompts = [prompt_of(length, seed=seed + at) for at, length in enumerate(lengths)]
        requests = [
            Request(generate(prompt, params, noise_of(10 * seed + at)), 1, params.max_new_tokens)
            for at, prompt in enumerate(prompts)
        ]
        answers = step_to_the_end(new_engine(denoiser), *requests)
        for at, (prompt, events) in enumerate(zip(prompts, answers, strict=True)):
            tokens, steps = generated(model, prompt, params, 10 * seed + at)
            assert text_of(events) == tokens
            assert len(drafts_of(events)) == sum(b.steps for b in blocks_of(events)) == steps


@pytest.mark.parametrize("options", [EARLY, AGREEING, TWICE], ids=["sure", "once", "twice"])
def test_the_early_stop_cases_do_stop_early_and_not_all_at_once(denoiser, options):
    params = replace(PARAMS, **options)
    params = replace(params, max_new_tokens=params.canvas_length)
    steps = {
        blocks_of(run(denoiser, generate(prompt_of(6), params, noise_of(seed))))[0].steps
        for seed in range(8)
    }
    assert min(steps) < params.max_steps
    assert len(steps) > 1


def test_a_blocks_log_probabilities_are_those_of_the_causal_side(model, denoiser):
    prompt = prompt_of(WINDOW - 3)
    events = run(denoiser, generate(prompt, replace(PARAMS, max_new_tokens=24), noise_of(2)))
    got = torch.cat([event.log_probs[0] for event in events if isinstance(event, Scored)])
    # Nothing asks about the last block, behind which nothing is written.
    text = text_of(events)[: len(got)]
    assert len(got) == 24 - CANVAS
    log_probs = causal_log_probs(model, prompt + text)[len(prompt) - 1 : -1]
    expected = log_probs.gather(1, torch.tensor(text)[:, None])[:, 0]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


# Seeds and rows


@pytest.mark.parametrize("rows", [1, 3])
def test_the_same_seed_gives_the_same_events(denoiser, rows):
    seeds = range(5, 5 + rows)
    first, second = (
        run(denoiser, generate(prompt_of(9), PARAMS, noise_of(*seeds)), rows) for _ in range(2)
    )
    assert plain(first) == plain(second)
    other = run(denoiser, generate(prompt_of(9), PARAMS, noise_of(99)))
    assert text_of(other) != text_of(first)


@pytest.mark.parametrize("options", [{}, EARLY], ids=["to the step cap", "early stop"])
@pytest.mark.parametrize("seeds", [(5,), (4, 5), (5, 6, 7), (9, 8, 7, 6, 5)])
def test_a_row_does_not_depend_on_how_many_others_there_are(denoiser, seeds, options):
    params = replace(PARAMS, **options)
    alone = run(denoiser, generate(prompt_of(9), params, noise_of(5)))
    among = run(denoiser, generate(prompt_of(9), params, noise_of(*seeds)), len(seeds))
    row = seeds.index(5)
    assert blocks_of(among)[0].ids[row].tolist() == text_of(alone)
    for ours, theirs in zip(drafts_of(alone), drafts_of(among), strict=False):
        assert theirs.ids[row].tolist() == ours.ids[0].tolist()
        assert theirs.stable[row].tolist() == ours.stable[0].tolist()
    others = {tuple(ids) for ids in blocks_of(among)[0].ids.tolist()}
    assert len(others) == len(seeds)


# What is encoded


@pytest.mark.parametrize(
    ("tokens", "eos", "kept"),
    [
        (CANVAS, (1,), 0),
        (2 * CANVAS, (1,), 1),
        (3 * CANVAS - 2, (1,), 2),
        # An end in the first block: nothing is written behind it.
        (3 * CANVAS, tuple(range(1, VOCAB)), 0),
    ],
)
def test_the_text_behind_which_blocks_stand_is_as_if_encoded_afresh(denoiser, tokens, eos, kept):
    prompt = prompt_of(WINDOW - 3)
    params = replace(PARAMS, max_new_tokens=tokens, eos_token_ids=eos)
    engine = new_engine(denoiser)
    (events,) = step_to_the_end(engine, Request(generate(prompt, params, noise_of(0)), 1, tokens))
    whole = prompt + text_of(events)[: kept * CANVAS]
    reused = engine.cache.acquire([*prompt, *text_of(events), 3])
    assert reused.ids == whole
    fresh = denoiser.new_kv()
    hidden = denoiser.encode([Span(fresh, (len(whole),))], torch.tensor(whole))
    fresh.extend(whole, hidden[-1])
    canvas = torch.tensor(prompt_of(CANVAS, seed=8))
    torch.testing.assert_close(
        denoiser.decode([Span(reused, (CANVAS,))], canvas, None),
        denoiser.decode([Span(fresh, (CANVAS,))], canvas, None),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize(("tokens", "keep"), [(1, []), (8, []), (9, [T]), (24, [T, T])])
def test_a_block_joins_the_prefix_where_another_follows(tokens, keep):
    works, _ = by_hand(
        generate([4, 5], replace(PARAMS, max_new_tokens=tokens), noise_of(0)),
        lambda work: say(work, torch.full((CANVAS,), 9)),
    )
    assert works[0] == Prefill([4, 5])
    assert [work.keep for work in works if isinstance(work, Score)] == keep


def test_a_cancelled_request_takes_no_step_more_and_gives_its_text_back(denoiser):
    engine = new_engine(denoiser)
    params = replace(PARAMS, max_new_tokens=80)
    log: list[object] = []
    loop = recorded(generate(prompt_of(4), params, noise_of(0)), log)
    engine.submit("a", Request(loop, 1, 80))
    while not denoised(work for work, _ in log):
        engine.step()
    steps = len(log)
    assert engine.cancel("a")
    assert (engine.step(), len(log), engine.idle, engine.cache.lent) == ([], steps, True, 0)


# By hand


def test_a_sure_model_settles_in_two_steps_and_fills_every_block():
    params = replace(PARAMS, max_new_tokens=20)
    _, events = by_hand(
        generate([4], params, noise_of(0)), lambda work: say(work, torch.full((CANVAS,), 9))
    )
    assert [(b.block, b.steps, bool(b.settled)) for b in blocks_of(events)] == [
        (0, 2, True),
        (1, 2, True),
        (2, 2, True),
    ]
    assert [(d.block, d.step) for d in drafts_of(events)] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    assert [d.stable.tolist() for d in drafts_of(events)[:2]] == [[[F] * 8], [[T] * 8]]


def test_the_step_cap_ends_what_does_not_settle_and_says_so():
    works, events = by_hand(
        generate([4], PARAMS, noise_of(0)), lambda work: say(work, torch.full((CANVAS,), 9), 2.0)
    )
    assert len(denoised(works)) == 6
    assert [(b.steps, bool(b.settled)) for b in blocks_of(events)] == [(6, False)]


@pytest.mark.parametrize("temperature_steps", [None, 8])
def test_the_temperature_falls_and_the_last_step_wants_no_embeddings(temperature_steps):
    params = replace(PARAMS, max_steps=4, temperature_steps=temperature_steps)
    works, _ = by_hand(
        generate([4], params, noise_of(0)), lambda work: say(work, torch.full((CANVAS,), 9), 2.0)
    )
    expected = {None: [0.8, 0.7, 0.6, 0.5], 8: [0.8, 0.75, 0.7, 0.65]}[temperature_steps]
    assert [work.temperature for work in denoised(works)] == pytest.approx(expected)
    assert [work.more for work in denoised(works)] == [T, T, T, F]


def test_the_embeddings_of_a_step_condition_the_next_one_and_no_other_block():
    given = []

    def read(work: Denoise) -> Step:
        given.append(None if work.soft is None else work.soft[0, 0, 0].item())
        return replace(
            say(work, torch.full((CANVAS,), 9)), soft=torch.full((1, CANVAS, 1), float(len(given)))
        )

    by_hand(generate([4], replace(PARAMS, max_new_tokens=16), noise_of(0)), read)
    assert given == [None, 1.0, None, 3.0]


def test_the_end_of_sequence_stops_the_blocks_and_pads_what_lies_behind():
    params = replace(PARAMS, max_new_tokens=80, eos_token_ids=(9,))
    likely = torch.tensor([7, 7, 9, 7, 9, 7, 7, 7])
    works, events = by_hand(generate([4], params, noise_of(0)), lambda work: say(work, likely))
    assert [b.ids.tolist() for b in blocks_of(events)] == [[[7, 7, 9, 0, 0, 0, 0, 0]]]
    assert blocks_of(events)[0].finished.tolist() == [True]
    assert not any(isinstance(work, Score) for work in works)


def test_finalize_pads_behind_the_first_end_and_whole_finished_rows():
    params = replace(PARAMS, eos_token_ids=(1, 5))
    draft = torch.tensor([[7, 5, 1, 7], [7, 7, 7, 7], [1, 7, 7, 7], [7, 7, 7, 7], [7, 7, 7, 5]])
    ids, finished = finalize(draft, torch.tensor([F, T, F, F, F]), params)
    assert ids.tolist() == [
        [7, 5, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [7, 7, 7, 7],
        [7, 7, 7, 5],
    ]
    assert finished.tolist() == [T, T, T, F, T]


def rows_named_by_a_pin(rows: int) -> Pins:
    """The last position of each row is pinned to the row's number and tells a test which it is."""
    pinned = torch.zeros(rows, CANVAS, dtype=torch.bool)
    pinned[:, -1] = True
    return Pins(pinned, torch.arange(rows)[:, None].expand(rows, CANVAS))


@pytest.mark.parametrize("stability", [0, 1, 2])
def test_settled_rows_cost_nothing_and_their_drafts_stay(stability):
    sure_from = [1, 3, 2]  # the step from which on each row says the same and is sure
    step, asked = 0, []

    def read(work: Denoise) -> Step:
        nonlocal step
        step += 1
        names = work.ids[:, -1].tolist()
        asked.append(names)
        sure = [step >= sure_from[name] for name in names]
        likely = [[50 + n if s else 10 + step] * CANVAS for n, s in zip(names, sure, strict=True)]
        entropy = torch.tensor([[0.0 if s else 3.0] * CANVAS for s in sure])
        return say(work, torch.tensor(likely), entropy)

    params = replace(PARAMS, max_steps=9, stability_threshold=stability)
    _, events = by_hand(generate([4], params, noise_of(1, 2, 3), pins=rows_named_by_a_pin(3)), read)
    steps_of = [first + stability for first in sure_from]
    assert asked == [
        [name for name in range(3) if step <= steps_of[name]]
        for step in range(1, max(steps_of) + 1)
    ]
    for draft in drafts_of(events):
        for name in range(3):
            if draft.step >= sure_from[name]:
                assert draft.ids[name].tolist() == [50 + name] * (CANVAS - 1) + [name]
    assert blocks_of(events)[0].settled.tolist() == [T, T, T]


def first_three(drafts: Tensor) -> Tensor:
    return (torch.arange(CANVAS) < 3).expand_as(drafts)


@pytest.mark.parametrize(("region", "steps", "settled"), [(first_three, 2, True), (None, 6, False)])
def test_a_row_stops_when_what_its_reader_sees_has_settled(region, steps, settled):
    step = 0

    def read(work: Denoise) -> Step:
        nonlocal step
        step += 1
        return say(
            work,
            torch.tensor([5, 6, 7, *[10 + step] * 5]),
            torch.tensor([0.0, 0.0, 0.0, *[4.0] * 5]),
        )

    canvas = None

    def loop():
        nonlocal canvas
        canvas = yield from denoise_block(0, PARAMS, noise_of(0), region=region)

    by_hand(loop(), read)
    assert (canvas.step, canvas.settled.tolist()) == (steps, [settled])


def test_the_region_is_that_of_the_draft_which_settles():
    """The reader sees up to the token 9; the second draft brings it before all that is unsure."""
    said = iter([[5, 5, 5, 5, 5, 5, 5, 9], [5, 5, 9, 1, 1, 1, 1, 1]])
    entropy = torch.tensor([0.0, 0.0, 0.0, *[4.0] * 5])

    def until_nine(draft: Tensor) -> Tensor:
        return (draft == 9).cumsum(-1) - (draft == 9).long() == 0

    params = replace(PARAMS, stability_threshold=0)
    works, _ = by_hand(
        denoise_block(0, params, noise_of(0), region=until_nine),
        lambda work: say(work, torch.tensor(next(said)), entropy),
    )
    assert len(works) == 2


@pytest.mark.parametrize("position", [0, 7])
def test_what_is_not_a_number_is_refused(position):
    entropy = torch.zeros(2, CANVAS)
    entropy[1, position] = torch.nan
    with pytest.raises(NotANumber, match="NaN"):
        by_hand(
            generate([4], PARAMS, noise_of(0, 1)),
            lambda work: say(work, torch.full((CANVAS,), 9), entropy),
        )


def test_a_finished_block_that_is_not_a_number_is_refused():
    with pytest.raises(NotANumber, match="NaN"):
        by_hand(
            generate([4], replace(PARAMS, max_new_tokens=2 * CANVAS), noise_of(0)),
            lambda work: say(work, torch.full((CANVAS,), 9)),
            lambda work: torch.full((tokens_of(work),), torch.nan),
        )


# Pins


def pins_at(*positions: int, allowed: dict[int, Tensor] | None = None) -> Pins:
    pinned = torch.zeros(CANVAS, dtype=torch.bool)
    pinned[list(positions)] = True
    return Pins(pinned, torch.arange(40, 40 + CANVAS), allowed or {})


def only(*tokens: int) -> Tensor:
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[list(tokens)] = True
    return allowed


@pytest.mark.parametrize("positions", [(7,), (5, 6, 7), (0, 1), (2, 5), tuple(range(7))])
def test_pinned_tokens_never_change(denoiser, positions):
    log: list[tuple[Denoise, Step]] = []
    loop = recorded(generate(prompt_of(6), PARAMS, noise_of(1), pins=pins_at(*positions)), log)
    events = run(denoiser, loop)
    expected = [40 + p for p in positions]
    for event in [*drafts_of(events), *blocks_of(events)]:
        assert event.ids[0, list(positions)].tolist() == expected
    for draft in drafts_of(events):
        assert draft.stable[0, list(positions)].all()
    for work in denoised(work for work, _ in log):
        assert work.ids[0, list(positions)].tolist() == expected


@pytest.mark.parametrize(
    ("positions", "allowed"),
    [((7,), {}), ((5, 6, 7), {0: only(60, 61)}), ((0, 3), {}), ((), {2: only(*range(30, 90))})],
)
def test_pins_give_what_generate_gives_whose_logits_are_made_certain(
    model, denoiser, positions, allowed
):
    pins = pins_at(*positions, allowed=allowed)
    for seed in range(3):
        for bound in (0.1, 8.0):
            prompt, params = prompt_of(9, seed=seed), replace(PARAMS, entropy_bound=bound)
            events = run(denoiser, generate(prompt, params, noise_of(seed), pins=pins))
            assert text_of(events) == generated(model, prompt, params, seed, pins)[0]


def test_the_model_has_no_doubt_of_what_is_pinned(denoiser):
    log: list[tuple[Denoise, Step]] = []
    pins = pins_at(2, 5)
    run(denoiser, recorded(generate(prompt_of(6), PARAMS, noise_of(1), pins=pins), log))
    said = [step for work, step in log if isinstance(work, Denoise)]
    for step in said:
        assert step.sampled[0, [2, 5]].tolist() == step.likely[0, [2, 5]].tolist() == [42, 45]
        assert (step.entropy[0] == 0).tolist() == [p in (2, 5) for p in range(CANVAS)]


def test_pinned_positions_cost_no_entropy_budget():
    """Two free positions fit the budget, however many pinned ones stand before them."""
    entropies = torch.tensor([0.0, 0.0, 0.0, 0.09, 0.2, 0.3, 0.4, 0.5])
    taken = []
    for positions in [(), (0, 1, 2), (2, 6, 7)]:
        loop = generate([4], PARAMS, noise_of(0), pins=pins_at(*positions))
        works, _ = by_hand(loop, lambda work: say(work, torch.full((CANVAS,), 96), entropies))
        second = denoised(works)[1]
        free = [p for p in range(CANVAS) if p not in positions]
        taken.append([p for p in free if second.ids[0, p] == 96])
    assert taken == [[0, 1, 2, 3, 4], [3, 4], [0, 1, 3, 4]]


def test_rows_may_have_different_pins(denoiser):
    pinned = torch.zeros(3, CANVAS, dtype=torch.bool)
    pinned[0, 5:], pinned[1, 2:4], pinned[2, 0] = True, True, True
    tokens = torch.arange(20, 20 + 3 * CANVAS).view(3, CANVAS)
    events = run(
        denoiser, generate(prompt_of(6), PARAMS, noise_of(1, 2, 3), pins=Pins(pinned, tokens)), 3
    )
    for event in [*drafts_of(events), *blocks_of(events)]:
        assert event.ids[pinned].tolist() == tokens[pinned].tolist()
    for row in range(3):
        alone = generate(
            prompt_of(6), PARAMS, noise_of(row + 1), pins=Pins(pinned[row], tokens[row])
        )
        assert blocks_of(events)[0].ids[row].tolist() == text_of(run(denoiser, alone))


def test_pins_and_a_warm_text_hold_for_the_first_block_only(denoiser):
    params = replace(PARAMS, max_new_tokens=2 * CANVAS)
    pins, warm = pins_at(*range(7)), warm_of(torch.full((CANVAS,), 77), strength=0.0)
    log: list[tuple[Denoise, Step]] = []
    loop = generate(prompt_of(6), params, noise_of(1), pins=pins, warm=warm)
    events = run(denoiser, recorded(loop, log))
    canvases = [work for work in denoised(work for work, _ in log) if work.soft is None]
    assert [int(work.free.sum()) for work in canvases] == [1, 8]
    assert canvases[0].ids[0].tolist() == [*range(40, 47), 77]
    # Behind them comes noise alone: the next that there is.
    noise = noise_of(1)
    noise.tokens(CANVAS), noise.uniform(CANVAS)
    for _ in range(blocks_of(events)[0].steps):
        noise.uniform(CANVAS), noise.tokens(CANVAS)
    assert canvases[1].ids.tolist() == noise.tokens(CANVAS).tolist()


@pytest.mark.parametrize("position", [0, 3, 6])
def test_a_position_takes_only_what_is_allowed_and_only_that_one(denoiser, position):
    said = {}
    pins = {"all": pins_at(7), "some": pins_at(7, allowed={position: only(60, 61)})}
    for seed in range(5):
        for name in pins:
            log: list[tuple[Denoise, Step]] = []
            loop = generate(prompt_of(6), PARAMS, noise_of(seed), pins=pins[name])
            events = run(denoiser, recorded(loop, log))
            said[name] = [step for work, step in log if isinstance(work, Denoise)]
        for draft in [*drafts_of(events), *blocks_of(events)]:
            assert draft.ids[0, position].item() in (60, 61)
        for step in said["some"]:
            assert step.sampled[0, position].item() in (60, 61)
            assert 0 <= step.entropy[0, position].item() <= 0.6931472
        # The first canvas is the same, and so is what is said of every other position.
        others = [p for p in range(CANVAS) if p != position]
        free, limited = said["all"][0], said["some"][0]
        assert limited.sampled[0, others].tolist() == free.sampled[0, others].tolist()
        assert limited.entropy[0, others].tolist() == free.entropy[0, others].tolist()


def test_what_is_allowed_may_differ_from_row_to_row(denoiser):
    # Rows settle at different steps, and each one keeps what it is allowed.
    rows = torch.stack([only(60, 61), ~only(), only(62)])
    settled_early = False
    for seed in range(4):
        pins = pins_at(7, allowed={2: rows})
        seeds = [seed, seed + 10, seed + 20]
        log: list[tuple[Denoise, Step]] = []
        loop = generate(prompt_of(6), replace(PARAMS, **EARLY), noise_of(*seeds), pins=pins)
        events = run(denoiser, recorded(loop, log), 3)
        sizes = {len(work.ids) for work in denoised(work for work, _ in log)}
        settled_early |= bool(sizes & {1, 2})
        for row in range(3):
            alone = generate(
                prompt_of(6),
                replace(PARAMS, **EARLY),
                noise_of(seeds[row]),
                pins=pins_at(7, allowed={2: rows[row]}),
            )
            assert blocks_of(events)[0].ids[row].tolist() == text_of(run(denoiser, alone))
    assert settled_early


# Warm starts

WIDE = replace(PARAMS, canvas_length=4000, max_new_tokens=4000)


def warm_of(tokens: Tensor, *, strength: float, given: Tensor | None = None) -> Warm:
    return Warm(
        tokens, torch.ones_like(tokens, dtype=torch.bool) if given is None else given, strength
    )


def wide_noise() -> Noise:
    return Noise([3], 50_000, CPU)


TEXT = torch.arange(50_000, 54_000)  # no token of which is ever drawn as noise


@pytest.mark.parametrize(
    ("strength", "kept"), [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.9, 0.1), (1.0, 0.0)]
)
def test_the_strength_is_the_share_of_a_warm_text_that_is_noise(strength, kept):
    loop = generate([4], WIDE, wide_noise(), warm=warm_of(TEXT, strength=strength))
    ids = first_canvas(loop).ids[0]
    assert ids[ids >= 50_000].tolist() == TEXT[ids >= 50_000].tolist()
    share = (ids >= 50_000).double().mean().item()
    # Four standard errors; none at the ends.
    assert share == pytest.approx(kept, abs=4 * (strength * (1 - strength) / 4000) ** 0.5)
    # The rest is what a start from nothing begins with.
    cold = first_canvas(generate([4], WIDE, wide_noise())).ids[0]
    assert ids[ids < 50_000].tolist() == cold[ids < 50_000].tolist()


def test_a_warm_text_takes_one_draw_more_of_the_noise():
    noise = wide_noise()
    first = noise.tokens(4000), noise.uniform(4000), noise.uniform(4000)
    cold = first_canvas(generate([4], WIDE, wide_noise()))
    warm = first_canvas(generate([4], WIDE, wide_noise(), warm=warm_of(TEXT, strength=1.0)))
    assert cold.ids.tolist() == warm.ids.tolist() == first[0].tolist()
    assert (cold.uniform.tolist(), warm.uniform.tolist()) == (first[1].tolist(), first[2].tolist())


def test_a_warm_text_stands_only_where_it_is_given_and_not_pinned():
    given = torch.tensor([T, T, F, T, F, T, T, F])
    warm = warm_of(torch.full((CANVAS,), 90), strength=0.0, given=given)
    ids = first_canvas(generate([4], PARAMS, noise_of(0), pins=pins_at(1, 2), warm=warm)).ids[0]
    cold = first_canvas(generate([4], PARAMS, noise_of(0))).ids[0].tolist()
    assert ids.tolist() == [90, 41, 42, 90, cold[4], 90, 90, cold[7]]


def test_a_warm_text_may_be_given_to_some_rows_only():
    given = torch.tensor([[T] * 8, [F] * 8, [T, F] * 4])
    warm = warm_of(torch.full((CANVAS,), 90), strength=0.0, given=given)
    ids = first_canvas(generate([4], PARAMS, noise_of(0, 1, 2), warm=warm)).ids
    cold = first_canvas(generate([4], PARAMS, noise_of(0, 1, 2))).ids
    assert ids.tolist() == torch.where(given, 90, cold).tolist()


def test_each_row_renews_a_share_of_its_own():
    loop = generate([4], PARAMS, noise_of(0, 1), warm=warm_of(torch.arange(8), strength=0.5))
    ids = first_canvas(loop).ids
    kept = (ids == torch.arange(8)).tolist()
    assert kept[0] != kept[1]


# What is refused

SHORT = torch.zeros(5, dtype=torch.long)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": []}, "prompt is empty"),
        (
            {"noise": noise_of(0, 1), "params": replace(PARAMS, max_new_tokens=9)},
            "2 rows ask for 9 tokens and the canvas has 8",
        ),
        ({"pins": Pins(SHORT.bool(), SHORT)}, r"canvas of 8 .*\(5,\) and \(5,\)"),
        ({"pins": Pins(torch.zeros(8).bool(), SHORT)}, r"canvas of 8 .*\(8,\) and \(5,\)"),
        (
            {"pins": Pins(torch.zeros(2, 8).bool(), torch.zeros(2, 8).long())},
            r"each of 1 rows, not \(2, 8\)",
        ),
        ({"pins": pins_at(*range(8))}, "every position of the canvas is pinned"),
        (
            {
                "pins": Pins(torch.tensor([[F] * 8, [T] * 8]), torch.zeros(2, 8).long()),
                "noise": noise_of(0, 1),
            },
            "every position of the canvas is pinned",
        ),
        ({"pins": pins_at(7, allowed={8: only(60)})}, "position 8 lies outside the canvas of 8"),
        ({"pins": pins_at(7, allowed={-1: only(60)})}, "position -1 lies outside"),
        ({"pins": pins_at(7, allowed={3: only()})}, "no token is allowed at position 3"),
        (
            {"pins": pins_at(7, allowed={3: torch.ones(9).bool()})},
            r"97 tokens, .* not \(9,\) at position 3",
        ),
        ({"warm": warm_of(SHORT, strength=0.5)}, r"canvas of 8 .*\(5,\) and \(5,\)"),
        (
            {"warm": Warm(torch.arange(8), torch.ones(5).bool(), 0.5)},
            r"canvas of 8 .*\(8,\) and \(5,\)",
        ),
        (
            {"warm": Warm(torch.arange(8), torch.ones(2, 8).bool(), 0.5)},
            r"canvas of 8 .*\(8,\) and \(2, 8\)",
        ),
        ({"warm": warm_of(torch.arange(8), strength=-0.1)}, "within 0..1, not -0.1"),
        ({"warm": warm_of(torch.arange(8), strength=1.5)}, "within 0..1, not 1.5"),
        ({"warm": warm_of(torch.arange(8), strength=float("nan"))}, "within 0..1, not nan"),
    ],
)
def test_wrong_input_is_refused_with_its_value_before_anything_is_encoded(options, words):
    given = {"prompt": [4], "params": PARAMS, "noise": noise_of(0)} | options
    with pytest.raises(InvalidParameter, match=words):
        next(generate(**given))
