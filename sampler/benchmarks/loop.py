"""The denoising loop by itself: one more step of ours and of transformers' `generate`."""

from statistics import median

from sampler import denoise
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.report import Goal, Row, Section, spread
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.benchmarks.timing import in_turn, per_step
from sampler.engine import Engine, Request
from sampler.params import SamplingParams

FEW, MANY = 4, 20


def run(rig: Rig, scale: Scale, tell: Told) -> Section:
    """Time a step behind each of `scale.prefixes`."""
    rows: list[Row] = []
    ratios: dict[int, float] = {}
    for prefix in scale.prefixes:
        tell(f"a step behind {prefix} tokens")
        ours, theirs = _step_times(rig, prefix, scale.repeats)
        ratios[prefix] = median(theirs) / median(ours)
        rows.append(
            {
                "prefix": prefix,
                "ours, ms/step": spread(ours),
                "transformers, ms/step": spread(theirs),
                "times faster": ratios[prefix],
            }
        )
    return Section(
        "loop",
        f"A denoising step, canvas {rig.model.defaults.canvas_length}, one text",
        rows,
        _goals(ratios),
        [
            f"What {MANY} steps take more than {FEW}, a step; middle one (least..most) of "
            f"{scale.repeats} pairs in turn. Neither stops early; both read the same tokens.",
            f"{rig.model.name} was trained on {rig.model.max_positions} tokens: behind more of "
            "them the arithmetic is the same and the text means nothing.",
        ],
    )


def _goals(ratios: dict[int, float]) -> list[Goal]:
    first, last = min(ratios), max(ratios)
    goals = [Goal(f"times faster behind {first} tokens", ratios[first], 3.0)]
    if last > first:
        goals.append(Goal(f"times faster behind {last}: more than", ratios[last], ratios[first]))
    return goals


def _step_times(rig: Rig, prefix: int, repeats: int) -> tuple[list[float], list[float]]:
    """Return milliseconds for a step of ours and of theirs, repeat by repeat."""
    engine, theirs = rig.engine(), rig.tensor(rig.ids[:prefix])
    times = in_turn(
        {
            "ours, few": lambda: _ours(rig, engine, prefix, FEW),
            "theirs, few": lambda: rigs.generate(rig.reference, theirs, _params(rig, FEW)),
            "ours, many": lambda: _ours(rig, engine, prefix, MANY),
            "theirs, many": lambda: rigs.generate(rig.reference, theirs, _params(rig, MANY)),
        },
        repeats,
        rig.denoiser.device,
    )
    more = MANY - FEW
    return (
        per_step(times["ours, few"], times["ours, many"], more),
        per_step(times["theirs, few"], times["theirs, many"], more),
    )


def _ours(rig: Rig, engine: Engine, prefix: int, steps: int) -> None:
    params = _params(rig, steps)
    loop = denoise.generate(rig.ids[:prefix], params, rig.noise([0]))
    rigs.answer(engine, Request(loop, rows=1, tokens=params.canvas_length))


def _params(rig: Rig, steps: int) -> SamplingParams:
    own = rig.model.defaults
    return rigs.fixed(own, canvas=own.canvas_length, steps=steps)
