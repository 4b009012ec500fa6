"""Who attends to whom, as masks: rows of one text behind their common prefix. No attention here.

Keys are `[prefix from `start` on | row 0 | row 1 | ...]`, queries the rows without the prefix. A
row never sees another row. `window` is that of a sliding layer, None in a full one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def first_seen(length: int, window: int | None) -> int:
    """Return the first position of a prefix of `length` tokens that anything behind it sees."""
    return 0 if window is None else max(0, length - window + 1)


def canvases(seen: int, widths: Sequence[int]) -> Tensor | None:
    """Return who sees whom while canvases are denoised, bool [T, seen + T]; None: all see all.

    A canvas sees itself and the `seen` tokens before it from everywhere, in a sliding layer too:
    its window is anchored at the canvas's begin, as the model was trained.
    """
    if len(widths) == 1:
        return None
    return _joined(torch.ones(sum(widths), seen, dtype=torch.bool), _rows(widths))


def causal(length: int, start: int, widths: Sequence[int], window: int | None) -> Tensor:
    """Return who sees whom while rows behind `length` tokens are encoded, bool [T, length-start+T].

    A token sees itself and what stands before it, the last `window` tokens only where given.
    """
    position = torch.cat([torch.arange(length, length + width) for width in widths])
    before = position[:, None] - torch.arange(start, length)
    among = position[:, None] - position
    inside = _rows(widths) & (among >= 0)
    if window is None:
        return _joined(torch.ones_like(before, dtype=torch.bool), inside)
    return _joined(before < window, inside & (among < window))


def _rows(widths: Sequence[int]) -> Tensor:
    row = torch.repeat_interleave(torch.tensor(widths))
    return row[:, None] == row


def _joined(before: Tensor, among: Tensor) -> Tensor:
    return torch.cat((before, among), 1)
