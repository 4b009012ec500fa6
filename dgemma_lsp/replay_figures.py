"""What was seen while a trace was typed, in figures: pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, quantiles

from msgspec import Struct
from rich.table import Table

from dgemma_lsp.outcomes import kept_share

# Goals, in milliseconds from the key.
GHOST_P50, GHOST_P95, THROUGH_P95 = 150, 350, 5


class Shown(Struct, frozen=True, kw_only=True):
    """A text that came new on screen `ms` after a key; `to_come` is what was written then."""

    text: str
    to_come: str
    ms: float


class Played(Struct, frozen=True, kw_only=True):
    """What was seen of a whole trace.

    `taken` are the accepted texts, `through_ms` the times after keys that were typed through.
    Requests to the model, and its denoising steps, were counted by the daemon.
    """

    keys: int
    shown: list[Shown]
    taken: list[str]
    through_ms: list[float]
    completed: int
    withdrawn: int
    steps: int
    withdrawn_steps: int


class Figures(Struct, frozen=True, kw_only=True):
    """The figures of one way to play a trace; shares are percent, times milliseconds.

    Ghost text stood behind `shown` of the keys before the next one came: what comes later is not
    seen and has no time. Of the texts that came new `exact` were what was
    written then, and `kept` of their characters. `wasted` are the steps for each text that came
    new, without those of one finished request.
    """

    way: str
    keys: int
    shown: float
    suggestions: int
    exact: float
    accepted: int
    saved: float
    kept: float
    steps: float
    wasted: float
    ms_p50: float
    ms_p95: float
    through_p50: float
    through_p95: float


def figures(way: str, played: Played) -> Figures:
    """Return the figures of what was seen."""
    new = len(played.shown)
    finished = (played.steps - played.withdrawn_steps) / max(1, played.completed)
    for_each = played.steps / max(1, new)
    p50, p95 = _p50_p95([one.ms for one in played.shown])
    through_p50, through_p95 = _p50_p95(played.through_ms)
    exact = [one.to_come.startswith(one.text) for one in played.shown]
    kept = [kept_share(one.text, one.to_come[: len(one.text)]) for one in played.shown]
    saved = sum(len(text) - 1 for text in played.taken)
    return Figures(
        way=way,
        keys=played.keys,
        shown=_percent(new + len(played.through_ms), played.keys),
        suggestions=new,
        exact=_percent(sum(exact), new),
        accepted=len(played.taken),
        saved=_percent(saved, played.keys + saved),
        kept=round(100 * fmean(kept), 1) if kept else 0.0,
        steps=round(for_each, 1),
        wasted=round(max(0.0, for_each - finished), 1),
        ms_p50=p50,
        ms_p95=p95,
        through_p50=through_p50,
        through_p95=through_p95,
    )


ROWS: Mapping[str, str] = {
    "keys": "keys pressed",
    "shown": "ghost text stood behind a key, %",
    "suggestions": "suggestions that came new",
    "exact": "... exactly what was written then, %",
    "kept": "... of its characters written then, %",
    "accepted": "accepted, as exact and read in time",
    "saved": "keys saved, %",
    "steps": "model steps for each suggestion",
    "wasted": "... of them wasted",
    "ms_p50": f"key to ghost text, p50, ms ({GHOST_P50})",
    "ms_p95": f"key to ghost text, p95, ms ({GHOST_P95})",
    "through_p50": "typed through, p50, ms",
    "through_p95": f"typed through, p95, ms ({THROUGH_P95})",
}


def table(ways: Sequence[Figures], title: str) -> Table:
    """Return the figures for a person: a column for each way; goals stand in brackets."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
    drawn.add_column("")
    for one in ways:
        drawn.add_column(one.way, justify="right")
    for name, text in ROWS.items():
        drawn.add_row(text, *(f"{getattr(one, name):g}" for one in ways))
    return drawn


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _p50_p95(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (round(values[0], 1), round(values[0], 1)) if values else (0.0, 0.0)
    cuts = quantiles(values, n=20, method="inclusive")
    return round(cuts[9], 1), round(cuts[18], 1)
