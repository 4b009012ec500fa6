"""What `dgemma tune` found, to look at: a table and a plot in the terminal, a plot in a PNG file.

Nothing is measured here. A PNG takes matplotlib, which is no part of the ordinary installation.
"""

import importlib.util
from pathlib import Path

import plotext
from rich.table import Table

from dgemma_lsp.errors import UserError
from dgemma_lsp.tune import Point, Tuning, counted

HEIGHT = 13
COLUMNS = (
    *("steps", "similar, %", "behind the best", "exact, %", "shown, %", "parses, %"),
    *("ms p50", "ms p95", "steps taken", ""),
)
SIMILAR, TIME, STEPS = "similar to what was cut out, %", "answer, ms (p50)", "denoising steps"


def table(tuning: Tuning) -> Table:
    """Return a row for each step count; what is chosen is marked."""
    drawn = Table()
    for name in COLUMNS:
        drawn.add_column(name, justify="right")
    for point in tuning.points:
        drawn.add_row(*_cells(point), "<- chosen" if point.steps == tuning.chosen else "")
    return drawn


def _cells(point: Point) -> list[str]:
    behind = f"{point.behind:.1f} +-{point.doubt:.1f}"
    parses = "-" if point.parses is None else f"{point.parses:.1f}"
    shares = [f"{point.similar:.1f}", behind, f"{point.exact:.1f}", f"{point.shown:.1f}", parses]
    return [
        str(point.steps),
        *shares,
        f"{point.ms_p50:.0f}",
        f"{point.ms_p95:.0f}",
        f"{point.steps_taken:.2f}",
    ]


def terminal(tuning: Tuning, width: int) -> str:
    """Return similarity and time by steps, side by side, in `width` characters without colours."""
    plotext.main().clear_figure()  # of the whole: what an earlier plot was drawn into stays active
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, HEIGHT)
    plotext.subplots(1, 2)
    labels = [str(point.steps) for point in tuning.points]
    places = list(range(len(labels)))  # doubled step counts would crowd on the left
    for column, title, values in (
        (1, SIMILAR, [point.similar for point in tuning.points]),
        (2, TIME, [point.ms_p50 for point in tuning.points]),
    ):
        plot = plotext.subplot(1, column)
        plot.plot(places, values, marker="braille")
        plot.scatter(places, values, marker="o")
        plot.xticks(places, labels)
        plot.title(title)
        plot.xlabel(STEPS)
    lines = plotext.uncolorize(plotext.build()).split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def check_png(file: Path) -> None:
    """Raise UserError where no PNG can be drawn, before anything is measured for it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"--png {file} needs matplotlib: python -m pip install matplotlib")
    if not file.absolute().parent.is_dir():
        raise UserError(f"--png {file}: {file.absolute().parent} is no folder")


def png(tuning: Tuning, file: Path) -> None:
    """Draw similarity with its doubt, and time, by steps; raises UserError for an unusable file."""
    from matplotlib.figure import Figure

    steps = [point.steps for point in tuning.points]
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    quality = figure.subplots()
    quality.set_xscale("log", base=2)
    quality.set_xticks(steps, [str(n) for n in steps])
    quality.set_xlabel(STEPS)
    quality.set_ylabel(SIMILAR, color="tab:blue")
    quality.errorbar(
        steps,
        [point.similar for point in tuning.points],
        yerr=[point.doubt for point in tuning.points],
        color="tab:blue",
        marker="o",
        capsize=3,
    )
    quality.axvline(tuning.chosen, color="grey", linestyle=":")
    times = quality.twinx()
    times.set_ylabel(TIME, color="tab:orange")
    times.plot(steps, [point.ms_p50 for point in tuning.points], color="tab:orange", marker="s")
    times.set_ylim(bottom=0)
    quality.set_title(f"{tuning.model}: {tuning.holes} holes, chosen: {counted(tuning.chosen)}")
    try:
        figure.savefig(file, format="png")
    except OSError as exc:
        raise UserError(f"--png {file}: cannot be written: {exc}") from exc
