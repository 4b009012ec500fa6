"""What became of the suggestions, in figures: lines of the outcome log -> a table. No file here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, quantiles

from msgspec import Struct
from rich.table import Table

from dgemma_lsp.outcomes import KEPT_AFTER_S, Ended, Kept, Line

ALL = "all"


class Figures(Struct, frozen=True, kw_only=True):
    """The suggestions of one language.

    Of those `accepted`, `typed` were typed key by key. The kept shares are means over what was
    taken and looked at again, None where nothing was. `steps` is the mean of denoising steps.
    """

    language: str
    shown: int
    accepted: int
    typed: int
    partly: int
    rejected: int
    ignored: int
    kept_30s: float | None
    kept_5min: float | None
    ms_p50: float
    ms_p95: float
    steps: float


def figures(lines: Iterable[Line]) -> list[Figures]:
    """Return the figures of each language, the most used first, and of all together."""
    ended: dict[str, list[Ended]] = defaultdict(list)
    kept: dict[str, list[Kept]] = defaultdict(list)
    for line in lines:
        if isinstance(line, Ended):
            ended[line.language or "(none)"].append(line)
        else:
            kept[line.id].append(line)
    rows = [_of(language, them, kept) for language, them in ended.items()]
    rows.sort(key=lambda row: (-row.shown, row.language))
    everything = [line for them in ended.values() for line in them]
    return [*rows, _of(ALL, everything, kept)] if everything else []


def table(rows: Sequence[Figures]) -> Table:
    """Return the figures for a person, in 80 columns unless a language's name is long."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("language", overflow="fold")
    for name in ("shown", "accepted", "typed", "partly", "rejected", "ignored"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for name in ("kept\n30s/5min", "ms\np50/p95", "steps"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        counts = (row.typed, row.partly, row.rejected, row.ignored)
        drawn.add_row(
            row.language,
            str(row.shown),
            f"{row.accepted}, {_percent(row.accepted / row.shown)} %",
            *map(str, counts),
            f"{_percent(row.kept_30s)}/{_percent(row.kept_5min)} %",
            f"{row.ms_p50:.0f}/{row.ms_p95:.0f}",
            f"{row.steps:.1f}",
        )
    return drawn


def _of(language: str, ended: Sequence[Ended], kept: dict[str, list[Kept]]) -> Figures:
    counts = Counter(line.outcome for line in ended)
    middle, high = _p50_p95([line.latency_ms for line in ended])
    soon, later = (
        [one.share for line in ended for one in kept.get(line.id, []) if one.after_s == after_s]
        for after_s in KEPT_AFTER_S
    )
    return Figures(
        language=language,
        shown=len(ended),
        accepted=counts["accepted"],
        typed=sum(line.outcome == "accepted" and line.way == "typed" for line in ended),
        partly=counts["partly"],
        rejected=counts["rejected"],
        ignored=counts["ignored"],
        kept_30s=round(fmean(soon), 3) if soon else None,
        kept_5min=round(fmean(later), 3) if later else None,
        ms_p50=round(middle, 1),
        ms_p95=round(high, 1),
        steps=round(fmean(line.steps for line in ended), 2),
    )


def _p50_p95(values: Sequence[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}"
