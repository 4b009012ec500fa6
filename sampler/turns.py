"""Who is admitted and who steps next: numbers in, choices out. Pure; no clock, no tensors.

Short and urgent work goes first, and nobody starves: who was passed over often enough goes next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# A request joins a step after it was passed over so often, whatever its urgency.
STEPS_PASSED_OVER = 3
# A waiting request is admitted next after so many others went before it.
TIMES_OVERTAKEN = 8
# Urgency from which on a request is bulk work, and the share of the rows that bulk may take.
BULK = 2
BULK_SHARE = 0.75


@dataclass(frozen=True)
class Waiting:
    """A request that could step now: its urgency, and how often it was passed over in a row."""

    urgency: int
    passed_over: int


@dataclass(frozen=True)
class Candidate:
    """A request that waits to be admitted, in the order of arrival."""

    urgency: int
    tokens: int
    rows: int
    overtaken: int


def choose(waiting: Sequence[Waiting]) -> set[int]:
    """Return who takes part in the next step: the most urgent, and who was passed over enough."""
    first = min((w.urgency for w in waiting), default=0)
    return {
        index
        for index, w in enumerate(waiting)
        if w.urgency == first or w.passed_over >= STEPS_PASSED_OVER
    }


def admit(candidates: Sequence[Candidate], *, rows: int, used: int, bulk_used: int) -> int | None:
    """Return which request is admitted next, None where the next one does not fit yet.

    `used` of `rows` rows are taken, `bulk_used` of them by bulk work. Nobody slips past a request
    that waits for room, or a wide one would wait for ever; of bulk, nobody slips past one that was
    overtaken enough and waits for room in bulk's share.
    """
    outside = {
        index
        for index, c in enumerate(candidates)
        if c.urgency >= BULK and bulk_used and bulk_used + c.rows > rows * BULK_SHARE
    }
    barred = any(candidates[index].overtaken >= TIMES_OVERTAKEN for index in outside)
    fitting = [
        index
        for index, c in enumerate(candidates)
        if index not in outside and not (barred and c.urgency >= BULK)
    ]
    if not fitting:
        return None
    starved = [index for index in fitting if candidates[index].overtaken >= TIMES_OVERTAKEN]
    shortest = min(fitting, key=lambda i: (candidates[i].urgency, candidates[i].tokens, i))
    best = starved[0] if starved else shortest
    return best if used + candidates[best].rows <= rows else None
