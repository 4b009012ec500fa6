"""What next edits are worth, on packages nano never saw: `python -m sampler.train.next_edits`.

For each edit all lines are judged that the application would have judged, one by one; so every
bound is seen in one run. Reads argv and prints a table.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
from rich.console import Console

from dgemma_lsp import calls
from dgemma_lsp.bench import python_files
from dgemma_lsp.calls import Resigned
from dgemma_lsp.config import Config
from dgemma_lsp.edits import Span
from dgemma_lsp.follow import LINES, Change, changes, words
from dgemma_lsp.history import History
from dgemma_lsp.next_edit import JUDGED, make_request
from sampler import load as loading
from sampler.benchmarks import report
from sampler.benchmarks.report import Row, Section
from sampler.train import cases, signatures
from sampler.train.editor import Editor
from sampler.train.renames import FUNCTION, KINDS, LOCAL, Trace, draw

# In nats; the first is that of the rules alone.
FILE = "file:///a.py"
BOUNDS = (-1e9, -30.0, -15.0, -10.0, -5.0, 0.0)


@dataclass(frozen=True)
class Judged:
    """The lines that follow from an edit by the rules, nearest first: gain and whether it is right.

    `wanted` lines near it should change, `ms` is the time for the first line.
    """

    trace: Trace
    lines: Sequence[tuple[float, bool]]
    wanted: int
    ms: float

    def first(self, bound: float) -> bool | None:
        """Return whether what is offered first is right; None where nothing is."""
        return next((right for gain, right in self.lines if gain >= bound), None)


def judged(editor: Editor, trace: Trace) -> Judged:
    """Have the model judge the lines that follow from an edit."""
    text = trace.edited
    edit = words(text, Span(trace.start, trace.start + len(trace.new)), trace.old)
    assert edit is not None
    expected = trace.lines()
    lines, first_ms = [], 0.0
    for change in changes(text, edit, edit.start):
        began = time.perf_counter()
        gained = gain(editor, text, change)
        first_ms = first_ms or 1e3 * (time.perf_counter() - began)
        lines.append((gained, expected.get(text.count("\n", 0, change.start)) == change.text))
    at = trace.text.count("\n", 0, trace.start)
    return Judged(trace, lines, sum(abs(line - at) < LINES for line in expected), first_ms)


def row(bound: float, all_of_them: Sequence[Judged]) -> Row:
    """Return what a bound makes of the traces."""
    renamed = [one for one in all_of_them if one.trace.kind in (LOCAL, FUNCTION) and one.wanted]
    single = [one for one in all_of_them if one.trace.kind not in (LOCAL, FUNCTION)]
    offers = [(one, one.first(bound)) for one in all_of_them]
    shown = [right for _, right in offers if right is not None]
    kept = sum(right for one in renamed for gain, right in one.lines if gain >= bound)
    return {
        "at least, nats": None if bound < -1e8 else bound,
        "offers": len(shown),
        "first is right, %": 100 * sum(shown) / max(1, len(shown)),
        "renames with an offer, %": _share(renamed, bound),
        "their lines found, %": 100 * kept / max(1, sum(one.wanted for one in renamed)),
        "false alarms at one use, %": _share(single, bound),
    }


def _share(some: Sequence[Judged], bound: float) -> float:
    return 100 * sum(one.first(bound) is not None for one in some) / max(1, len(some))


@dataclass(frozen=True)
class Followed:
    """The calls that follow from another signature, each made as it is offered.

    So many are right and wrong then, of those that should change; `ms` is the time for the rules.
    """

    trace: signatures.Trace
    right: int
    wrong: int
    wanted: int
    ms: float


def followed(editor: Editor, trace: signatures.Trace, bound: float) -> Followed:
    """Make each edit that is offered behind the edit of a signature, until none is."""
    text, took_ms = trace.edited, []
    history = History()
    history.opened(FILE, trace.text)
    history.changed(FILE, text)
    while (signed := history.signed()) is not None:
        began = time.perf_counter()
        found = calls.changes(signed.texts[FILE], text, Resigned(signed.old, signed.new, ""), 0)
        took_ms.append(1e3 * (time.perf_counter() - began))
        agreed = (one for one in found[:JUDGED] if gain(editor, text, one) >= bound)
        if (change := next(agreed, None)) is None:
            break
        text = text[: change.start] + change.text + text[change.end :]
        history.changed(FILE, text)
    return Followed(trace, *trace.judge(text), max(took_ms, default=0.0))


def gain(editor: Editor, text: str, change: Change) -> float:
    """Return how much better the text reads with a change, in nats."""
    present, changed = editor.score(make_request("gain", text, change))
    return changed - present


def row_of_kind(kind: str, all_of_them: Sequence[Followed]) -> Row:
    """Return what became of the calls after edits of one kind."""
    some = [one for one in all_of_them if one.trace.kind == kind]
    right, wrong, wanted = (
        sum(getattr(one, name) for one in some) for name in ("right", "wrong", "wanted")
    )
    return {
        "a parameter is": kind,
        "edits": len(some),
        "calls changed": right + wrong,
        "right, %": 100 * right / (right + wrong) if right + wrong else None,
        "should change": wanted,
        "found, %": 100 * right / wanted if wanted else None,
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", default="nano")
@click.option("--packages", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--place", "places", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option("--traces", type=click.IntRange(1, 10_000), default=100, help="Of each kind.")
@click.option("--seed", type=int, default=0)
def main(
    model: str, packages: Path | None, places: tuple[Path, ...], traces: int, seed: int
) -> None:
    """Rename things in the held-out packages, or in the files at PLACE, and count what follows.

    The same with signatures of functions.
    """
    config = Config()
    editor = Editor.open(loading.load(model), config)
    files = python_files(places) if places else cases.held_out_files(packages)
    drawn = draw(files, traces, seed)
    found = [judged(editor, trace) for trace in drawn]
    rows = [row(bound, found) for bound in BOUNDS]
    times = [one.ms for one in found if one.lines]
    notes = [
        f"{sum(one.trace.kind == kind for one in found)} edits of {kind}" for kind in KINDS
    ] + [f"the first line is judged in {median(times):.0f} ms (median), prefix and all"]
    report.show(Section("next edits", "Edits that follow from an edit", rows, [], notes), Console())
    bound = config.completion.next_edit_gain
    resigned = [followed(editor, one, bound) for one in signatures.draw(files, traces, seed)]
    rows = [row_of_kind(kind, resigned) for kind in signatures.KINDS]
    times = [one.ms for one in resigned]
    notes = [f"the calls are found in {median(times):.0f} ms (median), {max(times):.0f} ms at most"]
    title = "Calls that follow from another signature"
    report.show(Section("signatures", title, rows, [], notes), Console())


if __name__ == "__main__":
    main()
