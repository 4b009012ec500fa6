"""Tables of how well holes are filled: by steps, by side, by candidate. No tests are run here."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from dgemma_lsp.bench import Hole
from sampler.benchmarks.holes import Judged
from sampler.benchmarks.report import Estimate, Goal, Row, Section, Value, percentile
from sampler.benchmarks.rig import Told
from sampler.train import cases, scores
from sampler.train.editor import Editor, Fill

KNOWN = {False: "unknown", True: "known"}
CANDIDATES = 3

Cases = Mapping[str, Sequence[Hole]]
# A hole's fills, one for each seed.
Fills = list[list[Fill]]


@dataclass(frozen=True)
class Extent:
    """How much is asked: at which numbers of steps, and how often each hole with other noise."""

    steps: Sequence[int]
    seeds: int


def by_steps(editor: Editor, given: Cases, extent: Extent, tell: Told) -> Section:
    """Fill every hole at every number of steps, its length known and unknown."""
    rows: list[Row] = []
    for kind, holes in given.items():
        fills: dict[tuple[bool, int], Fills] = defaultdict(list)
        for number, hole in enumerate(holes, start=1):
            tell(f"{kind}: hole {number} of {len(holes)}")
            editor.read(hole)
            for known in KNOWN:
                for steps in extent.steps:
                    fills[known, steps].append(
                        [
                            editor.fill(hole, steps=steps, seed=seed, known=known)
                            for seed in range(extent.seeds)
                        ]
                    )
        rows += [
            {"holes": kind, "length": KNOWN[known], "steps": steps, **figures(holes, of_kind)}
            for (known, steps), of_kind in fills.items()
        ]
        rows += [
            {"holes": kind, "length": what, "steps": None, **_judged(holes, text)}
            for what, text in BASELINES.items()
        ]
    return Section(
        "holes",
        "Holes in packages that nano never read, by steps",
        rows,
        goals(rows, editor.steps),
        [
            _how(given, extent),
            f"Without --steps a completion takes {editor.steps} at most; fewer where it settles.",
        ],
    )


def prose(editor: Editor, given: Cases, extent: Extent, tell: Told) -> Section:
    """Fill lines of docstrings and comments, and say how near they come word by word."""
    rows: list[Row] = []
    for kind, holes in given.items():
        for steps in extent.steps:
            tell(f"{kind}: {len(holes)} holes in {steps} steps")
            fills = [
                [editor.fill(hole, steps=steps, seed=seed) for seed in range(extent.seeds)]
                for hole in holes
            ]
            rouge = scores.mean(_over_seeds(holes, fills, _rouge), 100)
            rows.append({"steps": steps, "ROUGE-L, %": rouge, **figures(holes, fills)})
        for what, text in BASELINES.items():
            above = scores.mean([scores.rouge_l(hole.middle, text(hole)) for hole in holes], 100)
            rows.append({"steps": what, "ROUGE-L, %": above, **_judged(holes, text)})
    title = "Lines of docstrings and comments, length unknown"
    return Section("prose", title, rows, notes=[_how(given, extent)])


def candidates(editor: Editor, given: Cases, extent: Extent, tell: Told) -> Section:
    """Ask for several texts for each hole, and say how much there is to choose from."""
    rows: list[Row] = []
    for kind, holes in given.items():
        for steps in extent.steps:
            tell(f"{kind}: {len(holes)} holes, {CANDIDATES} candidates in {steps} steps")
            fills = [
                editor.fill(hole, steps=steps, seed=0, candidates=CANDIDATES) for hole in holes
            ]
            among = [
                hole.middle in fill.candidates for hole, fill in zip(holes, fills, strict=True)
            ]
            rows.append(
                {
                    "holes": kind,
                    "steps": steps,
                    "different": scores.mean([len(fill.candidates) for fill in fills]),
                    "unlike, %": scores.mean([scores.variety(f.candidates) for f in fills], 100),
                    "exact first, %": scores.share(
                        [h.middle == f.text for h, f in zip(holes, fills, strict=True)]
                    ),
                    "exact among them, %": scores.share(among),
                    **_times([fill.ms for fill in fills]),
                }
            )
    title = f"{CANDIDATES} candidates, as for a completion that is asked for"
    unlike = "Unlike: 100 less difflib's ratio in percent, over the pairs of what may be shown."
    return Section("candidates", title, rows, notes=[unlike])


def sides(
    editor: Editor, given: Cases, extent: Extent, perplexity: Mapping[str, float], tell: Told
) -> Section:
    """Let either side of the same weights fill the same holes by itself, and both together."""
    alone, steps = editor.alone(), editor.steps
    most = editor.answers.config.completion.max_lines

    def diffusion(hole: Hole, seed: int, known: bool) -> Fill:
        return alone.fill(hole, steps=steps, seed=seed, known=known)

    ways: dict[tuple[str, str], Callable[[Hole, int], Fill]] = {
        ("diffusion", "unknown"): lambda hole, seed: diffusion(hole, seed, False),
        ("diffusion", "tokens known"): lambda hole, seed: diffusion(hole, seed, True),
        ("causal", "unknown"): lambda hole, _: editor.write(hole, most),
        ("causal", "lines known"): lambda hole, _: editor.write(hole, hole.middle.count("\n") + 1),
        ("both", "unknown"): lambda hole, seed: editor.fill(hole, steps=steps, seed=seed),
    }
    rows: list[Row] = []
    for kind, holes in given.items():
        for (side, length), fill in ways.items():
            tell(f"{kind}: {side}, length {length}")
            # The causal side writes what is likeliest: no seed changes it.
            seeds = 1 if side == "causal" else extent.seeds
            fills = [[fill(hole, seed) for seed in range(seeds)] for hole in holes]
            named: Row = {"holes": kind, "side": side, "length": length}
            read = {"perplexity": perplexity.get(side)}
            rows.append({**named, **read, **figures(holes, fills)})
    return Section(
        "sides",
        f"The diffusion side ({steps} steps) against the causal side of the same weights",
        rows,
        notes=[
            "Perplexity of held-out text: of the causal side, of the next token; of the diffusion "
            "side, of each token of a canvas of noise at its first step, of holes the suffix "
            "known. The second is no likelihood of the text as a whole.",
            "The causal side is shown the text before the hole alone. " + _how(given, extent),
        ],
    )


def figures(holes: Sequence[Hole], fills: Fills) -> Row:
    """Return what a table shows of fills, as many for each hole as there are seeds."""
    flat = [fill for of_hole in fills for fill in of_hole]
    return {
        "n": len(holes),
        "shown, %": 100 * fmean(bool(fill.text) for fill in flat),
        **_shares(holes, fills),
        **_times([fill.ms for fill in flat]),
        "denoised, %": 100 * fmean(fill.steps > 0 for fill in flat),
        "steps taken": fmean(fill.steps for fill in flat),
    }


def goals(rows: Sequence[Row], steps: int) -> list[Goal]:
    """Return how the figures at `steps` steps and length unknown stand to what is wanted."""
    found = {
        (row["holes"], row["steps"]): row
        for row in rows
        if row["length"] == KNOWN[False] and isinstance(row["steps"], int)
    }
    wanted: list[Goal] = []
    if one := found.get((cases.ONE, steps)):
        for what, least in (("exact, %", 20.0), ("parses, %", 90.0)):
            wanted.append(Goal(f"one line in {steps} steps: {what}", _mean(one[what]), least))
        wanted.append(Goal("one line: ms p50", _mean(one["ms p50"]), 100.0, at_most=True))
    if several := found.get((cases.SEVERAL, steps)):
        wanted.append(Goal("2 to 6 lines: ms p50", _mean(several["ms p50"]), 250.0, at_most=True))
    most = max((n for _, n in found if isinstance(n, int)), default=0)
    for kind in (cases.ONE, cases.SEVERAL):
        few, many = found.get((kind, steps)), found.get((kind, most))
        if few and many and most > steps:
            for what in ("exact, %", "similar, %"):
                best = _mean(many[what])
                kept = 100 * _mean(few[what]) / best if best else 100.0
                wanted.append(
                    Goal(f"{kind}: {what} in {steps} steps, % of that in {most}", kept, 95.0)
                )
    return wanted


BASELINES: Mapping[str, Callable[[Hole], str]] = {
    "left empty": lambda hole: "",
    "the line above": cases.line_above,
}


def _shares(holes: Sequence[Hole], fills: Fills) -> Row:
    judged = [
        [cases.judge(hole, fill.text) for fill in of_hole]
        for hole, of_hole in zip(holes, fills, strict=True)
    ]
    return _of_judged(judged)


def _judged(holes: Sequence[Hole], text: Callable[[Hole], str]) -> Row:
    empty: Row = {"n": len(holes), "shown, %": None}
    judged = _of_judged([[cases.judge(hole, text(hole))] for hole in holes])
    return {
        **empty,
        **judged,
        "ms p50": None,
        "ms p95": None,
        "denoised, %": None,
        "steps taken": None,
    }


def _of_judged(judged: Sequence[Sequence[Judged]]) -> Row:
    def of(what: str) -> list[float]:
        return [fmean(getattr(one, what) for one in of_hole) for of_hole in judged]

    return {
        "exact, %": scores.share(of("exact")),
        "similar, %": scores.mean(of("similar"), 100),
        "parses, %": scores.share(of("parses")),
    }


def _over_seeds(
    holes: Sequence[Hole], fills: Fills, value: Callable[[Hole, Fill], float]
) -> list[float]:
    return [
        fmean(value(hole, fill) for fill in of_hole)
        for hole, of_hole in zip(holes, fills, strict=True)
    ]


def _rouge(hole: Hole, fill: Fill) -> float:
    return scores.rouge_l(hole.middle, fill.text)


def _times(ms: Sequence[float]) -> Row:
    return {"ms p50": percentile(ms, 50), "ms p95": percentile(ms, 95)}


def _mean(value: Value) -> float:
    match value:
        case Estimate(mean=mean):
            return mean
        case int() | float():
            return float(value)
        case _:
            raise AssertionError(f"{value!r} is no figure")


def _how(given: Cases, extent: Extent) -> str:
    return (
        f"{', '.join(f'{len(holes)} holes of {kind}' for kind, holes in given.items())}; "
        f"seeds: {extent.seeds}. Bounds hold for 95 of 100 samples of holes: Wilson's for shares, "
        "a bootstrap's for the rest. The text before a hole has been read already; a text that is "
        "not sure enough is not shown and counts as empty."
    )
