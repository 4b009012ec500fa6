"""What nano learns from: windows of clean text with noised canvases cut into them. No model here.

One-pass layout of block diffusion training (BD3-LM, arXiv 2503.09573): every window is encoded
once, causally, and several canvases at random offsets are denoised against its prefix. A canvas is

    [ middle | slack: EOS | suffix, pinned ]        a hole, or
    [ the next C tokens, EOS-filled after an EOS ]   the next block

whose free positions are replaced by uniform noise (uniform-state diffusion), in one of three ways:
all of them (t = 1, over-weighted, because that is where few-step drafts begin), a share t of them,
or all behind a clean beginning, which is how a sampler that accepts what it is sure of gets on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sampler.train.tokenizer import BOS, EOS

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

PURE_SHARE, FRONTIER_SHARE = 0.2, 0.4
# Loss weights: what was replaced must be found; what was kept only confirmed; the empty tail is
# easy and would drown the rest, except its first token, which tells where the middle ends.
KEPT_WEIGHT = 0.25
TAIL_WEIGHT = 0.1
# Far from all known text there is nothing to learn but how frequent tokens are.
NEAR_DECAY, FAR_WEIGHT = 0.8, 0.15


@dataclass(frozen=True)
class Batch:
    """B windows of L clean tokens with N canvases of C tokens each.

    `clean` [B, L]; `offset` [B, N]: the canvas follows clean[:offset]; `target`, `noisy`, `weight`
    [B, N, C]; `pure` [B, N]: the canvas is pure noise, as at the first denoising step.
    """

    clean: Ints
    offset: Ints
    target: Ints
    noisy: Ints
    weight: Floats
    pure: Bools


@dataclass(frozen=True)
class Hole:
    """Where a canvas lies in a window: the middle is [start, end), then slack, then the suffix."""

    start: int
    end: int
    suffix: int


def draw_batch(
    rng: np.random.Generator,
    stream: NDArray[np.uint16],
    breaks: Bools,
    vocab_size: int,
    *,
    windows: int,
    length: int,
    canvas: int,
) -> Batch:
    """Draw `windows` windows of `length` tokens with as many canvas tokens as clean ones.

    `stream` holds all documents, each as BOS text EOS; `breaks` [vocab_size] marks the tokens that
    begin with a line break.
    """
    per_window = length // canvas
    clean = np.empty((windows, length), np.int64)
    shape = (windows, per_window, canvas)
    target, free = np.empty(shape, np.int64), np.empty(shape, np.bool_)
    tail = np.zeros(shape, np.bool_)
    offset = np.empty(shape[:2], np.int64)
    for b in range(windows):
        begin = int(rng.integers(0, len(stream) - length - canvas))
        text = stream[begin : begin + length + canvas].astype(np.int64)
        text[0] = BOS
        clean[b] = text[:length]
        line_breaks = np.flatnonzero(breaks[text])
        for n in range(per_window):
            hole = draw_hole(rng, text, line_breaks, length, canvas)
            offset[b, n] = hole.start
            target[b, n], free[b, n], tail[b, n] = lay_out(text, hole, canvas)
    noisy, weight, pure = corrupt(rng, target, free, tail, vocab_size)
    return Batch(clean, offset, target, noisy, weight, pure)


def draw_hole(
    rng: np.random.Generator, text: Ints, line_breaks: Ints, length: int, canvas: int
) -> Hole:
    """Draw a hole: single line 45 %, several lines 25, span 12, empty 3, next block 15."""
    start = int(rng.integers(1, length))
    kind = rng.random()
    if kind < 0.15:
        return Hole(start, start + canvas, 0)
    after = line_breaks[np.searchsorted(line_breaks, start) :]
    if kind < 0.27:
        end = start + int(rng.integers(1, canvas // 2))
    elif kind < 0.30:
        end = start
    elif len(after) < 10:
        return Hole(start, start + canvas, 0)
    else:
        line = 0
        if rng.random() < 0.7:  # the cursor stands right after a line's indentation
            while line < 2 and after[line] + 1 == after[line + 1]:
                line += 1  # blank lines are no place to ask at
            start, line = int(after[line]) + 1, line + 1
        end = int(after[line] if kind < 0.75 else after[line + int(rng.integers(1, 6))])
    middle = end - start
    if start >= length or middle > canvas - 2 or EOS in text[start:end]:
        start = min(start, length - 1)
        return Hole(start, start + canvas, 0)
    suffix = int(rng.integers(1, canvas - middle + 1))
    stop = np.flatnonzero(text[end : end + suffix] == EOS)
    return Hole(start, end, int(stop[0]) + 1 if len(stop) else suffix)


def lay_out(text: Ints, hole: Hole, canvas: int) -> tuple[Ints, Bools, Bools]:
    """Return a canvas's tokens, its free positions and its slack behind the first empty one."""
    tokens = np.full(canvas, EOS, np.int64)
    middle = text[hole.start : hole.end]
    stop = np.flatnonzero(middle == EOS)
    if len(stop):
        middle = middle[: stop[0]]
    tokens[: len(middle)] = middle
    if hole.suffix:
        tokens[canvas - hole.suffix :] = text[hole.end : hole.end + hole.suffix]
    position = np.arange(canvas)
    free = position < canvas - hole.suffix
    return tokens, free, free & (position > len(middle))


def corrupt(
    rng: np.random.Generator, target: Ints, free: Bools, tail: Bools, vocab_size: int
) -> tuple[Ints, Floats, Bools]:
    """Noise the canvases; returns the noisy tokens, the loss weights and which are pure noise."""
    canvases = target.shape[:2]
    kind = rng.random(canvases)
    pure, frontier = kind < PURE_SHARE, (kind >= PURE_SHARE) & (kind < PURE_SHARE + FRONTIER_SHARE)
    t = np.where(pure, 1.0, rng.random(canvases))
    scattered = rng.random(target.shape) < t[..., None]
    # A frontier lies within the middle or at its end; a canvas of pure noise has it at its start.
    begin = np.where(frontier, rng.random(canvases) * (free & ~tail).sum(-1), 0).astype(np.int64)
    distance = np.arange(target.shape[-1]) - begin[..., None]
    replaced = np.where(frontier[..., None], distance >= 0, scattered) & free
    noisy = np.where(replaced, rng.integers(0, vocab_size, target.shape), target)
    near = np.maximum(NEAR_DECAY ** np.maximum(distance, 0), FAR_WEIGHT)
    weight = np.where(replaced, 1.0, KEPT_WEIGHT) * np.where(tail, TAIL_WEIGHT, 1.0) * free
    weight = weight * np.where((pure | frontier)[..., None], near, 1.0)
    return noisy, weight.astype(np.float32), pure
