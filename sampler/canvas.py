"""Pure tensor functions on the canvas: new, pin, accept, renoise, settled. No model, no loop.

    ids [B, C]      what the model reads: typed and accepted tokens, noise elsewhere
    draft [B, C]    the best text so far: the most likely token everywhere
    free [B, C]     the hole; everything else is pinned and never changes

One denoising step: what the model reads off the canvas -> accept the positions of least entropy ->
fresh noise everywhere else. There is no memory: what was accepted may be noise again a step later
(entropy-bound sampling, arXiv 2505.24857, as in transformers' DiffusionGemma).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# A token that came out twice is called stable below so many nats, the released model's own measure
# of being sure. In nano's four steps 1.6 % of what was shown as stable changed later; with a bound
# of 0.3 nats it was 4 %, and two fifths more were shown.
SURE = 0.005


class Noise:
    """The random numbers of a request's rows, each from a seed of its own.

    So a row's text depends neither on its neighbours nor on the device.
    """

    def __init__(self, seeds: Sequence[int], vocab_size: int, device: torch.device) -> None:
        self.vocab_size, self.device = vocab_size, device
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._generators)

    def tokens(self, length: int) -> Tensor:
        """Return uniform token ids [B, C]."""
        drawn = [
            torch.randint(0, self.vocab_size, (length,), generator=g) for g in self._generators
        ]
        return torch.stack(drawn).to(self.device)

    def uniform(self, length: int) -> Tensor:
        """Return uniform numbers [B, C] in [0, 1)."""
        return torch.stack([torch.rand(length, generator=g) for g in self._generators]).to(
            self.device
        )


@dataclass(frozen=True)
class Step:
    """What the model says of a canvas: all [B, C], `soft` [B, C, D] for self-conditioning.

    `sampled` is drawn from the tempered distribution, `likely` its maximum, `entropy` in nats.
    Pinned positions carry their own token and no entropy.
    """

    sampled: Tensor
    likely: Tensor
    entropy: Tensor
    soft: Tensor | None


@dataclass(frozen=True)
class Canvas:
    """The state of a canvas between two denoising steps; a step makes a new one.

    `soft` [B, C, D]: the last step's mean embeddings, for self-conditioning; None before the first.
    `history` [K, B, C]: the last K drafts. `settled` [B]: rows that have finished. `stable` [B, C]:
    positions of which the model is sure and whose draft equals that of the step before.
    """

    ids: Tensor
    draft: Tensor
    free: Tensor
    soft: Tensor | None
    history: Tensor
    settled: Tensor
    stable: Tensor
    step: int


def new_canvas(ids: Tensor, *, stability: int) -> Canvas:
    """Return a canvas that begins as ids [B, C], every position free."""
    return Canvas(
        ids=ids,
        draft=ids,
        free=torch.ones_like(ids, dtype=torch.bool),
        soft=None,
        history=torch.full((stability, *ids.shape), -1, dtype=ids.dtype, device=ids.device),
        settled=torch.zeros(len(ids), dtype=torch.bool, device=ids.device),
        stable=torch.zeros_like(ids, dtype=torch.bool),
        step=0,
    )


def pin(canvas: Canvas, pinned: Tensor, tokens: Tensor) -> Canvas:
    """Fix `tokens` where `pinned` is true, before the first step. Both [B, C] or [C]."""
    ids = torch.where(pinned, tokens, canvas.ids)
    return replace(canvas, ids=ids, draft=ids, free=canvas.free & ~pinned)


def warm(canvas: Canvas, tokens: Tensor, given: Tensor, renewed: Tensor) -> Canvas:
    """Begin from `tokens` where `given`, except where `renewed` asks for noise. All [B, C] or [C].

    No mask token tells noise from text here, so a text may be the first canvas as it stands.
    """
    ids = torch.where(given & ~renewed & canvas.free, tokens, canvas.ids)
    return replace(canvas, ids=ids, draft=ids)


def accept(entropies: Tensor, free: Tensor, bound: float) -> Tensor:
    """Choose the free positions of least entropy whose sum without the last is within `bound`.

    The sum bounds the mutual information of the positions, so that they may be drawn at once
    (arXiv 2505.24857). At least one free position of a row is chosen. entropies, free [B, C].
    """
    # Pinned positions spend nothing of the budget.
    ascending, order = torch.where(free, entropies, 0.0).sort(dim=-1)
    chosen = ascending.cumsum(-1) - ascending <= bound
    return torch.zeros_like(free).scatter(-1, order, chosen) & free


def settled(
    history: Tensor, draft: Tensor, entropies: Tensor, region: Tensor, confidence: float
) -> Tensor:
    """Tell which rows have stopped: within `region` [B, C] drafts are equal and sure. -> [B]."""
    stable = ((history == draft[None]) | ~region).all(-1).all(0)
    mean = (entropies * region).sum(-1) / region.sum(-1).clamp(min=1)
    return stable & (mean < confidence)


def advance(
    canvas: Canvas,
    step: Step,
    fresh: Tensor,
    *,
    region: Tensor,
    entropy_bound: float,
    confidence_threshold: float,
) -> Canvas:
    """Take one denoising step; `fresh` [B, C] is noise, `region` [B, C] what must settle."""
    accepted = accept(step.entropy, canvas.free, entropy_bound)
    ids = torch.where(accepted, step.sampled, torch.where(canvas.free, fresh, canvas.ids))
    draft = step.likely
    sure = step.entropy < SURE
    stable = (draft == canvas.draft) & sure if canvas.step else torch.zeros_like(canvas.stable)
    return Canvas(
        ids=ids,
        draft=draft,
        free=canvas.free,
        soft=step.soft,
        history=torch.cat((canvas.history, draft[None]))[1:],
        settled=settled(canvas.history, draft, step.entropy, region, confidence_threshold),
        stable=stable | ~canvas.free,
        step=canvas.step + 1,
    )


def merge(old: Canvas, new: Canvas, active: Tensor) -> Canvas:
    """Return `old` with its rows `active` [A] (indices) replaced by `new`'s; settled rows stay."""
    if len(active) == len(old.ids):
        return new

    def rows(before: Tensor, after: Tensor, dim: int = 0) -> Tensor:
        return before.index_copy(dim, active, after)

    assert old.soft is not None
    return Canvas(
        ids=rows(old.ids, new.ids),
        draft=rows(old.draft, new.draft),
        free=old.free,
        soft=None if new.soft is None else rows(old.soft, new.soft),
        history=rows(old.history, new.history, 1),
        settled=rows(old.settled, new.settled),
        stable=rows(old.stable, new.stable),
        step=new.step,
    )


def take(canvas: Canvas, active: Tensor) -> Canvas:
    """Return the canvas of the rows `active` [A] (indices)."""
    if len(active) == len(canvas.ids):
        return canvas
    return Canvas(
        ids=canvas.ids[active],
        draft=canvas.draft[active],
        free=canvas.free[active],
        soft=None if canvas.soft is None else canvas.soft[active],
        history=canvas.history[:, active],
        settled=canvas.settled[active],
        stable=canvas.stable[active],
        step=canvas.step,
    )
