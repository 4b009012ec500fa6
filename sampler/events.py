"""What a sampling loop tells while it runs: drafts, blocks, what they are worth. No work here."""

from dataclasses import dataclass

from torch import Tensor


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
class Scored:
    """What the causal side thinks of a block: `log_probs` [B, C] in nats, given all before it."""

    block: int
    log_probs: Tensor


@dataclass(frozen=True)
class Filled:
    """What stands in the holes of each row, and what the causal side thinks of it.

    `middles` [row][hole] ids without slack. `confidence` is the mean log p of a row's middles in
    nats, `joined` that of the middles and of the `JOIN` tokens behind each.
    """

    middles: list[list[list[int]]]
    confidence: list[float]
    joined: list[float]


Event = Draft | Block | Scored | Filled
