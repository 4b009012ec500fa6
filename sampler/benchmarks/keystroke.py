"""A request again after every key of an editing trace, against `generate` from scratch."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from sampler import denoise
from sampler.benchmarks import fills, trace
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.report import Goal, Row, Section, percentile
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.benchmarks.timing import timed
from sampler.benchmarks.trace import Key
from sampler.cache import PrefixCache
from sampler.engine import Engine, Request
from sampler.kv import KV
from sampler.params import SamplingParams

STEPS = 4
UNLIMITED = 2**31


class CountingCache(PrefixCache):
    """A prefix cache that writes down how many tokens were left to encode each time."""

    def __init__(self, new_kv: Callable[[], KV], budget: int) -> None:
        super().__init__(new_kv, budget)
        self.left: list[int] = []

    def acquire(self, ids: Sequence[int]) -> KV:
        """Lend a text that begins like `ids`."""
        kv = super().acquire(ids)
        self.left.append(len(ids) - kv.length)
        return kv


def run(rig: Rig, scale: Scale, tell: Told) -> Section:
    """Replay `scale.keys` keys behind `scale.context` tokens."""
    begin = len(rig.prompts.decode(rig.ids[: scale.context]))
    keys = trace.typing(rig.text, begin, scale.keys, seed=0)
    cache = CountingCache(rig.denoiser.new_kv, rigs.CACHE_BYTES)
    engine = rig.engine(cache)
    _ask(rig, engine, keys[0])  # the document was read before somebody typed
    cache.left.clear()
    tell(f"{len(keys)} keys behind {scale.context} tokens")
    ours, theirs = _replay(rig, engine, keys, scale.references)
    tell(f"{scale.shipped} keys as an editor asks")
    shipped = [
        timed(partial(_ask_as_an_editor, rig, engine, key), rig.denoiser.device)
        for key in keys[: scale.shipped]
    ]
    tell("reading the text into tokens")
    reading = [_reading(rig, key) for key in keys[:: max(1, len(keys) // 50)]]
    rows = [
        _row("transformers, from scratch", theirs),
        _row("ours, again after a key", ours),
        _row(f"ours, as an editor asks: {fills.DRAWN} texts, suffix pinned", shipped),
        _row("of each of them: text to tokens", reading),
    ]
    encoded = cache.left[: len(keys)]
    return Section(
        "keystroke",
        f"A request again after a key, {scale.context} tokens before the cursor",
        rows,
        [
            Goal(f"times faster, p{share}", percentile(theirs, share) / percentile(ours, share), 20)
            for share in (50, 95)
        ],
        [
            f"One canvas of {rig.model.defaults.canvas_length}, {STEPS} steps, from the text to "
            f"the last token; transformers at {len(theirs)} of the keys, evenly spread.",
            f"Tokens encoded for a key: {fmean(encoded):.1f} on average, "
            f"{percentile(encoded, 95):.0f} at p95, {max(encoded)} at most "
            "(a jump to an earlier word encodes what stands behind it anew).",
        ],
    )


def _replay(
    rig: Rig, engine: Engine, keys: Sequence[Key], references: int
) -> tuple[list[float], list[float]]:
    """Return milliseconds of ours at each key, and of theirs at `references` of them."""
    device = rig.denoiser.device
    every = max(1, len(keys) // references)
    ours: list[float] = []
    theirs: list[float] = []
    _from_scratch(rig, keys[0])
    for number, key in enumerate(keys):
        ours.append(timed(partial(_ask, rig, engine, key), device))
        if number % every == 0 and len(theirs) < references:
            theirs.append(timed(partial(_from_scratch, rig, key), device))
    return ours, theirs


def _ask(rig: Rig, engine: Engine, key: Key) -> None:
    ids = _prefix(rig, key)
    params = _params(rig)
    loop = denoise.generate(ids, params, rig.noise([0]))
    rigs.answer(engine, Request(loop, rows=1, tokens=params.canvas_length))


def _from_scratch(rig: Rig, key: Key) -> None:
    rigs.generate(rig.reference, rig.tensor(_prefix(rig, key)), _params(rig))


def _ask_as_an_editor(rig: Rig, engine: Engine, key: Key) -> None:
    prompt = fills.prompt_of(rig, key.before, key.after, prefix_tokens=UNLIMITED)
    params = rig.model.defaults
    lengths = fills.tried(prompt, params.canvas_length)
    fill = fills.fill(rig, prompt, params, lengths, seed=0, causal=fills.causal(rig, key.after))
    rigs.answer(engine, fill.request)


def _prefix(rig: Rig, key: Key) -> list[int]:
    return fills.prompt_of(rig, key.before, "", prefix_tokens=UNLIMITED).prefix_ids


def _reading(rig: Rig, key: Key) -> float:
    began = time.perf_counter()
    _prefix(rig, key)
    return (time.perf_counter() - began) * 1e3


def _params(rig: Rig) -> SamplingParams:
    own = rig.model.defaults
    return rigs.fixed(own, canvas=own.canvas_length, steps=STEPS)


def _row(what: str, times: Sequence[float]) -> Row:
    return {
        "what": what,
        "p50, ms": percentile(times, 50),
        "p95, ms": percentile(times, 95),
        "requests": len(times),
    }
