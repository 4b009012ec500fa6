"""A text rewritten in place: what is kept is pinned, what lies between is denoised. No text here.

    kept | gap: new text, then empty slack | kept | gap | kept ...

As many gaps as fit stand in one canvas with all that is kept between them, so that each is written
for what stands on both sides of it; behind the last the text goes on as far as there is room. What
a canvas has written is encoded, and the next one goes on behind it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampler import canvas as cv
from sampler import infill, written
from sampler.denoise import Pins, Region, Warm, denoise_block, prefill
from sampler.events import Block
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Loop, Prefill

# A gap is so much longer than the text that is meant for it: what is not needed is left empty.
SLACK = 1.25
# At least this share of a canvas is for what is kept behind its last gap.
BEHIND = 0.25


@dataclass(frozen=True)
class Gap:
    """A part to rewrite: its present ids, and the positions that the new text may take."""

    ids: list[int]
    length: int


@dataclass(frozen=True)
class Sheet:
    """One canvas of a text: `before` is kept and encoded first, `gaps` number the layout's holes.

    `present` [C] is the present text, and `given` [C] tells where there is any.
    """

    before: list[int]
    layout: infill.Layout
    gaps: list[int]
    present: Tensor
    given: Tensor

    def written(self, draft: Sequence[int], eos_token_ids: Sequence[int]) -> list[list[int]]:
        """Return what stands in each hole of a draft [C], without slack."""
        return [written.middle(draft[hole], eos_token_ids) for hole in self.layout.holes]

    def whole(self, draft: Sequence[int], eos_token_ids: Sequence[int]) -> list[int]:
        """Return the text from the first hole of a draft [C] to the last, without slack."""
        ids: list[int] = []
        at = 0
        holes = self.layout.holes
        for hole, found in zip(holes, self.written(draft, eos_token_ids), strict=True):
            ids += [*draft[at : hole.start], *found]
            at = hole.stop
        return ids


def gap(ids: list[int], length: float) -> Gap:
    """Return the gap for a text that is meant to be `length` times as long as `ids`."""
    return Gap(ids, math.ceil(len(ids) * length * SLACK) + 1)


def lay_out(pieces: Sequence[list[int] | Gap], canvas_length: int, eos: int) -> list[Sheet]:
    """Spread a text over canvases; a gap is cut where it is too long for one.

    Raises InvalidParameter where there is no gap at all.
    """
    room = canvas_length - int(canvas_length * BEHIND)
    queue = [part for number, piece in enumerate(pieces) for part in _cut(piece, number, room)]
    sheets: list[Sheet] = []
    at = 0
    while any(isinstance(piece, _Part) for piece in queue[at:]):
        before: list[int] = []
        while not isinstance(piece := queue[at], _Part):
            before += piece
            at += 1
        until = _fitting(queue, at, room)
        sheets.append(_sheet(before, queue[at:until], queue[until:], canvas_length, eos))
        at = until
    if not sheets:
        raise InvalidParameter("there is no gap to fill; leave at least one part to rewrite")
    return sheets


def rewrite(
    prompt: Sequence[int],
    sheets: Sequence[Sheet],
    params: SamplingParams,
    noise: cv.Noise,
    *,
    strength: float = 1.0,
) -> Loop:
    """Fill the gaps of one text, sheet after sheet, behind `prompt`; yields drafts and blocks.

    `strength` is the share of the present text that is noise at first: 1 rewrites all of it.
    Raises InvalidParameter for several rows, an empty prompt and a strength outside 0..1.
    """
    if noise.rows != 1:
        raise InvalidParameter(f"a text is rewritten in one row, not {noise.rows}")
    if not 0 <= strength <= 1:
        raise InvalidParameter(f"strength must be within 0..1, not {strength}")
    yield from prefill(prompt)
    known, encoded = list(prompt), len(prompt)
    for number, sheet in enumerate(sheets):
        known += sheet.before
        if len(known) > encoded:
            yield Prefill(list(known))
            encoded = len(known)
        canvas = yield from denoise_block(
            number,
            params,
            noise,
            Pins(sheet.layout.pinned.to(noise.device), sheet.layout.tokens.to(noise.device)),
            _warm(sheet, strength, noise.device),
            _region(sheet, params.eos_token_ids, noise.device),
        )
        last = number + 1 == len(sheets)
        finished = torch.full((1,), last, dtype=torch.bool)
        yield Block(number, canvas.step, canvas.draft, canvas.settled, finished)
        known += sheet.whole(canvas.draft[0].tolist(), params.eos_token_ids)


@dataclass(frozen=True)
class _Part:
    """A gap, or a piece of one, with the number of what it is a piece of."""

    gap: Gap
    number: int


def _cut(piece: list[int] | Gap, number: int, room: int) -> list[list[int] | _Part]:
    if not isinstance(piece, Gap):
        return [piece] if piece else []
    count = -(-piece.length // room)
    share, length = -(-len(piece.ids) // count), -(-piece.length // count)
    return [
        _Part(Gap(piece.ids[share * i : share * (i + 1)], length), number) for i in range(count)
    ]


def _fitting(queue: Sequence[list[int] | _Part], at: int, room: int) -> int:
    """Return where the pieces end that a canvas takes from `at` on; the last of them is a gap."""
    used, until = 0, at
    for index in range(at, len(queue)):
        piece = queue[index]
        used += piece.gap.length if isinstance(piece, _Part) else len(piece)
        if used > room:
            break
        if isinstance(piece, _Part):
            until = index + 1
    return until


def _sheet(
    before: list[int],
    inside: Sequence[list[int] | _Part],
    behind: Sequence[list[int] | _Part],
    canvas_length: int,
    eos: int,
) -> Sheet:
    parts = [piece for piece in inside if isinstance(piece, _Part)]
    next_gap = next((i for i, p in enumerate(behind) if isinstance(p, _Part)), len(behind))
    kept = [token for p in behind[:next_gap] if not isinstance(p, _Part) for token in p]
    holes = [infill.Hole(p.gap.length) if isinstance(p, _Part) else p for p in inside]
    layout = infill.lay_out([*holes, kept], canvas_length)
    present = torch.full((canvas_length,), eos, dtype=torch.long)
    given = torch.zeros(canvas_length, dtype=torch.bool)
    for hole, part in zip(layout.holes, parts, strict=True):
        ids = part.gap.ids[: part.gap.length]
        present[hole.start : hole.start + len(ids)] = torch.tensor(ids, dtype=torch.long)
        given[hole] = True
    return Sheet(before, layout, [part.number for part in parts], present, given)


def _warm(sheet: Sheet, strength: float, device: torch.device) -> Warm | None:
    if strength == 1:
        return None
    return Warm(sheet.present.to(device), sheet.given.to(device), strength)


def _region(sheet: Sheet, eos_token_ids: Sequence[int], device: torch.device) -> Region:
    """Return the region that has to settle: each hole up to its first end of sequence."""
    eos = torch.tensor(eos_token_ids, device=device)
    length = len(sheet.given)
    inside, starts = torch.zeros(length, dtype=torch.bool), torch.zeros(length, dtype=torch.long)
    for hole in sheet.layout.holes:
        inside[hole], starts[hole] = True, hole.start
    inside, starts = inside.to(device), starts.to(device)

    def region(draft: Tensor) -> Tensor:
        ends = torch.isin(draft, eos).long()
        before = ends.cumsum(-1) - ends
        return inside & (before == before[:, starts])

    return region


def positions(sheets: Sequence[Sheet], canvas_length: int) -> int:
    """Return how many positions a text takes behind its prompt at most."""
    kept = sum(len(sheet.before) for sheet in sheets)
    return kept + len(sheets) * canvas_length
