"""Canvases as the sampler meets them: its own steps, taken with the model that is trained.

A model that has seen only noise does not know what to make of its own mistakes: whoever accepts
several tokens at once writes some of them twice. So a canvas goes some steps along the sampler's
way first, and what it has become is denoised with the clean text as the goal (on-policy, as DAgger
asks an expert about the states that the learner gets into, arXiv 1011.0686). There is no gradient
and no optimizer here.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sampler import canvas as cv
from sampler import epilogue
from sampler.train.objective import Batch

# How often one, two and three steps are taken.
SHARES = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class OwnSteps:
    """How the sampler walks: `bound` in nats, `kept` as in `objective.Recipe` and above 0."""

    steps: int
    temperature: float
    bound: float
    kept: float
    seed: int


def draw(rng: np.random.Generator, kept: float) -> OwnSteps:
    """Draw one to three steps, around the temperatures and bounds that nano is sampled with."""
    return OwnSteps(
        steps=int(rng.choice(3, p=SHARES)) + 1,
        temperature=float(rng.uniform(0.2, 0.8)),
        bound=float(np.exp(rng.uniform(0, np.log(12)))),
        kept=kept,
        seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True)
class Predicted:
    """What a pass says of N canvases: `soft` [N, C, D], `sampled` and `entropy` [N, C]."""

    soft: Tensor
    sampled: Tensor
    entropy: Tensor


def predict(
    raw: Tensor, softcap: float | None, temperature: float, uniform: Tensor, embed: Tensor
) -> Predicted:
    """Read raw logits [N, C, V] as the sampler does; uniform [N, C] draws the tokens.

    `embed` [V, D] makes mean embeddings of the tempered distributions.
    """
    read = epilogue.read(
        raw.flatten(0, 1),
        softcap,
        torch.full_like(uniform, temperature).flatten(),
        uniform.flatten(),
        out_dtype=embed.dtype,
    )
    canvases = uniform.shape
    return Predicted(
        (read.probs @ embed).view(*canvases, -1),
        read.sampled.view(canvases),
        read.entropy.view(canvases),
    )


def pin_soft(soft: Tensor, batch: Batch, embed: Tensor) -> Tensor:
    """Give pinned positions their own token's embedding: the model is certain of it."""
    target = torch.from_numpy(batch.target).to(soft.device).view(soft.shape[:2])
    free = torch.from_numpy(batch.free).to(soft.device).view(soft.shape[:2])
    return torch.where(free[..., None], soft, F.embedding(target, embed))


def advance(batch: Batch, said: Predicted, own: OwnSteps, fresh: Tensor) -> Batch:
    """Return the batch one step farther: what is accepted as drawn, `fresh` [N, C] noise elsewhere.

    What is wrong then weighs as what was noise, what is right as what was kept.
    """
    device = said.sampled.device
    noisy, target, free, weight = (
        torch.from_numpy(array).to(device).view(said.sampled.shape)
        for array in (batch.noisy, batch.target, batch.free, batch.weight)
    )
    accepted = cv.accept(said.entropy, free, own.bound)
    ids = torch.where(accepted, said.sampled, torch.where(free, fresh, noisy))
    whole = torch.where(noisy != target, weight, weight / own.kept)
    weight = torch.where(ids != target, whole, whole * own.kept)
    shape = batch.noisy.shape
    return replace(
        batch,
        noisy=ids.view(shape).cpu().numpy(),
        weight=weight.view(shape).cpu().numpy(),
    )
