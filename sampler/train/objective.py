"""What nano learns from: windows of clean text with noised canvases cut into them. No model here.

One-pass layout of block diffusion training (BD3-LM, arXiv 2503.09573): every window is encoded
once, causally, and several canvases at random offsets are denoised against its prefix. A canvas is

    [ middle | slack: EOS | suffix, pinned ]        a hole, or
    [ the next C tokens, EOS-filled after an EOS ]   the next block

whose free positions are replaced by uniform noise (uniform-state diffusion), in one of four ways:
all of them (t = 1, over-weighted, because that is where few-step drafts begin), a share t of them,
all behind a clean beginning, which is how a sampler that accepts what it is sure of gets on, or
none: there the canvas is a near miss, the text with some tokens left out, added, changed or out of
place and partly noised besides, as an earlier suggestion is. In windows of English most canvases
are sentences to be mended: their draft has somebody's mistakes in it, or none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sampler.train.prose import Prose
from sampler.train.tokenizer import BOS, EOS

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

# An edit of a near miss is followed by another one with this probability, and half of the near
# misses are noised by a share of up to this much.
ANOTHER_EDIT, NEAR_MISS_NOISE = 0.5, 0.5
# Of the canvases in English, so many are sentences to be mended.
MENDED_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How canvases are noised, and what each of their positions weighs in the loss.

    `pure`, `frontier` and `near_miss` are shares of the canvases; t is uniform in the rest. What
    was replaced weighs 1, what was `kept` less, as it is only confirmed. The empty tail is easy and
    would drown the rest, except its first token, which tells where the middle ends. Far from all
    known text there is nothing to learn but how frequent tokens are: the weight falls by
    `near_decay` a token behind it, down to `far`. Where a canvas is conditioned on an earlier step,
    it is `walked` there by the sampler itself; else it is read twice as it stands.
    """

    pure: float = 0.2
    frontier: float = 0.35
    near_miss: float = 0.2
    kept: float = 0.25
    tail: float = 0.1
    near_decay: float = 0.8
    far: float = 0.15
    walked: bool = True


# The first is how nano is trained; the others are what it is compared with.
RECIPES = {
    "weighted": Recipe(),
    "all-tokens": Recipe(kept=1, tail=1, near_decay=1),
    "replaced-only": Recipe(kept=0, tail=1, near_decay=1, walked=False),
    "no-own-steps": Recipe(walked=False),
    "no-near-misses": Recipe(near_miss=0),
    "no-frontier": Recipe(frontier=0),
    "uniform-noise": Recipe(pure=0, frontier=0, near_miss=0),
}


@dataclass(frozen=True)
class Batch:
    """B windows of L clean tokens with N canvases of C tokens each.

    `clean` [B, L]; `offset` [B, N], ascending: the canvas follows clean[:offset]; `target`,
    `noisy`, `weight`, `free` [B, N, C]: what is not free is pinned; `pure` [B, N]: the canvas is
    pure noise, as at the first step.
    """

    clean: Ints
    offset: Ints
    target: Ints
    noisy: Ints
    weight: Floats
    free: Bools
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
    recipe: Recipe = RECIPES["weighted"],
    prose: Prose | None = None,
    prose_share: float = 0.0,
) -> Batch:
    """Draw `windows` windows of `length` tokens with as many canvas tokens as clean ones.

    `stream` holds all documents, each as BOS text EOS; `breaks` [vocab_size] marks the tokens that
    begin with a line break. A window is of `prose` with a probability of `prose_share`.
    """
    per_window = length // canvas
    clean = np.empty((windows, length), np.int64)
    shape = (windows, per_window, canvas)
    target, free = np.empty(shape, np.int64), np.empty(shape, np.bool_)
    tail, draft = np.zeros(shape, np.bool_), np.empty(shape, np.int64)
    offset, drafted = np.empty(shape[:2], np.int64), np.zeros(shape[:2], np.bool_)
    for b in range(windows):
        english = prose if prose is not None and rng.random() < prose_share else None
        source = stream if english is None else english.tokens
        begin = int(rng.integers(0, len(source) - length - canvas))
        text = source[begin : begin + length + canvas].astype(np.int64)
        text[0] = BOS
        clean[b] = text[:length]
        line_breaks = np.flatnonzero(breaks[text])
        holes: list[tuple[Hole, Ints | None]] = []
        for _ in range(per_window):
            found = None
            if english is not None and rng.random() < MENDED_SHARE:
                found = draw_sentence(rng, english, begin, length, canvas)
            holes.append(found or (draw_hole(rng, text, line_breaks, length, canvas), None))
        # Neighbours attend together, so they had better see the same part of the window.
        for n, (hole, wrong) in enumerate(sorted(holes, key=lambda pair: pair[0].start)):
            offset[b, n] = hole.start
            target[b, n], free[b, n], tail[b, n] = lay_out(text, hole, canvas)
            if wrong is not None:
                drafted[b, n] = True
                room = canvas - hole.suffix
                draft[b, n] = target[b, n]
                draft[b, n, :room] = wrong[:room]
    noisy, weight, pure = corrupt(
        rng, target, free, tail, vocab_size, recipe, np.where(drafted[..., None], draft, -1)
    )
    return Batch(clean, offset, target, noisy, weight, free, pure)


def draw_sentence(
    rng: np.random.Generator, prose: Prose, begin: int, length: int, canvas: int
) -> tuple[Hole, Ints] | None:
    """Draw a sentence of the window at `begin` and a draft of it that fits the canvas, or None."""
    first, last = np.searchsorted(prose.sentence[:, 0], (begin + 1, begin + length))
    for at in rng.integers(first, last, 4 if last > first else 0):
        start, end = (int(n) - begin for n in prose.sentence[at])
        draft = prose.draft[at].astype(np.int64)
        room = max(end - start, int(np.argmax(draft == EOS)))
        if room <= canvas - 2:
            suffix = int(rng.integers(0, canvas - room))
            padded = np.full(canvas, EOS, np.int64)
            padded[: min(canvas, len(draft))] = draft[:canvas]
            return Hole(start, end, suffix), padded
    return None


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
    rng: np.random.Generator,
    target: Ints,
    free: Bools,
    tail: Bools,
    vocab_size: int,
    recipe: Recipe,
    given: Ints,
) -> tuple[Ints, Floats, Bools]:
    """Noise the canvases; returns the noisy tokens, the loss weights and which are pure noise.

    `given` [B, N, C] is the draft of a canvas where there is one, -1 elsewhere.
    """
    canvases = target.shape[:2]
    kind, drafted = rng.random(canvases), given[..., 0] >= 0
    pure = (kind < recipe.pure) & ~drafted
    frontier = (kind >= recipe.pure) & (kind < recipe.pure + recipe.frontier) & ~drafted
    missed = (kind >= 1 - recipe.near_miss) & ~drafted
    draft = np.where(drafted[..., None], given, target)
    for at in np.argwhere(missed):
        row = tuple(at)
        draft[row] = near_miss(rng, target[row], free[row], tail[row], vocab_size)
    t = np.where(pure, 1.0, rng.random(canvases))
    t = np.where(missed | drafted, np.maximum(0, t - 0.5) / 0.5 * NEAR_MISS_NOISE, t)
    scattered = rng.random(target.shape) < t[..., None]
    # A frontier lies within the middle or at its end; a canvas of pure noise has it at its start.
    begin = np.where(frontier, rng.random(canvases) * (free & ~tail).sum(-1), 0).astype(np.int64)
    distance = np.arange(target.shape[-1]) - begin[..., None]
    noised = np.where(frontier[..., None], distance >= 0, scattered) & free
    noisy = np.where(noised, rng.integers(0, vocab_size, target.shape), draft)
    near = np.maximum(recipe.near_decay ** np.maximum(distance, 0), recipe.far)
    replaced = noised | (draft != target)
    weight = np.where(replaced, 1.0, recipe.kept) * np.where(tail, recipe.tail, 1.0) * free
    weight = weight * np.where((pure | frontier)[..., None], near, 1.0)
    return noisy, weight.astype(np.float32), pure


def near_miss(
    rng: np.random.Generator, target: Ints, free: Bools, tail: Bools, vocab_size: int
) -> Ints:
    """Return the canvas [C] with some edits of its middle, the slack filled up behind them."""
    room = int(free.sum())
    if room == 0:  # an empty hole without slack
        return target
    middle = target[: int((free & ~tail).sum())].tolist()
    if middle and middle[-1] == EOS:
        middle.pop()
    editing = True
    while editing:
        at = int(rng.integers(0, len(middle) + 1))
        # A wrong token is one of the canvas as often as any other.
        token = int(
            target[rng.integers(0, room)] if rng.random() < 0.5 else rng.integers(vocab_size)
        )
        match rng.integers(0, 5):
            case 0:
                middle[at:at] = [token]
            case 1:
                middle[at : at + 1] = [token]
            case 2:
                del middle[at : at + 1 + int(rng.integers(0, 3))]
            case 3:
                middle[at : at + 2] = middle[at : at + 2][::-1]
            case _:
                middle[at:at] = middle[at : at + 1 + int(rng.integers(0, 3))]
        editing = rng.random() < ANOTHER_EDIT
    draft = target.copy()
    draft[:room] = (middle + [EOS] * room)[:room]
    return draft
