"""Texts behind one prompt: what the causal side thinks of each, all in one pass. No text here."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sampler.denoise import numbers, prefill
from sampler.events import Scored
from sampler.work import Loop, Score


def judge(
    prompt: Sequence[int], rows: Sequence[Sequence[int]], *, pad: int, device: torch.device
) -> Loop:
    """Score each of the rows behind the prompt; yields `Scored`, padded with `pad` to one length.

    Raises InvalidParameter for an empty prompt.
    """
    yield from prefill(prompt)
    longest = max(map(len, rows))
    padded = [[*ids, *[pad] * (longest - len(ids))] for ids in rows]
    log_probs: Tensor = yield Score(torch.tensor(padded, device=device), keep=False)
    yield Scored(0, numbers(log_probs))


def totals(scored: Scored, rows: Sequence[Sequence[int]]) -> list[float]:
    """Return the log p of each row as a whole, in nats."""
    return [sum(row[: len(ids)]) for row, ids in zip(scored.log_probs.tolist(), rows, strict=True)]
