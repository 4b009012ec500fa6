"""Drives sampling loops for tests: through a real engine over a tiny model, or by hand without one.

By hand a test plays the model: a loop asks for work, and the test says what comes of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tiny_model import VOCAB, tiny_model
from torch import Tensor

from sampler.cache import PrefixCache
from sampler.canvas import Noise, Step
from sampler.engine import Ended, Engine, Failed, Request
from sampler.events import Event
from sampler.forward import Denoiser
from sampler.work import Denoise, Loop, Score, Work

CPU = torch.device("cpu")


def tame_model() -> Any:
    """The tiny model, its self-conditioning weak: rounding errors would grow tenfold a step."""
    model = tiny_model()
    with torch.no_grad():
        model.model.decoder.self_conditioning.down_proj.weight.mul_(0.02)
    return model


def varied_model() -> Any:
    """The tiny model with a head of its own: with the embeddings as its head it repeats itself."""
    model = tiny_model()
    head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(1))
    model.lm_head.weight = torch.nn.Parameter(head * 0.4, requires_grad=False)
    return model


def noise_of(*seeds: int) -> Noise:
    return Noise(seeds, VOCAB, CPU)


def prompt_of(length: int, seed: int = 3) -> list[int]:
    drawn: list[int] = torch.randint(
        8, VOCAB, (length,), generator=torch.Generator().manual_seed(seed)
    ).tolist()
    return drawn


def new_engine(denoiser: Denoiser) -> Engine:
    return Engine(denoiser, PrefixCache(denoiser.new_kv, 1 << 24), rows=16, queue=16)


def step_to_the_end(engine: Engine, *requests: Request) -> list[list[Event]]:
    """Step the requests together; return each one's events, or raise what one failed with."""
    for number, request in enumerate(requests):
        engine.submit(str(number), request)
    events: list[list[Event]] = [[] for _ in requests]
    while not engine.idle:
        for key, outcome in engine.step():
            if isinstance(outcome, Failed):
                raise outcome.error
            if not isinstance(outcome, Ended):
                events[int(key)].append(outcome)
    return events


def run(denoiser: Denoiser, loop: Loop, rows: int = 1) -> list[Event]:
    """Run one loop through an engine of its own."""
    return step_to_the_end(new_engine(denoiser), Request(loop, rows, tokens=1))[0]


def recorded(loop: Loop, log: list[tuple[Work, Any]]) -> Loop:
    """The same loop; `log` gets each of its works with what was sent back for it."""
    item = next(loop)
    while True:
        answer = yield item
        if not isinstance(item, Event):
            log.append((item, answer))
        try:
            item = loop.send(answer)
        except StopIteration:
            return


def say(work: Denoise, likely: Tensor, entropy: Tensor | float = 0.0) -> Step:
    """What a model says whose likeliest tokens are `likely`, [C] or [B, C]; pins stay."""
    tokens = torch.where(work.free, likely, work.ids)
    entropies = torch.where(work.free, torch.as_tensor(entropy, dtype=torch.float32), 0.0)
    return Step(tokens, tokens, entropies, torch.zeros(*work.ids.shape, 1))


def tokens_of(work: Score) -> int:
    """How many tokens the rows have together."""
    return sum(len(row) for row in work.rows)


def by_hand(
    loop: Loop,
    read: Callable[[Denoise], Step],
    score: Callable[[Score], Tensor] = lambda work: torch.zeros(tokens_of(work)),
) -> tuple[list[Work], list[Event]]:
    """Run a loop whose model are `read` and `score`; returns its works and its events."""
    works: list[Work] = []
    events: list[Event] = []
    answer: Any = None
    while True:
        try:
            item = loop.send(answer)
        except StopIteration:
            return works, events
        answer = None
        if isinstance(item, Event):
            events.append(item)
            continue
        works.append(item)
        if isinstance(item, Denoise):
            answer = read(item)
        elif isinstance(item, Score):
            answer = score(item)


def first_canvas(loop: Loop) -> Denoise:
    """The first canvas that a loop would have denoised."""
    next(loop)
    work = loop.send(None)
    assert isinstance(work, Denoise)
    return work


@torch.no_grad()
def causal_log_probs(model: Any, ids: Sequence[int]) -> Tensor:
    """log p [T, V] of the token behind each id, by transformers' modules alone."""
    hidden = model.model.encoder(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]
    cap = model.config.text_config.final_logit_softcapping
    log_probs: Tensor = (torch.tanh(model.lm_head(hidden) / cap) * cap).log_softmax(-1)
    return log_probs


def greedy(
    model: Any, prompt: list[int], length: int, first: Tensor | None = None
) -> tuple[list[int], list[float]]:
    """The likeliest token behind all before it, again and again, everything encoded each time."""
    ids: list[int] = []
    log_probs: list[float] = []
    while len(ids) < length:
        log_p = causal_log_probs(model, prompt + ids)[-1]
        choice = log_p.masked_fill(~first, -torch.inf) if first is not None and not ids else log_p
        ids.append(int(choice.argmax()))
        log_probs.append(log_p[ids[-1]].item())
    return ids, log_probs
