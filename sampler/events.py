"""What a sampling loop tells while it runs: drafts, blocks, what they are worth. No work here."""

from dataclasses import dataclass

from torch import Tensor

FOLLOWS_WEIGHT = 2.0


@dataclass(frozen=True)
class Draft:
    """The best text after step `step` of block `block`.

    `ids` and `stable` [B, C]; `stable` where the model is sure and it equals the step before.
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
    """What may stand in the holes, and what the causal side thinks of it.

    `middles` [row][hole] ids without slack; behind the canvas's own rows come the texts that were
    written causally. `confidence` is the mean log p of a row's middles in nats, `follows` that of
    the tokens right behind its holes.
    """

    middles: list[list[list[int]]]
    confidence: list[float]
    follows: list[float]

    def __add__(self, other: "Filled") -> "Filled":
        """Return the rows of both."""
        return Filled(
            self.middles + other.middles,
            self.confidence + other.confidence,
            self.follows + other.follows,
        )

    def rating(self, row: int) -> float:
        """Return how well a row reads in its place; what follows from it tells most.

        The weight is what chose best on lines cut out of code: a text that is probable by itself
        often runs past the place where it should have joined.
        """
        return self.confidence[row] + FOLLOWS_WEIGHT * self.follows[row]


@dataclass(frozen=True)
class Weighed:
    """What the causal side thinks of whole texts: the sum of each one's log p, in nats."""

    log_probs: list[float]


Event = Draft | Block | Scored | Filled | Weighed
