"""How much it costs not to know a hole's length: held-out holes filled in three ways, and judged.

The holes come from outside, one JSON object a line: {"before", "middle", "after"} of a file.
"""

import ast
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import fmean

from sampler.benchmarks import fills
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.report import Goal, Row, Section
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.params import InvalidParameter
from sampler.prompts import CompletionPrompt

HOW_TO = (
    "not measured: it needs files that the model has not read; `dgemma bench --holes PLACE` cuts "
    "holes into those at or below PLACE"
)


@dataclass(frozen=True)
class Hole:
    """A file's text in three pieces, of which the middle is to be found again."""

    before: str
    middle: str
    after: str

    @property
    def lines(self) -> str:
        """Whether the middle has one line or several."""
        return "several" if "\n" in self.middle else "one"


@dataclass(frozen=True)
class Judged:
    """A filling against what was cut out; `similar` is from 0 to 1."""

    exact: bool
    parses: bool
    similar: float


# What is known of a hole's length -> the length of each row's hole.
Lengths = Callable[[CompletionPrompt, int, int], list[int]]
WAYS: dict[str, Lengths] = {
    "known": lambda prompt, size, true: [true] * fills.DRAWN,
    "unknown, lengths tried": lambda prompt, size, true: fills.tried(prompt, size),
    "unknown, the longest": lambda prompt, size, true: [fills.longest(prompt, size)] * fills.DRAWN,
}


def read(lines: Iterable[str]) -> list[Hole]:
    """Read holes, a JSON object a line; raises InvalidParameter with the number of a bad line."""
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            given = json.loads(line)
            hole = Hole(given["before"], given["middle"], given["after"])
            if not all(isinstance(part, str) for part in (hole.before, hole.middle, hole.after)):
                raise TypeError("its values are not all text")
        except (ValueError, KeyError, TypeError) as exc:
            raise InvalidParameter(
                f'--holes: line {number} is no object of "before", "middle", "after": {exc}'
            ) from exc
        found.append(hole)
    return found


def run(rig: Rig, scale: Scale, holes: Sequence[Hole], tell: Told) -> Section:
    """Fill `scale.holes` holes of each number of lines in each way, with `scale.seeds` seeds."""
    title = "A hole's length unknown against known"
    if not holes:
        return Section("holes", title, [], notes=[HOW_TO])
    size = rig.model.defaults.canvas_length
    fitting = [hole for hole in holes if _true_length(rig, hole) < size]
    if not fitting:
        raise InvalidParameter(f"--holes: none of {len(holes)} fits the canvas of {size} tokens")
    rows: list[Row] = []
    judged: dict[str, list[Judged]] = defaultdict(list)
    filled = 0
    for lines in ("one", "several"):
        group = [hole for hole in fitting if hole.lines == lines][: scale.holes]
        filled += len(group)
        for way, lengths in WAYS.items() if group else ():
            tell(f"{len(group)} holes, lines: {lines}, length: {way}")
            found = _fill_all(rig, group, lengths, scale.seeds)
            judged[way] += found
            rows.append({"lines": lines, "length": way, "holes": len(group), **shares(found)})
    known, tried, _ = (judged[way] for way in WAYS)
    return Section(
        "holes",
        title,
        rows,
        [
            Goal(f"points lost where lengths are tried, {what}", lost, 5.0, at_most=True)
            for what, lost in points_lost(known, tried).items()
        ],
        [
            f"{fills.DRAWN} texts drawn for each hole and seed, and what the causal side writes; "
            f"the one that joins best is taken. Seeds: {scale.seeds}. Similarity by difflib's "
            "ratio. The goals are over all holes, whose shares have a standard error of up to "
            f"{50 / filled**0.5:.1f} points.",
            f"{len(holes) - len(fitting)} of {len(holes)} holes are left out: their middle fills "
            f"the canvas of {size} tokens.",
        ],
    )


def judge(hole: Hole, text: str) -> Judged:
    """Compare a filling with what was cut out."""
    similar = SequenceMatcher(None, hole.middle, text, autojunk=False).ratio()
    return Judged(text == hole.middle, parses(hole.before + text + hole.after), similar)


def parses(text: str) -> bool:
    """Tell whether `text` is valid Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def shares(judged: Sequence[Judged]) -> dict[str, float]:
    """Return the percentages that a table shows."""
    return {
        "exact, %": 100 * fmean(j.exact for j in judged),
        "parses, %": 100 * fmean(j.parses for j in judged),
        "similarity, %": 100 * fmean(j.similar for j in judged),
    }


def points_lost(known: Sequence[Judged], unknown: Sequence[Judged]) -> dict[str, float]:
    """Return how many points of each share not knowing the length costs."""
    best, now = shares(known), shares(unknown)
    return {what: best[what] - now[what] for what in best}


def _fill_all(rig: Rig, holes: Sequence[Hole], way: Lengths, seeds: int) -> list[Judged]:
    engine, params = rig.engine(), rig.model.defaults
    judged = []
    for hole in holes:
        prompt = fills.prompt_of(rig, hole.before, hole.after)
        lengths = way(prompt, params.canvas_length, _true_length(rig, hole))
        for seed in range(seeds):
            first = seed * fills.DRAWN
            fill = fills.fill(
                rig, prompt, params, lengths, first, causal=fills.causal(rig, hole.after)
            )
            text = fills.shown(rig, prompt, rigs.answer(engine, fill.request))
            judged.append(judge(hole, text))
    return judged


def _true_length(rig: Rig, hole: Hole) -> int:
    """Return how many tokens the middle has, with what of a token before it is typed already."""
    healed = fills.prompt_of(rig, hole.before, hole.after).healed
    return len(rig.prompts.encode(healed + hole.middle))
