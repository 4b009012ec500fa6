"""Holes between known texts: their canvas, their filling, and which filling is best. No text here.

    [ hole: middle, then empty slack (end of sequence) | suffix, pinned ]

The pinned suffix stands behind the hole, so that the model sees where the text must join; what it
does not need of the hole it leaves empty. How long a hole should be nobody knows beforehand: rows
with holes of several lengths are filled at once, the causal side writes a text of its own that is
cut at each of its line ends, and says which of all of them reads best with the suffix behind it.
What costs least can be read first: where that is enough, nothing is denoised.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import torch
from torch import Tensor

from sampler import canvas as cv
from sampler import written
from sampler.denoise import Pins, Region, Warm, check_known, denoise_block, numbers, prefill
from sampler.events import Block, Filled
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Loop, Score
from sampler.written import Causal, middle

# What a character of agreement with a like place elsewhere is worth, in nats a token; more than so
# many of them tell nothing more.
BEFORE_WEIGHT, AFTER_WEIGHT, AGREEING = 0.065, 0.1, 60
# ... and what it is worth that one row more says the same.
VOTE_WEIGHT = 1.0
NO_SUPPORT: Mapping[str, float] = MappingProxyType({})

# So many tokens behind the hole are asked whether they follow from what fills it.
JOIN = 8


@dataclass(frozen=True)
class Hole:
    """A gap of `length` positions; `allowed` [V] is true for the tokens that it may begin with."""

    length: int
    allowed: Tensor | None = None


@dataclass(frozen=True)
class Layout:
    """A canvas of one row: what is pinned [C], and where its holes are."""

    pinned: Tensor
    tokens: Tensor
    holes: tuple[slice, ...]
    allowed: dict[int, Tensor]

    def first_hole(self) -> tuple[int, Tensor | None]:
        """Return the length of the first hole, and what it may begin with."""
        hole = self.holes[0]
        return hole.stop - hole.start, self.allowed.get(hole.start)


def lay_out(parts: Sequence[Sequence[int] | Hole], canvas_length: int) -> Layout:
    """Lay known ids and holes side by side; what the canvas has no room for of the end is cut.

    What the canvas has left behind them is free and belongs to no hole. Raises InvalidParameter
    for no hole, an empty hole, and one that does not fit the canvas.
    """
    pinned = torch.zeros(canvas_length, dtype=torch.bool)
    tokens = torch.zeros(canvas_length, dtype=torch.long)
    holes: list[slice] = []
    allowed: dict[int, Tensor] = {}
    at = 0
    for part in parts:
        if isinstance(part, Hole):
            if part.length < 1 or at + part.length > canvas_length:
                raise InvalidParameter(
                    f"a hole needs 1 position at least and the {canvas_length - at} at most that "
                    f"the canvas of {canvas_length} has left, not {part.length}"
                )
            holes.append(slice(at, at + part.length))
            if part.allowed is not None:
                allowed[at] = part.allowed
            at += part.length
        else:
            shown = list(part)[: canvas_length - at]
            pinned[at : at + len(shown)] = True
            tokens[at : at + len(shown)] = torch.tensor(shown, dtype=torch.long)
            at += len(shown)
    if not holes:
        raise InvalidParameter("there is no hole to fill; leave at least one")
    return Layout(pinned, tokens, tuple(holes), allowed)


def longest_hole(suffix_tokens: int, canvas_length: int) -> int:
    """Return the length of the longest hole that leaves room for some of the suffix."""
    return canvas_length - min(suffix_tokens, canvas_length // 3)


def lengths_tried(suffix_tokens: int, canvas_length: int, rows: int) -> list[int]:
    """Return the hole's length of each row where nobody knows it: the longest, its half, ...

    The canvas is filled up with suffix; where there is too little of it the hole is longer.
    """
    tried = [longest_hole(suffix_tokens, canvas_length)]
    while tried[-1] > 8:
        tried.append(tried[-1] // 2)
    least = canvas_length - suffix_tokens
    return [max(tried[row % len(tried)], least) for row in range(rows)]


def support(before: int, after: int) -> float:
    """Return what it is worth, in nats a token, that a text stands at a like place elsewhere.

    So many characters on both sides agree there. The weights are those that chose best on lines cut
    out of packages that nano never saw.
    """
    return BEFORE_WEIGHT * min(before, AGREEING) + AFTER_WEIGHT * min(after, AGREEING)


def best_first(
    filled: Filled, texts: Sequence[str], supported: Mapping[str, float] = NO_SUPPORT
) -> list[int]:
    """Return the rows in the order in which they are worth showing; `texts` are what they say.

    What is empty comes last: it is very probable by any rating and of no use.
    """
    worth = worths(filled, texts, supported)
    return sorted(range(len(texts)), key=lambda row: (not texts[row].strip(), -worth[row]))


def worths(
    filled: Filled, texts: Sequence[str], supported: Mapping[str, float] = NO_SUPPORT
) -> list[float]:
    """Return what each row is worth, in nats a token; `texts` are what they say.

    What several rows say is the likelier for it, and `supported` is what texts are worth besides.
    """
    votes = Counter(texts)
    return [
        filled.rating(row) + VOTE_WEIGHT * votes[text] + supported.get(text, 0.0)
        for row, text in enumerate(texts)
    ]


def fill(
    prompt: Sequence[int],
    layouts: Sequence[Layout],
    params: SamplingParams,
    noise: cv.Noise,
    *,
    warm: Warm | None = None,
    region: Region | None = None,
    causal: Causal | None = None,
    copied: Sequence[list[int]] = (),
    enough: Callable[[Filled], bool] | None = None,
) -> Loop:
    """Fill the holes of one row for each layout, all rows at once behind `prompt`.

    With `causal`, texts for the one hole right behind the prompt are written one token after
    another too, and `copied` are more of them that are known from elsewhere. With `enough`, what is
    copied is read first, then what is written; where that is enough it is the whole answer: nothing
    is denoised, and there is no block. Yields drafts, the block, and `Filled`. Raises
    InvalidParameter for an empty prompt, and for layouts or a warm text that do not fit the canvas
    or the rows.
    """
    if len(layouts) != noise.rows:
        raise InvalidParameter(
            f"{len(layouts)} layouts need as many rows of noise, not {noise.rows}"
        )
    for layout in layouts:
        if len(layout.pinned) != params.canvas_length:
            raise InvalidParameter(
                f"a layout of {len(layout.pinned)} positions does not fit the canvas of "
                f"{params.canvas_length}"
            )
    pins = _pins(layouts, noise.device)
    check_known(pins, warm, params, noise)
    yield from prefill(prompt)
    # What is not denoised stands in the first row's layout, which has the longest hole.
    unread = [(layouts[0], [ids], 0) for ids in copied]
    read = Filled([], [], [])
    for writing in (None, causal):  # what is copied costs least
        if writing is not None:
            longest, allowed = layouts[0].first_hole()
            texts = yield from written.write(
                prompt, writing, longest, allowed, params.eos_token_ids
            )
            unread += [(layouts[0], [text.ids], text.given) for text in texts]
        if unread and enough is not None:
            read, unread = read + (yield from _read(unread)), []
            if enough(read):
                yield read
                return
    canvas = yield from denoise_block(0, params, noise, pins, warm, region)
    finished = torch.ones(len(layouts), dtype=torch.bool)
    yield Block(0, canvas.step, canvas.draft, canvas.settled, finished)
    denoised = [
        (layout, [middle(row[hole], params.eos_token_ids) for hole in layout.holes], 0)
        for row, layout in zip(canvas.draft.tolist(), layouts, strict=True)
    ]
    yield (yield from _read([*denoised, *unread])) + read


def _read(
    rows: Sequence[tuple[Layout, list[list[int]], int]],
) -> Generator[Score, Tensor, Filled]:
    """Have the causal side read the middles of some rows, each in its layout.

    How many tokens of a middle were given is told with it; they say nothing of how sure it is.
    """
    middles = [found for _, found, _ in rows]
    texts = [_compact(layout, found) for layout, found, _ in rows]
    if not any(ids for ids, _, _ in texts):  # nothing but slack: there is no text to think of
        return Filled(middles, [0.0] * len(rows), [0.0] * len(rows))
    log_probs: Tensor = yield Score([ids for ids, _, _ in texts], keep=False)
    told = iter(numbers(log_probs).tolist())
    confidence, follows = [], []
    for (ids, inside, near), (_, _, given) in zip(texts, rows, strict=True):
        log_p = list(islice(told, len(ids)))
        confidence.append(_mean([log_p[i] for i in inside[given:]]))
        follows.append(_mean([log_p[i] for i in near]))
    return Filled(middles, confidence, follows)


def reading_region(
    layouts: Sequence[Layout],
    eos_token_ids: Sequence[int],
    line_ends: Tensor,
    max_lines: int,
    device: torch.device,
) -> Region:
    """Return the region that a reader of the first hole sees: up to its end or `max_lines` lines.

    `line_ends` [V] is how many line ends a token holds; `max_lines` 0 means all lines.
    """
    eos = torch.tensor(eos_token_ids, device=device)
    inside = torch.zeros(len(layouts), len(layouts[0].pinned), dtype=torch.bool)
    for row, layout in enumerate(layouts):
        inside[row, layout.holes[0]] = True
    inside, line_ends = inside.to(device), line_ends.to(device)

    def region(draft: Tensor) -> Tensor:
        ends = torch.isin(draft, eos) & inside
        seen = inside & (ends.cumsum(-1) - ends.long() == 0)
        if max_lines:
            lines = torch.where(inside, line_ends[draft], 0)
            seen = seen & (lines.cumsum(-1) - lines < max_lines)
        return seen

    return region


def _pins(layouts: Sequence[Layout], device: torch.device) -> Pins:
    limited = sorted({at for layout in layouts for at in layout.allowed})
    allowed = {}
    for at in limited:
        some = next(layout.allowed[at] for layout in layouts if at in layout.allowed)
        # The position that begins one row's hole may lie within another's, where all may stand.
        rows = [layout.allowed.get(at, torch.ones_like(some)) for layout in layouts]
        allowed[at] = torch.stack(rows).to(device)
    return Pins(
        torch.stack([layout.pinned for layout in layouts]).to(device),
        torch.stack([layout.tokens for layout in layouts]).to(device),
        allowed,
    )


def _compact(
    layout: Layout, middles: Sequence[Sequence[int]]
) -> tuple[list[int], list[int], list[int]]:
    """Return a row's text without slack, where in it the middles are, and where they join."""
    ids: list[int] = []
    inside: list[int] = []
    near: list[int] = []
    at = 0
    row, known = layout.tokens.tolist(), layout.pinned.tolist()
    for hole, found in zip(layout.holes, middles, strict=True):
        ids += [
            t for t, is_known in zip(row[at : hole.start], known[at:], strict=False) if is_known
        ]
        inside += range(len(ids), len(ids) + len(found))
        ids += found
        at = hole.stop
        behind = next((i for i in range(at, len(known)) if not known[i]), len(known)) - at
        near += range(len(ids), len(ids) + min(behind, JOIN))
    # Nothing is asked about what stands further behind.
    ids += [t for t, is_known in zip(row[at:], known[at:], strict=True) if is_known][:JOIN]
    return ids, inside, near


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
