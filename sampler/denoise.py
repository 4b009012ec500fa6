"""The sampling loop, a generator of work for the model and of events. Read this first. No text.

    prompt -> Prefill -> for each block: new canvas, pin
                          for each step: Denoise -> accept, renoise -> Draft, until settled
                          -> Block -> Score: joins the prefix if another follows -> Scored

The loop never calls the model: it yields what it needs (`Prefill`, `Denoise`, `Score`) and is sent
the result, so that the engine may do the work of many loops in one forward pass, or of one alone.
With default parameters and the same noise this gives, token for token, what transformers'
`DiffusionGemmaForBlockDiffusion.generate` gives (a test holds both together).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sampler import canvas as cv
from sampler.events import Block, Draft, Scored
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Denoise, Loop, Prefill, Score

Region = Callable[[Tensor], Tensor]


class NotANumber(Exception):
    """What the model says is not a number; the request fails."""


@dataclass(frozen=True)
class Pins:
    """What is known of a canvas beforehand.

    `tokens` stand where `pinned` is true, both [C], or [B, C] where the rows differ. `allowed` maps
    a position to the tokens [V] that it may take, or [B, V] where the rows differ: the rest of a
    word that is half typed.
    """

    pinned: Tensor
    tokens: Tensor
    allowed: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Warm:
    """A text to begin from instead of noise: `tokens` [C] where `given` [C] or [B, C] is true.

    `strength` between 0 and 1 is the share of it that is noise all the same: 0 keeps the whole
    text as the first canvas, 1 is a start from nothing. Which share that is takes one draw more of
    the noise than a start without a warm text.
    """

    tokens: Tensor
    given: Tensor
    strength: float


def generate(
    prompt: Sequence[int],
    params: SamplingParams,
    noise: cv.Noise,
    *,
    pins: Pins | None = None,
    warm: Warm | None = None,
) -> Loop:
    """Denoise block after block behind `prompt`, for each row of `noise`.

    `pins` and `warm` hold for the first block. Raises InvalidParameter for an empty prompt, for
    several rows over several blocks, and for pins or a warm text that do not fit the canvas.
    """
    if noise.rows > 1 and params.num_blocks > 1:
        raise InvalidParameter(
            f"several rows must fit one canvas: {noise.rows} rows ask for {params.max_new_tokens} "
            f"tokens and the canvas has {params.canvas_length}; ask for each row by itself"
        )
    check_known(pins, warm, params, noise)
    yield from prefill(prompt)
    finished = torch.zeros(noise.rows, dtype=torch.bool, device=noise.device)
    for block in range(params.num_blocks):
        known = (pins, warm) if block == 0 else (None, None)
        canvas = yield from denoise_block(block, params, noise, *known)
        ids, finished = finalize(canvas.draft, finished, params)
        yield Block(block, canvas.step, ids, canvas.settled, finished)
        if block + 1 == params.num_blocks or bool(finished.all()):
            break
        log_probs: Tensor = yield Score(ids.tolist(), keep=True)
        yield Scored(block, numbers(log_probs)[None])


def prefill(prompt: Sequence[int]) -> Loop:
    """Have the prompt encoded; raises InvalidParameter where it is empty."""
    if not prompt:
        raise InvalidParameter("the prompt is empty; give at least one token")
    yield Prefill(prompt)


def denoise_block(
    block: int,
    params: SamplingParams,
    noise: cv.Noise,
    pins: Pins | None = None,
    warm: Warm | None = None,
    region: Region | None = None,
) -> Generator[Denoise | Draft, Any, cv.Canvas]:
    """Denoise one canvas behind the prefix until every row has settled, and return it.

    A row has settled when what `region` (drafts [B, C] -> bool [B, C]) says matters to the reader
    has settled; None: the whole hole. Raises NotANumber. `check_known` tells whether `pins` and
    `warm` fit, which is best known before the prompt is encoded.
    """
    canvas = _start(params, noise, pins, warm)
    allowed = {} if pins is None else pins.allowed
    while canvas.step < params.max_steps and not bool(canvas.settled.all()):
        canvas = yield from _step(canvas, params, noise, allowed, region)
        yield Draft(block, canvas.step, canvas.draft, canvas.stable)
    return canvas


def _step(
    canvas: cv.Canvas,
    params: SamplingParams,
    noise: cv.Noise,
    allowed: dict[int, Tensor],
    region: Region | None,
) -> Generator[Denoise, cv.Step, cv.Canvas]:
    """Take one step of the rows that have not settled; the others cost nothing any more."""
    active = (~canvas.settled).nonzero()[:, 0]
    rows, length = cv.take(canvas, active), canvas.ids.shape[1]
    step = yield Denoise(
        ids=rows.ids,
        free=rows.free,
        soft=rows.soft,
        uniform=noise.uniform(length)[active],
        temperature=params.temperature(canvas.step + 1),
        allowed={at: may if may.dim() == 1 else may[active] for at, may in allowed.items()},
        more=canvas.step + 1 < params.max_steps,
    )
    numbers(step.entropy)
    # The region is of all rows, for each has holes of its own.
    likely = canvas.draft.index_copy(0, active, step.likely)
    region_now = canvas.free if region is None else region(likely) & canvas.free
    rows = cv.advance(
        rows,
        step,
        noise.tokens(length)[active],
        region=region_now[active],
        entropy_bound=params.entropy_bound,
        confidence_threshold=params.confidence_threshold,
    )
    return cv.merge(canvas, rows, active)


def finalize(draft: Tensor, finished: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Pad what lies behind the first end of sequence; returns ids [B, C] and finished rows [B]."""
    eos = torch.tensor(params.eos_token_ids, dtype=draft.dtype, device=draft.device)
    ends = torch.isin(draft, eos)
    behind = (ends.cumsum(-1) - ends.long()) > 0
    ids = draft.masked_fill(behind | finished[:, None], params.pad_token_id)
    return ids, finished | ends.any(-1)


def numbers(values: Tensor) -> Tensor:
    """Return what the model said, or raise NotANumber where a value is NaN."""
    if bool(values.isnan().any()):
        raise NotANumber("the model's logits are not numbers (NaN); see how it was loaded")
    return values


def _start(
    params: SamplingParams, noise: cv.Noise, pins: Pins | None, warm: Warm | None
) -> cv.Canvas:
    length = params.canvas_length
    canvas = cv.new_canvas(noise.tokens(length), stability=params.stability_threshold)
    if pins is not None:
        canvas = cv.pin(canvas, pins.pinned, pins.tokens)
    if warm is not None:
        renewed = noise.uniform(length) < warm.strength
        canvas = cv.warm(canvas, warm.tokens, warm.given, renewed)
    return canvas


def check_known(
    pins: Pins | None, warm: Warm | None, params: SamplingParams, noise: cv.Noise
) -> None:
    """Raise InvalidParameter for pins or a warm text that do not fit the canvas."""
    if pins is not None:
        _check_pins(pins, noise, params.canvas_length)
    if warm is not None:
        _check_warm(warm, noise.rows, params.canvas_length)


def _check_pins(pins: Pins, noise: cv.Noise, length: int) -> None:
    rows, vocab = noise.rows, noise.vocab_size
    if tuple(pins.pinned.shape) not in {(length,), (rows, length)} or (
        pins.tokens.shape != pins.pinned.shape
    ):
        raise InvalidParameter(
            f"pins must cover the canvas of {length} positions, once or for each of {rows} rows, "
            f"not {tuple(pins.pinned.shape)} and {tuple(pins.tokens.shape)}"
        )
    if bool(pins.pinned.all(-1).any()):
        raise InvalidParameter("the hole is empty: every position of the canvas is pinned")
    for at, may in pins.allowed.items():
        if not 0 <= at < length:
            raise InvalidParameter(f"position {at} lies outside the canvas of {length}")
        if tuple(may.shape) not in {(vocab,), (rows, vocab)}:
            raise InvalidParameter(
                f"allowed must tell of {vocab} tokens, once or for each of {rows} rows, "
                f"not {tuple(may.shape)} at position {at}"
            )
        if not bool(may.any(-1).all()):
            raise InvalidParameter(f"no token is allowed at position {at}; allow at least one")


def _check_warm(warm: Warm, rows: int, length: int) -> None:
    shapes = {(length,), (rows, length)}
    if tuple(warm.tokens.shape) != (length,) or tuple(warm.given.shape) not in shapes:
        raise InvalidParameter(
            f"a warm text must cover the canvas of {length} positions, "
            f"not {tuple(warm.tokens.shape)} and {tuple(warm.given.shape)}"
        )
    if not 0 <= warm.strength <= 1:
        raise InvalidParameter(f"strength must be within 0..1, not {warm.strength}")
