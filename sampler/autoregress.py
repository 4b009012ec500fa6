"""The same weights one token at a time: the causal side and its head, as a loop. No canvas here.

For outputs so short that a few denoising steps cost more than a few tokens; the honest opponent of
every claim about speed. It yields the same events as `denoise.generate`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sampler.denoise import NotANumber
from sampler.events import Block, Draft, Scored
from sampler.params import InvalidParameter
from sampler.work import Loop, Predict, Prefill


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
    InvalidParameter for an empty prompt and for less than one new token.
    """
    if not prompt:
        raise InvalidParameter("the prompt is empty; give at least one token")
    if max_new_tokens < 1:
        raise InvalidParameter(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    yield Prefill(prompt)
    ids: list[int] = []
    log_probs: list[float] = []
    ended = False
    while not ended and len(ids) < max_new_tokens and not enough(ids):
        logits: Tensor = yield Predict(ids[-1:])
        if bool(logits.isnan().any()):
            raise NotANumber("the model's logits are not numbers (NaN); see how it was loaded")
        log_p = logits.log_softmax(-1)
        if not ids and allowed is not None:
            log_p = log_p.masked_fill(~allowed.to(log_p.device), -torch.inf)
        token = int(log_p.argmax())
        ids.append(token)
        log_probs.append(float(log_p[token]))
        ended = token in eos_token_ids
        row = torch.tensor([ids])
        yield Draft(0, len(ids), row, torch.ones_like(row, dtype=torch.bool))
    settled = torch.tensor([ended or enough(ids)])
    yield Block(0, len(ids), torch.tensor([ids]), settled, torch.tensor([ended]))
    yield Scored(0, torch.tensor([log_probs]))
