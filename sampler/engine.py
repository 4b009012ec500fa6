"""The loops of many requests, stepped together: one forward pass at a time. No text, no sockets.

    submit -> queue -> admitted while rows are free -> step ... step -> Ended or Failed

A step is one forward pass: either all that wants encoding (prompts in pieces, finished blocks) or
all that wants denoising, whatever requests, prefixes, widths and step counts it comes from. Rows
join and leave at any step. Who is next is decided by `sampler.turns`.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from sampler import turns
from sampler.cache import PrefixCache
from sampler.canvas import Step
from sampler.events import Event
from sampler.forward import Denoiser, Span
from sampler.kv import KV
from sampler.params import InvalidParameter
from sampler.work import Denoise, Loop, Predict, Prefill, Score, Work

# A prompt is encoded in pieces of so many tokens, so that it keeps nobody waiting for long.
PIECE = 512


class EngineFull(Exception):
    """The queue has no place left; try again when a request has ended."""


@dataclass(frozen=True)
class Ended:
    """The request has ended well."""


@dataclass(frozen=True)
class Failed:
    """The request has ended with an exception; the engine goes on."""

    error: Exception


@dataclass(frozen=True)
class Request:
    """A loop to run, how many `rows` it has, how many `tokens` it may take, and its `urgency`.

    Lower urgency numbers go first: 0 for what somebody waits for at the keyboard. `room` is how
    many positions each row may take behind its prompt.
    """

    loop: Loop
    rows: int
    tokens: int
    urgency: int = 0
    room: int = 0


class _Running:
    """A request's loop, what it waits for, and how often others went before it."""

    def __init__(self, key: str, request: Request, work: Work) -> None:
        self.key, self.request, self.work = key, request, work
        self.kv: KV | None = None
        self.passed_over = 0

    @property
    def text(self) -> KV:
        """The encoded text, which every loop asks for first."""
        assert self.kv is not None
        return self.kv


Outcome = tuple[str, Event | Ended | Failed]


class Engine:
    """Steps the loops of at most `rows` rows at once; `queue` more requests may wait.

    A text, prompt and all, may take `positions` positions; None: any number.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        cache: PrefixCache,
        *,
        rows: int,
        queue: int,
        positions: int | None = None,
    ) -> None:
        self.denoiser, self.cache, self.rows, self.queue = denoiser, cache, rows, queue
        self.positions = positions
        self._waiting: dict[str, _Running] = {}
        self._running: dict[str, _Running] = {}
        self._encoded_last = False

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return not self._waiting and not self._running

    @property
    def rows_in_use(self) -> int:
        """How many rows the running requests have."""
        return sum(r.request.rows for r in self._running.values())

    def submit(self, key: str, request: Request) -> None:
        """Take a request in.

        Raises EngineFull, and InvalidParameter for what its loop refuses, for more rows than there
        are, for a text longer than the model takes, and for a key that is in use.
        """
        if key in self._waiting or key in self._running:
            raise InvalidParameter(f"the key {key!r} is in use; give every request its own")
        if request.rows > self.rows:
            raise InvalidParameter(
                f"{request.rows} rows are more than the {self.rows} that fit; ask for fewer"
            )
        if len(self._waiting) >= self.queue:
            raise EngineFull(f"{self.queue} requests wait already; try again later")
        work: Prefill = next(request.loop)
        needed = len(work.ids) + request.room
        if self.positions is not None and needed > self.positions:
            request.loop.close()
            raise InvalidParameter(
                f"a prompt of {len(work.ids)} tokens and {request.room} behind it are more than "
                f"the {self.positions} positions of the model; shorten the prompt"
            )
        self._waiting[key] = _Running(key, request, work)

    def cancel(self, key: str) -> bool:
        """End a request at once; returns whether it was there."""
        running = self._waiting.pop(key, None) or self._running.pop(key, None)
        if running is None:
            return False
        running.request.loop.close()
        if running.kv is not None:
            self.cache.release(running.kv)
        return True

    @torch.no_grad()
    def step(self) -> list[Outcome]:
        """Do one forward pass, and return what came of it for each request."""
        self._admit()
        encoding = [r for r in self._running.values() if not isinstance(r.work, Denoise)]
        denoising = [r for r in self._running.values() if isinstance(r.work, Denoise)]
        self._encoded_last = bool(encoding) and not (self._encoded_last and denoising)
        group = encoding if self._encoded_last else denoising
        chosen = turns.choose([turns.Waiting(r.request.urgency, r.passed_over) for r in group])
        for index, running in enumerate(group):
            running.passed_over = 0 if index in chosen else running.passed_over + 1
        return self._do([group[index] for index in sorted(chosen)])

    def _admit(self) -> None:
        while self._waiting:
            waiting = list(self._waiting.values())
            bulk = [r for r in self._running.values() if r.request.urgency >= turns.BULK]
            index = turns.admit(
                [
                    turns.Candidate(
                        r.request.urgency, r.request.tokens, r.request.rows, r.passed_over
                    )
                    for r in waiting
                ],
                rows=self.rows,
                used=self.rows_in_use,
                bulk_used=sum(r.request.rows for r in bulk),
            )
            if index is None:
                return
            for older in waiting[:index]:
                older.passed_over += 1
            admitted = self._waiting.pop(waiting[index].key)
            admitted.passed_over = 0
            self._running[admitted.key] = admitted

    def _do(self, group: list[_Running]) -> list[Outcome]:
        """Do the group's work in one pass; where that raises, each by itself to find who did."""
        if not group:
            return []
        work = self._encode if self._encoded_last else self._denoise
        try:
            results = work(group)
        except Exception as exc:
            # Its frames hold the tensors of the pass, which may be what there was no memory for.
            traceback.clear_frames(exc.__traceback__)
            if len(group) == 1:
                return [self._fail(group[0], exc)]
        else:
            return [
                outcome
                for running, result in zip(group, results, strict=True)
                if result is not _UNFINISHED
                for outcome in self._resume(running, result)
            ]
        return [outcome for running in group for outcome in self._do([running])]

    def _resume(self, running: _Running, result: object) -> list[Outcome]:
        """Send a loop its result, and gather its events up to its next work."""
        outcomes: list[Outcome] = []
        try:
            item = running.request.loop.send(result)
            while isinstance(item, Event):
                outcomes.append((running.key, item))
                item = next(running.request.loop)
            running.work = item
        except StopIteration:
            del self._running[running.key]
            self.cache.release(running.text)
            outcomes.append((running.key, Ended()))
        except Exception as exc:
            outcomes.append(self._fail(running, exc))
        return outcomes

    def _fail(self, running: _Running, exc: Exception) -> Outcome:
        del self._running[running.key]
        running.request.loop.close()
        if running.kv is not None:
            self.cache.drop(running.kv)
        return running.key, Failed(exc)

    # One forward pass

    def _denoise(self, group: list[_Running]) -> list[Step]:
        works = [r.work for r in group if isinstance(r.work, Denoise)]
        spans = [
            Span(r.text, (w.ids.shape[1],) * len(w.ids)) for r, w in zip(group, works, strict=True)
        ]
        ids = torch.cat([w.ids.flatten() for w in works])
        free = torch.cat([w.free.flatten() for w in works])
        hidden = self.denoiser.decode(spans, ids, self._soft(works))
        # What is pinned needs no logits: it is known.
        at = free.nonzero()[:, 0]
        reading = self.denoiser.read(
            hidden[at],
            torch.cat([torch.full_like(w.uniform.flatten(), w.temperature) for w in works])[at],
            torch.cat([w.uniform.flatten() for w in works])[at],
            self._forbidden(works, at),
        )
        soft = None
        if any(w.more for w in works):
            soft = self.denoiser.embed(ids)
            soft[at] = self.denoiser.soften(reading.probs)
        sampled, likely = (ids.index_copy(0, at, x) for x in (reading.sampled, reading.likely))
        entropy = torch.zeros(len(ids), device=ids.device).index_copy_(0, at, reading.entropy)
        return self._split(works, sampled, likely, entropy, soft)

    def _soft(self, works: list[Denoise]) -> Tensor | None:
        """Return what conditions all canvases; a first step's is zero."""
        given = [w.soft for w in works]
        known = next((soft for soft in given if soft is not None), None)
        if known is None:
            return None
        return torch.cat(
            [
                known.new_zeros(w.ids.numel(), known.shape[-1])
                if soft is None
                else soft.flatten(0, 1)
                for w, soft in zip(works, given, strict=True)
            ]
        )

    def _forbidden(self, works: list[Denoise], at: Tensor) -> Tensor | None:
        """Return which tokens the free positions `at` may not take, [T, V]; None where all may."""
        if not any(w.allowed for w in works):
            return None
        total = sum(w.ids.numel() for w in works)
        forbidden = torch.zeros(
            total, self.denoiser.vocab_size, dtype=torch.bool, device=self.denoiser.device
        )
        begin = 0
        for w in works:
            rows, length = w.ids.shape
            for position, allowed in w.allowed.items():
                places = begin + position + length * torch.arange(rows)
                forbidden[places] = ~allowed
            begin += rows * length
        return forbidden[at]

    def _split(
        self,
        works: list[Denoise],
        sampled: Tensor,
        likely: Tensor,
        entropy: Tensor,
        soft: Tensor | None,
    ) -> list[Step]:
        steps, begin = [], 0
        for w in works:
            part = slice(begin, begin := begin + w.ids.numel())
            shape = w.ids.shape
            steps.append(
                Step(
                    sampled[part].view(shape),
                    likely[part].view(shape),
                    entropy[part].view(shape),
                    None if soft is None else soft[part].view(*shape, -1),
                )
            )
        return steps

    def _encode(self, group: list[_Running]) -> list[object]:
        pieces = [self._piece(running) for running in group]
        spans = [Span(r.text, tuple(map(len, rows))) for r, rows in zip(group, pieces, strict=True)]
        ids = torch.tensor(
            [token for rows in pieces for row in rows for token in row],
            dtype=torch.long,
            device=self.denoiser.device,
        )
        filled = [span for span in spans if span.tokens]
        states = self.denoiser.encode(filled, ids) if filled else ids.new_empty(0, 0)
        sizes = [span.tokens for span in spans]
        parts = zip(torch.split(ids, sizes), torch.split(states, sizes), strict=True)
        read = [
            self._encoded(running, span.widths, *part)
            for running, span, part in zip(group, spans, parts, strict=True)
        ]
        # Only now, when nothing can raise any more: a piece that is kept twice would be wrong.
        for running, rows, (_, last) in zip(group, pieces, read, strict=True):
            if last is not None:
                running.text.extend(rows[0], last)
        return [result for result, _ in read]

    def _piece(self, running: _Running) -> Sequence[Sequence[int]]:
        """Return the rows of ids that a request encodes in this step."""
        work = running.work
        if isinstance(work, Score):
            return work.rows
        if isinstance(work, Prefill):
            if running.kv is None:
                running.kv = self.cache.acquire(work.ids)
            elif running.kv.length >= len(work.ids):
                # The loop takes back what it wrote behind its prompt.
                running.kv.crop(len(work.ids) - 1)
            return [work.ids[running.kv.length : running.kv.length + PIECE]]
        assert isinstance(work, Predict)
        return [work.ids]

    def _encoded(
        self, running: _Running, widths: tuple[int, ...], ids: Tensor, hidden: Tensor
    ) -> tuple[object, Tensor | None]:
        """Return what a loop is sent for its rows, and the state [D] behind them if it is kept.

        ids [T] and hidden [T, D]; both are empty where there was nothing to encode.
        """
        work, kv = running.work, running.text
        last = hidden[-1].clone() if len(hidden) else None
        if isinstance(work, Prefill):
            whole = kv.length + len(ids) == len(work.ids)
            return (None if whole else _UNFINISHED), last
        if isinstance(work, Predict):
            state = kv.last if last is None else last
            assert state is not None
            return self.denoiser.logits(state[None])[0], last
        assert isinstance(work, Score) and len(hidden) and kv.last is not None
        before = hidden.roll(1, 0)
        starts = accumulate(widths, initial=0)
        before[[at for at, width in zip(starts, widths, strict=False) if width]] = kv.last
        logits = self.denoiser.logits(before)
        log_probs = logits.gather(-1, ids[:, None])[:, 0] - logits.logsumexp(-1)
        return log_probs, last if work.keep else None


_UNFINISHED = object()  # a prompt of which pieces are left
