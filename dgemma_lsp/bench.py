"""The hole benchmark: lines cut out of Python files, filled again by the daemon, and counted.

It measures what a person gets: the request as an editor sends it, the text as it would be shown.
No timing of the sampler by itself and no reference to other engines.
"""

import random
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import fmean, quantiles

import msgspec
from msgspec import Struct

from dgemma_lsp import at_cursor, client, wire
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.errors import UserError
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.project import Project, top
from dgemma_lsp.syntax import parses


class Hole(Struct, frozen=True):
    """A piece [start, end) of a file's text: whole lines without the first one's indentation."""

    file: Path
    text: str
    start: int
    end: int

    @property
    def middle(self) -> str:
        """What was cut out."""
        return self.text[self.start : self.end]

    def filled(self, middle: str) -> str:
        """Return the file's text with `middle` in the hole."""
        return self.text[: self.start] + middle + self.text[self.end :]


class Outcome(Struct, frozen=True, kw_only=True):
    """How one hole was filled; `ms` in the daemon, as the request's whole time.

    `similar` to what was cut out is from 0 to 1.
    """

    shown: bool
    exact: bool
    similar: float
    parses: bool
    parses_empty: bool
    ms: float
    steps: int


class Summary(Struct, frozen=True, kw_only=True):
    """Shares of all holes in percent, and times in milliseconds."""

    model: str
    holes: int
    parses: float
    parses_empty: float
    exact: float
    shown: float
    ms_p50: float
    ms_p95: float
    steps: float


def python_files(places: Sequence[Path]) -> list[Path]:
    """Return the Python files at or below `places` that can be read and parsed, in fixed order.

    Raises UserError where a place does not exist or none holds such a file.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: no such file or folder")
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    files = [file for file in found if parses(_text(file)) and _text(file).strip()]
    if not files:
        raise UserError(f"{', '.join(map(str, places))}: holds no Python file that parses")
    return files


def cut(files: Sequence[Path], *, count: int, lines: int, seed: int) -> list[Hole]:
    """Draw `count` different holes of `lines` lines each, as evenly over the files as they allow.

    The first line of a hole is not blank. Raises UserError where the files hold too few.
    """
    return drawn((_holes(file, lines) for file in files), count, f"of {lines} lines", seed)


def drawn(by_file: Iterable[Iterable[Hole]], count: int, kind: str, seed: int) -> list[Hole]:
    """Draw `count` of the holes of each file, as evenly over the files as they allow.

    Raises UserError, naming the `kind` of hole, where there are too few.
    """
    chooser = random.Random(seed)
    queues = [_shuffled(list(holes), chooser) for holes in by_file]
    chooser.shuffle(queues)
    taken: list[Hole] = []
    while any(queues) and len(taken) < count:
        taken += [queue.pop() for queue in queues if queue][: count - len(taken)]
    if len(taken) < count:
        raise UserError(
            f"{count} holes {kind} are wanted, the files hold only {len(taken)}; name more files"
        )
    return taken


def one_and_several_lines(places: Sequence[Path], count: int = 100) -> bytes:
    """Return `count` holes of one line and as many of three in turn, as the sampler reads them.

    Raises UserError where the files at or below `places` hold too few.
    """
    files = python_files(places)
    both = (cut(files, count=count, lines=lines, seed=0) for lines in (1, 3))
    return b"".join(as_line(hole) for pair in zip(*both, strict=True) for hole in pair)


def as_line(hole: Hole) -> bytes:
    """Return the hole as the JSON line that the sampler's benchmark reads."""
    before, after = hole.text[: hole.start], hole.text[hole.end :]
    return msgspec.json.encode({"before": before, "middle": hole.middle, "after": after}) + b"\n"


async def run(
    link: client.Link, holes: Sequence[Hole], options: Options, sampling: wire.Sampling
) -> AsyncIterator[Outcome]:
    """Fill hole after hole over an open link."""
    project = Project(Ignores().leave_out)
    for hole in holes:
        document = hole.filled("")
        path = hole.file.absolute()
        request = at_cursor.request(
            hole.file,
            document,
            hole.start,
            options,
            candidates=1,
            deadline_ms=None,
            sampling=sampling,
            others=project.look(path, [top(path)], options.copied_files),
        )
        answer = await client.complete(link, request)
        yield judge(hole, at_cursor.insertion(answer, request, document, hole.start, options, ""))


def judge(hole: Hole, given: at_cursor.Insertion) -> Outcome:
    """Compare what was inserted with what was cut out."""
    return Outcome(
        shown=bool(given.text),
        exact=given.text == hole.middle,
        similar=SequenceMatcher(None, hole.middle, given.text, autojunk=False).ratio(),
        parses=parses(hole.filled(given.text)),
        parses_empty=parses(hole.filled("")),
        ms=given.ms,
        steps=given.steps,
    )


def summarise(model: str, outcomes: Sequence[Outcome]) -> Summary:
    """Return shares and percentiles of at least two outcomes."""

    def percent(flags: list[bool]) -> float:
        return round(100 * fmean(flags), 1)

    cuts = quantiles([o.ms for o in outcomes], n=20, method="inclusive")
    return Summary(
        model=model,
        holes=len(outcomes),
        parses=percent([o.parses for o in outcomes]),
        parses_empty=percent([o.parses_empty for o in outcomes]),
        exact=percent([o.exact for o in outcomes]),
        shown=percent([o.shown for o in outcomes]),
        ms_p50=round(cuts[9], 1),
        ms_p95=round(cuts[18], 1),
        steps=round(fmean(o.steps for o in outcomes), 2),
    )


def rows(summary: Summary) -> list[tuple[str, str]]:
    """Return the summary as a table to read."""
    return [
        ("model", summary.model),
        ("holes", str(summary.holes)),
        ("joined text parses", f"{summary.parses} %"),
        ("... with the hole left empty", f"{summary.parses_empty} %"),
        ("exactly what was cut out", f"{summary.exact} %"),
        ("something was shown", f"{summary.shown} %"),
        ("answer p50", f"{summary.ms_p50} ms"),
        ("answer p95", f"{summary.ms_p95} ms"),
        ("denoising steps", str(summary.steps)),
    ]


def _holes(file: Path, lines: int) -> Iterator[Hole]:
    text = _text(file)
    parts = text.splitlines(keepends=True)
    at = 0
    for number, part in enumerate(parts):
        block = parts[number : number + lines]
        if part.strip() and len(block) == lines:
            start = at + len(part) - len(part.lstrip())
            end = at + len("".join(block).rstrip())
            yield Hole(file, text, start, max(start, end))
        at += len(part)


def _shuffled(holes: list[Hole], chooser: random.Random) -> list[Hole]:
    chooser.shuffle(holes)
    return holes


def _text(file: Path) -> str:
    try:
        return at_cursor.read(file)
    except UserError:
        return ""
