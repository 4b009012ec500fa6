"""What a sampling loop asks of the model, and what it is sent back. No loop and no model here.

A loop is a generator: it yields work and events, and is sent the result of its work. So the engine
may do the work of many loops in one forward pass.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Prefill:
    """Encode the prompt `ids`, or what of it is not encoded yet. Sent back: None.

    Asked for once more, it takes back everything that was encoded behind the prompt.
    """

    ids: Sequence[int]


@dataclass(frozen=True)
class Denoise:
    """Read canvases ids [B, C] behind the prefix. Sent back: a `canvas.Step`.

    `free` [B, C], `uniform` [B, C] the samples' random numbers, `soft` [B, C, D] or None. `allowed`
    maps a position to the tokens that it may take, [V] for all rows or [B, V]. `more` tells that a
    further step may follow, for which the mean embeddings are needed.
    """

    ids: Tensor
    free: Tensor
    soft: Tensor | None
    uniform: Tensor
    temperature: float
    allowed: dict[int, Tensor]
    more: bool


@dataclass(frozen=True)
class Score:
    """Encode `rows` of ids causally, each behind the prefix. Sent back: log p [T] in nats.

    The T tokens of all rows lie one behind the other. With `keep` the one row joins the prefix.
    """

    rows: Sequence[Sequence[int]]
    keep: bool


@dataclass(frozen=True)
class Predict:
    """Encode `ids` behind the prefix for good. Sent back: the next token's logits [V], float32.

    Without ids they are those behind the prefix as it stands.
    """

    ids: Sequence[int]


Work = Prefill | Denoise | Score | Predict
Loop = Generator[Any, Any, None]
