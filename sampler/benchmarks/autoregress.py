"""Diffusion against the same weights one token at a time, by how many tokens are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, linear_regression, median

from sampler import autoregress, denoise
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.report import Goal, Row, Section
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.benchmarks.timing import timed
from sampler.engine import Engine, Request
from sampler.events import Block, Event, Scored
from sampler.work import Loop, Score

PREFIX, STEPS = 256, 4
CANVASES = (32, 64, 128, 256)
# Stands for one token at a time among the canvases.
ONE = 1


@dataclass(frozen=True)
class Way:
    """One way to write so many tokens: milliseconds, and mean log p of a token in nats."""

    ms: float
    log_p: float


def run(rig: Rig, scale: Scale, short_tokens: int, tell: Told) -> Section:
    """Time both ways for each of `scale.useful`; up to `short_tokens` the route takes the second.

    The first length behind the route's border is timed too: it is where the route loses most.
    """
    engine = rig.engine()
    rows: list[Row] = []
    single: dict[int, float] = {}
    diffused: dict[int, float] = {}
    for tokens in sorted({*scale.useful, short_tokens + 1}):
        tell(f"{tokens} tokens, both ways")
        one, many = _both(rig, engine, tokens, scale.repeats)
        canvas = min(many, key=lambda c: many[c].ms)
        best = many[canvas]
        single[tokens], diffused[tokens] = one.ms, best.ms
        rows.append(
            {
                "tokens": tokens,
                "single, ms": one.ms,
                "diffusion, ms": best.ms,
                "canvas": canvas,
                "faster": one.ms / best.ms,
                "routed": route_ratio(tokens, short_tokens, one.ms, best.ms),
                "single, log p": one.log_p,
                "diffusion, log p": best.log_p,
            }
        )
    # Up to the shortest canvas diffusion takes the same time whatever the length.
    short = [tokens for tokens in single if tokens <= CANVASES[0]]
    even = break_even(
        {tokens: single[tokens] for tokens in short}, median(diffused[tokens] for tokens in short)
    )
    return Section(
        "autoregress",
        f"Diffusion against one token at a time, {PREFIX} tokens before",
        rows,
        _goals(rows),
        [
            "single: one token at a time; routed: the way that the route takes, against it. "
            f"{STEPS} steps for each canvas, never stopping early; the fastest canvas of "
            f"{', '.join(map(str, CANVASES))} that the text has use for. Middle one of "
            f"{scale.repeats}, in turn.",
            "log p: what a token of the text is worth to the same model read causally, in nats. "
            "The likeliest token each time is what the first way writes, so it is ahead there by "
            "its nature; times alone do not tell that both texts are equally good.",
            f"Measured break-even: {even:.1f} tokens; the route writes up to {short_tokens} tokens "
            f"one at a time (model.short_tokens, which should be {max(0, int(even))}).",
        ],
    )


def canvases_for(tokens: int) -> list[int]:
    """Return the canvas lengths worth trying: those that the text fills, and the next one."""
    return [c for i, c in enumerate(CANVASES) if i == 0 or tokens > CANVASES[i - 1]]


def break_even(single: Mapping[int, float], diffusion: float) -> float:
    """Return at how many tokens one at a time takes `diffusion` ms, by a straight line."""
    slope, start = linear_regression(list(single), list(single.values()))
    return (diffusion - start) / slope


def route_ratio(tokens: int, short_tokens: int, single: float, diffusion: float) -> float:
    """Return how many times faster than one at a time the way is that the route takes."""
    return 1.0 if tokens <= short_tokens else single / diffusion


def _goals(rows: Sequence[Row]) -> list[Goal]:
    def values(column: str, from_tokens: int) -> list[float]:
        found = [row[column] for row in rows if int(str(row["tokens"])) >= from_tokens]
        return [float(str(value)) for value in found]

    goals = [Goal("with the route, least anywhere", min(values("routed", 0)), 0.95)]
    if long := values("faster", 64):
        goals.append(Goal("times faster from 64 tokens on, least", min(long), 4.0))
    return goals


def _both(rig: Rig, engine: Engine, tokens: int, repeats: int) -> tuple[Way, dict[int, Way]]:
    """Return one at a time, and diffusion with each canvas, timed in turn."""
    lengths = (ONE, *canvases_for(tokens))
    times: dict[int, list[float]] = {length: [] for length in lengths}
    worth: dict[int, list[float]] = {length: [] for length in lengths}
    for seed in range(-1, repeats):  # the first round is not counted
        for length in lengths:
            if length == ONE:
                request = _one_at_a_time(rig, tokens)
            else:
                request = _diffusion(rig, tokens, length, seed + 1)
            events: list[Event] = []
            ms = timed(partial(_collect, engine, request, events), rig.denoiser.device)
            if seed >= 0:
                times[length].append(ms)
                worth[length].append(_worth(rig, engine, written(events, tokens)))
    ways = {length: Way(median(times[length]), fmean(worth[length])) for length in lengths}
    return ways.pop(ONE), ways


def _collect(engine: Engine, request: Request, events: list[Event]) -> None:
    events += rigs.answer(engine, request)


def written(events: Sequence[Event], tokens: int) -> list[int]:
    """Return the first `tokens` tokens of all blocks of one row."""
    return [i for e in events if isinstance(e, Block) for i in e.ids[0].tolist()][:tokens]


def _worth(rig: Rig, engine: Engine, ids: Sequence[int]) -> float:
    """Return what the causal side thinks of a text behind the prompt: its mean log p."""

    def loop() -> Loop:
        yield from denoise.prefill(rig.ids[:PREFIX])
        log_probs = yield Score([ids], keep=False)
        yield Scored(0, log_probs[None])

    (scored,) = rigs.answer(engine, Request(loop(), rows=1, tokens=len(ids)))
    assert isinstance(scored, Scored)
    return float(scored.log_probs.mean())


def _one_at_a_time(rig: Rig, tokens: int) -> Request:
    prompt = rig.ids[:PREFIX]
    loop = autoregress.generate(prompt, max_new_tokens=tokens, eos_token_ids=())
    return Request(loop, rows=1, tokens=tokens)


def _diffusion(rig: Rig, tokens: int, canvas: int, seed: int) -> Request:
    params = rigs.fixed(rig.model.defaults, canvas=canvas, steps=STEPS, blocks=-(-tokens // canvas))
    loop = denoise.generate(rig.ids[:PREFIX], params, rig.noise([seed]))
    return Request(loop, rows=1, tokens=tokens)
