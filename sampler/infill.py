"""A hole between a prefix and a suffix: its canvas, and its text out of one. No loop, no model.

    [ hole: middle, then empty slack (end of sequence) | suffix, pinned ]

The pinned suffix stands at the end of the canvas, so that the model sees where the text must
join; what it does not need of the hole it leaves empty.
"""

import torch
from torch import Tensor

from sampler.denoise import Pins
from sampler.params import InvalidParameter


def lay_out(
    suffix_ids: list[int], canvas_length: int, hole: int, *, first: Tensor | None, device: object
) -> Pins:
    """Pin as much of the suffix as lies behind a hole of `hole` positions.

    Raises InvalidParameter where the hole does not fit into the canvas.
    """
    if not 0 < hole <= canvas_length:
        raise InvalidParameter(f"hole must be within 1..{canvas_length}, not {hole}")
    shown = suffix_ids[: canvas_length - hole]
    pinned = torch.zeros(canvas_length, dtype=torch.bool)
    tokens = torch.zeros(canvas_length, dtype=torch.long)
    if shown:
        pinned[-len(shown) :] = True
        tokens[-len(shown) :] = torch.tensor(shown)
    return Pins(pinned.to(device), tokens.to(device), first)  # type: ignore[call-overload]


def middle(ids: list[int], free: int, eos_token_ids: tuple[int, ...]) -> list[int]:
    """Return the hole's text: the first `free` ids up to the first end of sequence."""
    hole = ids[:free]
    ends = [i for i, token in enumerate(hole) if token in eos_token_ids]
    return hole[: ends[0]] if ends else hole
