"""The same weights one token at a time: the causal side and its head, as a loop. No canvas here.

For outputs so short that a few denoising steps cost more than a few tokens; the honest opponent of
every claim about speed. It yields the same events as `denoise.generate`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sampler.denoise import numbers, prefill
from sampler.events import Block, Draft, Scored
from sampler.params import InvalidParameter
from sampler.work import Loop, Predict


@dataclass(frozen=True)
class Written:
    """Tokens written one after another, and the log p of each in nats.

    `watched` [token][W] is the log p of those that were watched, each in its place.
    """

    ids: list[int]
    log_probs: list[float]
    watched: list[list[float]]


def generate(
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    eos_token_ids: Sequence[int],
    allowed: Tensor | None = None,
    enough: Callable[[list[int]], bool] = lambda ids: False,
) -> Loop:
    """Continue `prompt` by the most likely token, one after another; one row, one block.

    `allowed` [V] bool limits the first token; `enough` ends the text where it says so. Raises
    InvalidParameter for an empty prompt, for less than one new token and where none is allowed.
    """
    if max_new_tokens < 1:
        raise InvalidParameter(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    if allowed is not None and not bool(allowed.any()):
        raise InvalidParameter("no token is allowed to come first; allow at least one")
    yield from prefill(prompt)
    written = yield from write(max_new_tokens, eos_token_ids, allowed, enough)
    ended = written.ids[-1] in eos_token_ids if written.ids else False
    row = torch.tensor([written.ids], dtype=torch.long)
    settled = torch.tensor([ended or enough(written.ids)])
    yield Block(0, len(written.ids), row, settled, torch.tensor([ended]))
    yield Scored(0, torch.tensor([written.log_probs]))


def write(
    max_new_tokens: int,
    eos_token_ids: Sequence[int],
    allowed: Tensor | None,
    enough: Callable[[list[int]], bool],
    begun: Sequence[int] = (),
    watched: Sequence[int] = (),
) -> Generator[Predict | Draft, Any, Written]:
    """Write behind what is encoded and `begun`, a draft after each token; returns what is new.

    Besides, the log p of each of the `watched` tokens [W] in the place of each that is written.
    """
    ids: list[int] = []
    log_probs: list[float] = []
    seen: list[list[float]] = []
    ended = False
    while not ended and len(ids) < max_new_tokens and not enough(ids):
        logits: Tensor = yield Predict(ids[-1:] or list(begun))
        log_p = numbers(logits).log_softmax(-1)
        if not ids and allowed is not None:
            log_p = log_p.masked_fill(~allowed.to(log_p.device), -torch.inf)
        token = int(log_p.argmax())
        ids.append(token)
        log_probs.append(float(log_p[token]))
        seen.append(log_p[list(watched)].tolist())
        ended = token in eos_token_ids
        row = torch.tensor([ids])
        yield Draft(0, len(ids), row, torch.ones_like(row, dtype=torch.bool))
    return Written(ids, log_probs, seen)
