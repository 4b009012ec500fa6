"""Pure tensor functions on the canvas: new, pin, accept, renoise, settled. No model, no loop.

    ids [B, C]      what the model reads: typed and accepted tokens, noise elsewhere
    draft [B, C]    the best text so far: the most likely token everywhere
    free [B, C]     the hole; everything else is pinned and never changes

One denoising step: logits -> (sampled, draft) -> accept the positions of least entropy -> fresh
noise everywhere else. There is no memory: what was accepted may be noise again a step later
(entropy-bound sampling, arXiv 2505.24857, as in transformers' DiffusionGemma).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Large and finite: an infinite logit would turn the entropy into NaN, and nothing would settle.
CERTAIN = 1e4


class Noise:
    """The random numbers of a batch: one generator for all rows, or one for each.

    With a generator for each row, a row's text does not depend on its neighbours.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = generators

    def tokens(self, batch: int, length: int, vocab_size: int) -> Tensor:
        """Return uniform token ids [B, C]."""
        rows = batch // len(self.generators)
        drawn = [
            torch.randint(0, vocab_size, (rows, length), generator=g, device=g.device)
            for g in self.generators
        ]
        return torch.cat(drawn)

    def sample(self, probs: Tensor) -> Tensor:
        """Sample a token at every position. probs [B, C, V] -> ids [B, C]."""
        batch, length, vocab_size = probs.shape
        flat = probs.view(-1, vocab_size).chunk(len(self.generators))
        drawn = [
            torch.multinomial(part, num_samples=1, generator=g)
            for part, g in zip(flat, self.generators, strict=True)
        ]
        return torch.cat(drawn).view(batch, length)


@dataclass(frozen=True)
class Canvas:
    """The state of a canvas between two denoising steps; a step makes a new one.

    `signal` [B, C, V]: tempered logits of the last step, for self-conditioning; None before the
    first. `history` [K, B, C]: the last K drafts. `settled` [B]: rows that have finished.
    `stable` [B, C]: positions whose draft equals that of the step before.
    """

    ids: Tensor
    draft: Tensor
    free: Tensor
    signal: Tensor | None
    history: Tensor
    settled: Tensor
    stable: Tensor
    step: int


def new_canvas(noise: Noise, batch: int, length: int, vocab_size: int, *, stability: int) -> Canvas:
    """Return a canvas of uniform noise, every position free."""
    ids = noise.tokens(batch, length, vocab_size)
    return Canvas(
        ids=ids,
        draft=ids,
        free=torch.ones_like(ids, dtype=torch.bool),
        signal=None,
        history=torch.full((stability, batch, length), -1, dtype=ids.dtype, device=ids.device),
        settled=torch.zeros(batch, dtype=torch.bool, device=ids.device),
        stable=torch.zeros_like(ids, dtype=torch.bool),
        step=0,
    )


def pin(canvas: Canvas, pinned: Tensor, tokens: Tensor) -> Canvas:
    """Fix `tokens` where `pinned` is true, before the first step. Both [B, C] or [C]."""
    ids = torch.where(pinned, tokens, canvas.ids)
    return replace(canvas, ids=ids, draft=ids, free=canvas.free & ~pinned)


def force_pins(logits: Tensor, canvas: Canvas) -> Tensor:
    """Make the model certain of the pinned tokens, so that pins reach drafts and signal alike."""
    certain = torch.full_like(logits, -CERTAIN)
    certain.scatter_(-1, canvas.ids[..., None], CERTAIN)
    return torch.where(canvas.free[..., None], logits, certain)


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of each position in nats. logits [..., V] -> [...]."""
    log_probs = logits - logits.logsumexp(-1, keepdim=True)
    return -(log_probs.exp() * log_probs).sum(-1)


def accept(entropies: Tensor, free: Tensor, bound: float) -> Tensor:
    """Choose the free positions of least entropy whose sum without the last is within `bound`.

    The sum bounds the mutual information of the positions, so that they may be drawn at once
    (arXiv 2505.24857). At least one free position of a row is chosen. entropies, free [B, C].
    """
    open_entropies = torch.where(free, entropies, torch.zeros_like(entropies))
    # Pinned positions sort last and spend nothing of the budget.
    order = torch.where(free, entropies, torch.full_like(entropies, torch.inf)).argsort(dim=-1)
    ascending = open_entropies.gather(-1, order)
    chosen = ascending.cumsum(-1) - ascending <= bound
    return torch.zeros_like(free).scatter(-1, order, chosen) & free


def settled(history: Tensor, draft: Tensor, mean_entropy: Tensor, confidence: float) -> Tensor:
    """Tell which rows have stopped: the last K drafts are equal and the model is sure. -> [B]."""
    stable = (history == draft[None]).all(-1).all(0)
    return stable & (mean_entropy < confidence)


def advance(
    canvas: Canvas,
    logits: Tensor,
    noise: Noise,
    *,
    temperature: float,
    entropy_bound: float,
    confidence_threshold: float,
) -> Canvas:
    """Take one denoising step with the model's `logits` [B, C, V] of `canvas.ids`.

    Rows that have settled stay as they are.
    """
    all_free = bool(canvas.free.all())
    tempered = logits / temperature
    if not all_free:
        tempered = force_pins(tempered, canvas)
    sampled = noise.sample(torch.softmax(tempered, -1, dtype=torch.float32))
    draft = tempered.argmax(-1)
    entropies = entropy(tempered)
    accepted = accept(entropies, canvas.free, entropy_bound)
    batch, length, vocab_size = logits.shape
    fresh = noise.tokens(batch, length, vocab_size)
    ids = torch.where(accepted, sampled, fresh)
    if not all_free:
        ids = torch.where(canvas.free, ids, canvas.ids)
    done = canvas.settled
    if bool(done.any()):
        draft = torch.where(done[:, None], canvas.draft, draft)
        ids = torch.where(done[:, None], canvas.ids, ids)
        if canvas.signal is not None:
            tempered = torch.where(done[:, None, None], canvas.signal, tempered)
            entropies = entropy(tempered)
    mean = (entropies * canvas.free).sum(-1) / canvas.free.sum(-1).clamp(min=1)
    stable = draft == canvas.draft if canvas.step else torch.zeros_like(canvas.stable)
    return Canvas(
        ids=ids,
        draft=draft,
        free=canvas.free,
        signal=tempered,
        history=torch.cat((canvas.history, draft[None]))[1:],
        settled=done | settled(canvas.history, draft, mean, confidence_threshold),
        stable=stable | ~canvas.free,
        step=canvas.step + 1,
    )
