"""What a benchmark found: rows, their table on screen and their JSON. Nothing is measured here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Spread:
    """Repeated measurements: the middle one, the least, the most, and how many there are."""

    median: float
    least: float
    most: float
    count: int

    def __str__(self) -> str:
        return f"{figure(self.median)} ({figure(self.least)}..{figure(self.most)})"


@dataclass(frozen=True)
class Estimate:
    """A mean over cases, and the bounds between which it would lie for 95 of 100 such samples."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{figure(self.mean)} ({figure(self.low)}..{figure(self.high)})"


Value = str | int | float | Spread | Estimate | None
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Goal:
    """A figure that is to be reached: `got` is to be at least, or at most, `wanted`."""

    what: str
    got: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.got <= self.wanted if self.at_most else self.got >= self.wanted

    def __str__(self) -> str:
        kind = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "NOT met"
        return f"{self.what}: {figure(self.got)}, goal {kind} {figure(self.wanted)}: {verdict}"


@dataclass(frozen=True)
class Section:
    """One table: rows of the same keys, the goals it answers, and what to know when reading it."""

    name: str
    title: str
    rows: Sequence[Row]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())


def spread(values: Iterable[float]) -> Spread:
    """Summarise measurements; at least one."""
    known = list(values)
    return Spread(median(known), min(known), max(known), len(known))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` percent lie, between neighbours in a straight line."""
    return float(np.percentile(values, share))


def figure(value: float) -> str:
    """Return a number with three or so digits that mean something."""
    if not math.isfinite(value):
        return str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def table(section: Section) -> Table:
    """Return the section's rows as a table; numbers to the right."""
    drawn = Table()
    for name in section.rows[0]:
        words = all(isinstance(row[name], str) for row in section.rows)
        drawn.add_column(name, justify="left" if words else "right")
    for row in section.rows:
        drawn.add_row(*map(_cell, row.values()))
    return drawn


def show(section: Section, console: Console) -> None:
    """Print the title, the table, the goals and the notes."""
    console.print(section.title, style="bold", highlight=False, soft_wrap=True)
    if section.rows:
        console.print(table(section))
    for goal in section.goals:
        console.print(
            f"  {goal}", style="green" if goal.met else "yellow", highlight=False, soft_wrap=True
        )
    for note in section.notes:
        console.print(f"  {note}", style="dim", highlight=False, soft_wrap=True)
    console.print()


def as_json(section: Section) -> dict[str, Any]:
    """Return the section as plain data."""
    goals = [asdict(goal) | {"met": goal.met} for goal in section.goals]
    return asdict(section) | {"goals": goals}


def _cell(value: Value) -> str:
    match value:
        case None:
            return "-"
        case float():
            return figure(value)
        case _:
            return str(value)
