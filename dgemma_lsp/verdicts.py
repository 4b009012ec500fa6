"""Pure: proposed corrections and what the model thinks of them -> those that are told.

A correction is told where it makes the sentence more probable by more than the bound of its kind.
The bounds are in `bounds.json`, which `python -m sampler.train.proofreader calibrate` writes; there
are others for when no model is at hand.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from dgemma_lsp.corrections import Correction

NEVER = float("inf")


class Bounds(Struct, frozen=True):
    """How many nats a correction of each kind must gain; a kind that is missing is never told.

    A word's `odds` count `weight` times.
    """

    weight: float
    least: dict[str, float]

    def surplus(self, correction: Correction, gain: float) -> float:
        """Return by how much a correction is above its bound."""
        return gain + self.weight * correction.odds - self.least.get(correction.kind, NEVER)


class AllBounds(Struct, frozen=True):
    """The bounds for gains that a model tells, and those where it tells none."""

    model: Bounds
    alone: Bounds


@cache
def bounds() -> AllBounds:
    """Return the bounds as they were calibrated."""
    data = resources.files("dgemma_lsp").joinpath("bounds.json").read_bytes()
    return msgspec.json.decode(data, type=AllBounds)


def gains(log_probs: Sequence[float]) -> list[float]:
    """Return what each change gains; the first number is that of the sentence as it stands."""
    return [log_p - log_probs[0] for log_p in log_probs[1:]]


def worth_asking(corrections: Sequence[Correction], bounds: Bounds) -> list[Correction]:
    """Return the proposals of kinds that may be told at all."""
    return [one for one in corrections if bounds.least.get(one.kind, NEVER) < NEVER]


def judge(
    corrections: Sequence[Correction], gains: Sequence[float], bounds: Bounds
) -> list[Correction]:
    """Return what is told, in the order of the sentence; of what overlaps the surest one."""
    ranked = sorted(
        zip(corrections, gains, strict=True),
        key=lambda pair: -bounds.surplus(*pair),
    )
    told: list[Correction] = []
    for one, gain in ranked:
        if bounds.surplus(one, gain) <= 0:
            break
        if not any(one.start <= other.end and one.end >= other.start for other in told):
            told.append(one)
    return sorted(told, key=lambda one: one.start)


def mend(sentence: str, told: Sequence[Correction]) -> str:
    """Return the sentence with all that is told put right."""
    for one in sorted(told, key=lambda one: -one.start):
        sentence = one.applied(sentence)
    return sentence
