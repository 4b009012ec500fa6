"""The Triton kernel behind `epilogue.read_triton`. Importing it needs triton; nothing runs here.

One program reads one row. The first sweep finds, for each lane on its own, the least cost, its
place and the sums around it, and joins the lanes at the end; the second writes the distribution
and notes in which tile the drawn token lies. The row comes out of the GPU's cache by then.
"""

import triton
import triton.language as tl

BLOCK = 2048
WARPS = 8


@triton.jit
def costs(
    raw, struck, at, vocab, cap, forbidden, HAS_CAP: tl.constexpr, HAS_FORBIDDEN: tl.constexpr
):
    """Return the costs of the tokens `at`, and which of their logits are broken."""
    inside = at < vocab
    logit = tl.load(raw + at, mask=inside, other=0.0).to(tl.float32)
    # Not below infinity: infinite, or NaN.
    broken = (tl.abs(logit) < float("inf")) == 0
    logit = tl.where(broken, 0.0, logit)
    cost = -logit
    if HAS_CAP:
        cost = 1 / (1 + tl.exp(logit * (2 / cap)))
    if HAS_FORBIDDEN:
        cost = tl.where(tl.load(struck + at, mask=inside, other=0) != 0, forbidden, cost)
    return cost, broken


@triton.jit
def read_row(
    raw,
    struck,
    temperature,
    uniform,
    sampled,
    likely,
    entropy,
    probs,
    vocab,
    cap,
    forbidden,
    HAS_CAP: tl.constexpr,
    HAS_FORBIDDEN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Read one row: raw, struck and probs [T, V], everything else [T]."""
    row = tl.program_id(0).to(tl.int64)
    raw += row * vocab
    struck += row * vocab
    probs += row * vocab
    lane = tl.arange(0, BLOCK)
    scale = 1 / tl.load(temperature + row).to(tl.float32)
    if HAS_CAP:
        scale = scale * 2 * cap

    # Above every cost, and small enough that nothing below overflows.
    least = tl.full((BLOCK,), 1e30, tl.float32)
    place = tl.zeros((BLOCK,), tl.int32)
    total = tl.zeros((BLOCK,), tl.float32)  # sum of exp(z), z = (least - cost) * scale
    moment = tl.zeros((BLOCK,), tl.float32)  # sum of z * exp(z)
    bad = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, vocab, BLOCK):
        at = start + lane
        cost, broken = costs(raw, struck, at, vocab, cap, forbidden, HAS_CAP, HAS_FORBIDDEN)
        inside = at < vocab
        bad |= broken.to(tl.int32)
        lower = inside & (cost < least)
        now = tl.where(lower, cost, least)
        place = tl.where(lower, at, place)
        shift = (now - least) * scale
        fade = tl.exp(shift)
        z = tl.where(inside, (now - cost) * scale, 0.0)
        e = tl.where(inside, tl.exp(z), 0.0)
        moment = fade * (moment + shift * total) + e * z
        total = fade * total + e
        least = now

    lowest = tl.min(least)
    shift = (lowest - least) * scale
    fade = tl.exp(shift)
    moment_sum = tl.sum(fade * (moment + shift * total))
    total_sum = tl.sum(fade * total)
    best = tl.min(tl.where(least == lowest, place, vocab))
    is_bad = tl.max(bad) > 0

    # The tile of the drawn token is the last one with any mass that starts at or below it.
    target = tl.load(uniform + row).to(tl.float64)
    before = tl.full((), 0.0, tl.float64)
    base = tl.full((), 0.0, tl.float64)
    tile = tl.full((), 0, tl.int32)
    for start in range(0, vocab, BLOCK):
        at = start + lane
        inside = at < vocab
        cost, _ = costs(raw, struck, at, vocab, cap, forbidden, HAS_CAP, HAS_FORBIDDEN)
        p = tl.where(inside, tl.exp((lowest - cost) * scale) / total_sum, 0.0)
        out = tl.where(is_bad, float("nan"), p)
        tl.store(probs + at, out.to(probs.dtype.element_ty), mask=inside)
        mass = tl.sum(p)
        here = (before <= target) & (mass > 0)
        tile = tl.where(here, start, tile)
        base = tl.where(here, before, base)
        before += mass

    at = tile + lane
    cost, _ = costs(raw, struck, at, vocab, cap, forbidden, HAS_CAP, HAS_FORBIDDEN)
    p = tl.where(at < vocab, tl.exp((lowest - cost) * scale) / total_sum, 0.0)
    # A GPU sums in parallel, so that rounding may cross the target at a token without mass.
    above = (tl.cumsum(p) > (target - base).to(tl.float32)) & (p > 0)
    first = tl.min(tl.where(above, at, vocab))
    # Rounding may leave the sum below a target near 1: then the last token that has any mass.
    last = tl.max(tl.where(p > 0, at, 0))
    drawn = tl.where(first < vocab, first, last)
    tl.store(sampled + row, tl.where(is_bad, 0, drawn).to(tl.int64))
    tl.store(likely + row, tl.where(is_bad, 0, best).to(tl.int64))
    log_sum = tl.log(total_sum)
    tl.store(entropy + row, tl.where(is_bad, float("nan"), log_sum - moment_sum / total_sum))
