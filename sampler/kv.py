"""The keys and values of one encoded text, with room behind it for canvases. No cache policy.

    [ encoded tokens: length | room: the canvases that are being denoised behind it ]

A canvas's keys and values are written into the room at every step and never kept; encoding tokens
for good writes them there too and moves the length. So nothing is copied from step to step, and
all candidates share the one text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Buffers grow by so many positions at once, so that typing does not copy them at every key.
PAGE = 256


@dataclass(frozen=True)
class LayerShape:
    """What one layer keeps of a token, and where."""

    heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values together."""
        return 2 * self.heads * self.head_dim * self.dtype.itemsize


class KV:
    """Keys and values `[1, H, capacity, hd]` of every layer for the tokens `ids`.

    Sliding layers keep every token too: only so can a text be cut back to any length exactly.
    `last` [D] is the encoder's output at the last token, which predicts the next one; None where
    the text has been cut back or is empty.
    """

    def __init__(self, layers: Sequence[LayerShape], capacity: int = PAGE) -> None:
        self.layers = layers
        self.ids: list[int] = []
        self.last: Tensor | None = None
        self.keys = [_empty(layer, capacity) for layer in layers]
        self.values = [_empty(layer, capacity) for layer in layers]

    @property
    def length(self) -> int:
        """How many tokens are encoded."""
        return len(self.ids)

    @property
    def capacity(self) -> int:
        """How many positions the buffers hold."""
        return int(self.keys[0].shape[2])

    @property
    def nbytes(self) -> int:
        """What the buffers take."""
        return self.capacity * sum(layer.bytes_per_token for layer in self.layers)

    def reserve(self, room: int) -> None:
        """Make room for `room` more positions behind the encoded ones."""
        needed = self.length + room
        if needed > self.capacity:
            self._move_to(-(-needed // PAGE) * PAGE)

    def crop(self, length: int) -> None:
        """Forget all tokens behind the first `length`; nothing is copied."""
        if length < self.length:
            del self.ids[length:]
            self.last = None

    def extend(self, ids: Sequence[int], last: Tensor) -> None:
        """Keep what was written behind the text as `ids`; `last` [D] is the state at its end."""
        self.ids += ids
        self.last = last

    def copy(self, length: int) -> "KV":
        """Return another KV with the first `length` tokens."""
        other = KV(self.layers, -(-max(length, 1) // PAGE) * PAGE)
        other.ids = self.ids[:length]
        for mine, theirs in zip(self._buffers(), other._buffers(), strict=True):
            theirs[:, :, :length].copy_(mine[:, :, :length])
        return other

    def _move_to(self, capacity: int) -> None:
        # One buffer at a time, so that only one is there twice. The first one tells the capacity:
        # it comes last, so that the text stays sound where memory runs out on the way.
        for buffers in (self.values, self.keys):
            for index in reversed(range(len(buffers))):
                moved = _empty(self.layers[index], capacity)
                moved[:, :, : self.length].copy_(buffers[index][:, :, : self.length])
                buffers[index] = moved

    def _buffers(self) -> list[Tensor]:
        return [*self.keys, *self.values]


def _empty(layer: LayerShape, capacity: int) -> Tensor:
    # Zeros, not whatever lay there: a masked position still meets the softmax, and 0 * NaN is NaN.
    return torch.zeros(
        1, layer.heads, capacity, layer.head_dim, dtype=layer.dtype, device=layer.device
    )
