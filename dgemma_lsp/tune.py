"""`dgemma tune`: how many denoising steps a user's own files need, measured and written down.

Holes with a known answer are filled by the daemon at several step counts, as an editor would ask.
The fewest steps whose text is nearly as similar to what was cut out as the best are chosen. What
is drawn of it stands in `tune_plot`; argv is the command line's.
"""

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, quantiles, stdev
from typing import Annotated

import msgspec
import tomlkit
from msgspec import Meta, Struct
from tomlkit.exceptions import TOMLKitError

from dgemma_lsp import at_cursor, bench, client, languages, wire
from dgemma_lsp.bench import Hole, Outcome
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.errors import UserError

STEPS = (1, 2, 4, 8, 16, 32)


class _Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the file that --cases names."""

    prefix: str
    middle: Annotated[str, Meta(min_length=1)]
    suffix: str = ""
    path: str = ""


class Point(Struct, frozen=True, kw_only=True):
    """What a step count is worth: shares and similarity in percent, times in milliseconds.

    `behind` is how many points of similarity the best step count is ahead, over the same holes,
    and `doubt` the standard error of that; `parses` is None where no hole is in Python.
    """

    steps: int
    similar: float
    behind: float
    doubt: float
    exact: float
    shown: float
    parses: float | None
    ms_p50: float
    ms_p95: float
    steps_taken: float


class Tuning(Struct, frozen=True, kw_only=True):
    """What `dgemma tune --json` prints; `chosen` is the step count to configure."""

    model: str
    holes: int
    margin: float
    points: list[Point]
    best: int
    chosen: int


def read_cases(file: Path) -> list[Hole]:
    """Read holes, a JSON object a line; raises UserError with the number of a bad line."""
    holes = []
    for number, line in enumerate(at_cursor.read(file).split("\n"), start=1):
        if line.strip():
            try:
                case = msgspec.json.decode(line, type=_Case)
            except msgspec.DecodeError as exc:
                raise UserError(f"{file}: line {number}: {exc}") from exc
            path = Path(case.path or f"{file}.{number}")
            start, end = len(case.prefix), len(case.prefix) + len(case.middle)
            holes.append(Hole(path, case.prefix + case.middle + case.suffix, start, end))
    if len(holes) < 2:
        raise UserError(f"{file}: holds {len(holes)} cases; two are the least to tell something")
    return holes


def cut(places: Sequence[Path], count: int, seed: int) -> list[Hole]:
    """Cut holes of one line and of three in turn; raises UserError where there are too few."""
    files = bench.python_files(places)
    several = count // 2
    three = bench.cut(files, count=several, lines=3, seed=seed)
    return [*bench.cut(files, count=count - several, lines=1, seed=seed), *three]


async def run(
    link: client.Link, holes: Sequence[Hole], steps: Sequence[int], options: Options, seed: int
) -> AsyncIterator[Mapping[int, Outcome]]:
    """Fill hole after hole, each at every step count; yields a hole's outcomes.

    Each is filled once before, uncounted: who types has the text before the cursor read already.
    """
    for hole in holes:
        counts = [min(steps), *steps]
        samplings = [wire.Sampling(max_steps=count, seed=seed) for count in counts]
        outcomes = [
            outcome
            for sampling in samplings
            async for outcome in bench.run(link, [hole], options, sampling)
        ]
        yield dict(zip(steps, outcomes[1:], strict=True))


def weigh(
    model: str, holes: Sequence[Hole], found: Sequence[Mapping[int, Outcome]], margin: float
) -> Tuning:
    """Return what the step counts are worth, and the least that is within `margin` of the best.

    `margin` is in points of similarity. Of equally good step counts the least is the best.
    """
    counts = sorted(found[0])
    similar = {n: [100 * outcomes[n].similar for outcomes in found] for n in counts}
    best = max(counts, key=lambda n: (fmean(similar[n]), -n))
    python = [languages.language(hole.file) == "python" for hole in holes]
    points = [
        _point(n, [outcomes[n] for outcomes in found], similar[n], similar[best], python)
        for n in counts
    ]
    chosen = next(point.steps for point in points if point.behind <= margin)
    return Tuning(
        model=model, holes=len(holes), margin=margin, points=points, best=best, chosen=chosen
    )


def _point(
    steps: int,
    outcomes: Sequence[Outcome],
    similar: Sequence[float],
    best: Sequence[float],
    python: Sequence[bool],
) -> Point:
    behind = [b - s for b, s in zip(best, similar, strict=True)]
    parses = [outcome.parses for outcome, is_so in zip(outcomes, python, strict=True) if is_so]
    cuts = quantiles([outcome.ms for outcome in outcomes], n=20, method="inclusive")
    return Point(
        steps=steps,
        similar=round(fmean(similar), 1),
        behind=round(fmean(behind), 2),
        doubt=round(stdev(behind) / sqrt(len(behind)), 2),
        exact=round(100 * fmean(outcome.exact for outcome in outcomes), 1),
        shown=round(100 * fmean(outcome.shown for outcome in outcomes), 1),
        parses=round(100 * fmean(parses), 1) if parses else None,
        ms_p50=round(cuts[9], 1),
        ms_p95=round(cuts[18], 1),
        steps_taken=round(fmean(outcome.steps for outcome in outcomes), 2),
    )


def told(tuning: Tuning) -> str:
    """Return in a line what was chosen, and why."""
    by_steps = {point.steps: point for point in tuning.points}
    point = by_steps[tuning.chosen]
    if tuning.chosen == tuning.best:
        why = "nothing is better"
    else:
        why = (
            f"{point.behind:g} points (+-{point.doubt:g}) behind the best, which takes up to "
            f"{tuning.best} and {by_steps[tuning.best].ms_p50:g} ms"
        )
    if point.doubt > tuning.margin:
        why += "; more holes would tell it more surely"
    return f"chosen: {counted(tuning.chosen)}, {point.ms_p50:g} ms: {why}"


def counted(steps: int) -> str:
    """Return a number of steps in words."""
    return "1 step" if steps == 1 else f"{steps} steps"


def write_steps(file: Path, steps: int) -> str:
    """Set `completion.steps` in the configuration file, and return in a line what was done.

    Everything else in it stays as it is, comments too; a file that is not there is made. Raises
    UserError where it cannot be read or written.
    """
    target = file.resolve()  # a link to it stays a link
    try:
        # Not `read_text`: it would take the line ends for others.
        text = target.read_bytes().decode("utf-8") if target.exists() else ""
        document = tomlkit.parse(text)
        section = document.setdefault("completion", tomlkit.table())
        assert isinstance(section, MutableMapping), "a command reads its configuration first"
        before = section.get("steps")
        section["steps"] = steps
        _replace(target, tomlkit.dumps(document))
    except TOMLKitError as exc:
        raise UserError(f"{file}: not valid TOML: {exc}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise UserError(f"{file}: cannot be written: {exc}") from exc
    was = "not set before" if before is None else f"{before} before"
    return (
        f"wrote steps = {steps} ({was}) under [completion] in {file}; the daemon reads it when it "
        "starts: `dgemma stop` lets it start anew"
    )


def _replace(file: Path, text: str) -> None:
    """Write a file so that a kill at any moment leaves the old or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=file.parent, prefix=f".{file.name}.", delete=False
    ) as new:
        try:
            new.write(text)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.replace(new.name, file)
        except BaseException:
            os.unlink(new.name)
            raise
