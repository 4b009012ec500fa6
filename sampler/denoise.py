"""The sampling loop, a generator of Draft, Block and Commit. Read this first. No text here.

    prompt -> prefill -> for each block: new canvas, pin
                          for each step: denoise, accept, renoise -> Draft, until settled
                          -> Block -> the block joins the prefix -> Commit

Between two yields at most one forward pass runs, so closing the generator stops within a step.
With default parameters and the same noise this gives, token for token, what transformers'
`DiffusionGemmaForBlockDiffusion.generate` gives (a test holds both together).
"""

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from sampler import canvas as cv
from sampler.model import Denoiser, Prefix
from sampler.params import InvalidParameter, SamplingParams


@dataclass(frozen=True)
class Pins:
    """What is known of a canvas beforehand.

    `tokens` [C] stand where `pinned` [C] is true. `first` [V], if given, is true for the tokens
    that the first position may take: the rest of a word that is half typed.
    """

    pinned: Tensor
    tokens: Tensor
    first: Tensor | None = None


@dataclass(frozen=True)
class Draft:
    """The best text after step `step` of block `block`; `stable` where it equals the step before.

    `ids` and `stable` [B, C].
    """

    block: int
    step: int
    ids: Tensor
    stable: Tensor


@dataclass(frozen=True)
class Block:
    """A finished block: final ids [B, C], padding after the end of a row.

    `settled` [B] is false for rows that the step cap cut short; `finished` [B] tells which rows
    have met an end of sequence in this block or before.
    """

    block: int
    steps: int
    ids: Tensor
    settled: Tensor
    finished: Tensor


@dataclass(frozen=True)
class Commit:
    """The block has joined the prefix; `log_probs` [B, C] is what the causal side thinks of it.

    In nats, each token given all before it.
    """

    block: int
    log_probs: Tensor


def generate(
    denoiser: Denoiser,
    prompt: Tensor,
    params: SamplingParams,
    noise: cv.Noise,
    *,
    rows: int = 1,
    pins: Pins | None = None,
) -> Generator[Draft | Block | Commit, None, Prefix]:
    """Denoise block after block behind `prompt` [1 or B, P]; returns the prefix with all blocks.

    A prompt of one row is encoded once and shared by `rows` rows. `pins` hold for the first block.
    Raises InvalidParameter for an empty prompt or pins that do not fit the canvas.
    """
    if prompt.shape[1] == 0:
        raise InvalidParameter("the prompt is empty; give at least one token")
    prefix = denoiser.prefill(prompt)
    if prompt.shape[0] == 1:
        prefix = denoiser.widen(prefix, rows)
    finished = torch.zeros(prefix.batch, dtype=torch.bool, device=denoiser.device)
    for block in range(params.num_blocks):
        canvas = _start(denoiser, prefix.batch, params, noise, pins if block == 0 else None)
        while canvas.step < params.max_steps and not bool(canvas.settled.all()):
            logits = denoiser.denoise(prefix, canvas.ids, canvas.signal)
            if pins is not None and pins.first is not None and block == 0:
                logits[:, 0].masked_fill_(~pins.first, -cv.CERTAIN)
            canvas = cv.advance(
                canvas,
                logits,
                noise,
                temperature=params.temperature(canvas.step + 1),
                entropy_bound=params.entropy_bound,
                confidence_threshold=params.confidence_threshold,
            )
            yield Draft(block, canvas.step, canvas.draft, canvas.stable)
        ids, finished = finalize(canvas.draft, finished, params)
        yield Block(block, canvas.step, ids, canvas.settled, finished)
        prefix, log_probs = denoiser.commit(prefix, ids)
        yield Commit(block, log_probs)
        if bool(finished.all()):
            break
    return prefix


def finalize(draft: Tensor, finished: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Pad what lies behind the first end of sequence; returns ids [B, C] and finished rows [B]."""
    eos = torch.tensor(params.eos_token_ids, dtype=draft.dtype, device=draft.device)
    ends = torch.isin(draft, eos)
    behind = (ends.cumsum(-1) - ends.long()) > 0
    ids = draft.masked_fill(behind | finished[:, None], params.pad_token_id)
    return ids, finished | ends.any(-1)


def _start(
    denoiser: Denoiser, batch: int, params: SamplingParams, noise: cv.Noise, pins: Pins | None
) -> cv.Canvas:
    canvas = cv.new_canvas(
        noise,
        batch,
        params.canvas_length,
        denoiser.vocab_size,
        stability=params.stability_threshold,
    )
    if pins is None:
        return canvas
    if pins.pinned.shape != (params.canvas_length,) or pins.tokens.shape != pins.pinned.shape:
        raise InvalidParameter(
            f"pins must cover the canvas of {params.canvas_length} positions, "
            f"not {tuple(pins.pinned.shape)} and {tuple(pins.tokens.shape)}"
        )
    return cv.pin(canvas, pins.pinned, pins.tokens)
