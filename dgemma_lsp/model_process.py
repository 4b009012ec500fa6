"""The model process: jobs in on stdin, drafts and blocks out on stdout. No socket, no scheduling.

It alone of this package imports `sampler` and torch. One thread reads stdin; the main thread takes
one denoising step of one job at a time, completions before chats, and looks for cancelled jobs
between two steps. It ends when stdin closes, so it never outlives its daemon.
"""

import logging
import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import BinaryIO

import msgspec
import torch
from transformers.utils import logging as transformers_logging

from dgemma_lsp import wire
from dgemma_lsp.config import Config
from dgemma_lsp.errors import Cancelled, DgemmaError, InvalidRequest, ModelFailed, TooLarge
from sampler import canvas, denoise, infill
from sampler.model import LoadedModel, UnusableModel, load
from sampler.params import InvalidParameter, SamplingParams
from sampler.prompts import Prompts, TextStream

log = logging.getLogger("dgemma.model")

Event = wire.Draft | wire.Block | wire.Done
# None where a step has nothing to tell: whoever steps the job can end it there all the same.
Events = Generator[Event | None, None, None]


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read one length-prefixed frame; None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: BinaryIO, message: wire.FromModel) -> None:
    """Write one length-prefixed frame."""
    body = wire.encode_binary(message)
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


class Answers:
    """Turns jobs into the events of their answers, with one loaded model.

    For a completion at least `drawn` candidates are drawn, and the most probable given.
    """

    def __init__(self, model: LoadedModel, *, drawn: int = 1) -> None:
        self.model = model
        self.drawn = drawn
        self.prompts = Prompts(model.tokenizer)

    def events(self, job: wire.Job) -> Events:
        """Yield the events of a job, each after at most one forward pass."""
        if isinstance(job, wire.Complete):
            return self.complete(job)
        return self.chat(job)

    def complete(self, job: wire.Complete) -> Events:
        """Fill the hole of a completion, several times at once; the most probable fills win."""
        began = time.monotonic()
        params = self._params(job.sampling)
        size = params.canvas_length
        params = replace(params, max_new_tokens=size)
        prompt = self.prompts.completion(
            job.prefix,
            job.suffix,
            prefix_tokens=self.model.max_positions - size,
            suffix_tokens=size // 3,
        )
        hole = size - len(prompt.suffix_ids)
        device = self.model.denoiser.device
        pins = infill.lay_out(prompt.suffix_ids, size, hole, first=prompt.first, device=device)
        seed = job.sampling.seed or 0
        rows = max(job.candidates, self.drawn)
        # A generator for each row: a row does not depend on how many others there are.
        noise = canvas.Noise([self._generator(seed + row) for row in range(rows)])
        ids = torch.tensor([prompt.prefix_ids], device=device)
        texts: list[str] = []
        for event in denoise.generate(
            self.model.denoiser, ids, params, noise, rows=rows, pins=pins
        ):
            if isinstance(event, denoise.Commit):
                break
            found = [infill.middle(row, hole, params.eos_token_ids) for row in event.ids.tolist()]
            texts = [self._join(row, prompt.healed) for row in found]
            if isinstance(event, denoise.Block):
                block = event
            elif job.drafts:
                for row, text in enumerate(texts[: job.candidates]):
                    stable = self._stable(event, row, hole, prompt.healed, text, params)
                    yield wire.Draft(
                        id=job.id, block=0, step=event.step, text=text, stable=stable, candidate=row
                    )
            else:
                yield None
        # max_new_tokens is one canvas, so the loop has ended with its commit.
        assert isinstance(event, denoise.Commit)
        sure = [
            sum(log_probs[: len(row)]) / max(len(row), 1)
            for row, log_probs in zip(found, event.log_probs.tolist(), strict=True)
        ]
        # What is empty is very probable by this measure and of no use.
        best = sorted(range(rows), key=lambda row: (not texts[row].strip(), -sure[row]))
        for candidate, row in enumerate(best[: job.candidates]):
            yield wire.Block(
                id=job.id,
                block=0,
                text=texts[row],
                steps=block.steps,
                stable=bool(block.settled[row]),
                candidate=candidate,
                confidence=sure[row],
            )
        yield wire.Done(
            id=job.id,
            reason="settled" if bool(block.settled.all()) else "steps",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - began) * 1e3,
                prompt_tokens=len(prompt.prefix_ids) + len(prompt.suffix_ids),
                tokens=hole * rows,
                steps=block.steps,
            ),
        )

    def chat(self, job: wire.Chat) -> Events:
        """Answer a conversation block after block."""
        began = time.monotonic()
        params = self._params(job.sampling)
        turns = [{"role": turn.role, "content": turn.content} for turn in job.messages]
        ids = self.prompts.conversation(turns)
        room = self.model.max_positions - len(ids)
        if room < params.canvas_length:
            raise TooLarge(
                f"the conversation takes {len(ids)} tokens and {self.model.name} holds "
                f"{self.model.max_positions}; begin a new one or shorten it"
            )
        fitting = room - room % params.canvas_length
        params = replace(params, max_new_tokens=min(params.max_new_tokens, fitting))
        seed = job.sampling.seed or 0
        device = self.model.denoiser.device
        noise = canvas.Noise([self._generator(seed)])
        text, steps, tokens, finished = TextStream(self.prompts), 0, 0, False
        for event in denoise.generate(
            self.model.denoiser, torch.tensor([ids], device=device), params, noise
        ):
            if isinstance(event, denoise.Commit):
                yield None
                continue
            row = infill.middle(event.ids[0].tolist(), params.canvas_length, params.eos_token_ids)
            if isinstance(event, denoise.Block):
                row = row[: params.max_new_tokens - tokens]
                steps, tokens = steps + event.steps, tokens + len(row)
                finished = bool(event.finished.all())
                yield wire.Block(
                    id=job.id,
                    block=event.block,
                    text=text.push(row),
                    steps=event.steps,
                    stable=bool(event.settled.all()),
                )
            elif job.drafts:
                shown = text.preview(row)
                settled_ids = row[: _leading(event.stable[0].tolist())]
                stable = _common_prefix(shown, text.preview(settled_ids))
                yield wire.Draft(
                    id=job.id, block=event.block, step=event.step, text=shown, stable=stable
                )
            else:
                yield None
        yield wire.Done(
            id=job.id,
            reason="eos" if finished else "length",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - began) * 1e3,
                prompt_tokens=len(ids),
                tokens=tokens,
                steps=steps,
            ),
        )

    def _params(self, asked: wire.Sampling) -> SamplingParams:
        own = self.model.defaults
        params = replace(
            own,
            max_steps=asked.max_steps or own.max_steps,
            canvas_length=asked.canvas_length or own.canvas_length,
            entropy_bound=asked.entropy_bound or own.entropy_bound,
            max_new_tokens=asked.max_tokens or own.max_new_tokens,
        )
        if params.canvas_length >= self.model.max_positions:
            raise InvalidParameter(
                f"canvas_length must be below the model's {self.model.max_positions} positions, "
                f"not {params.canvas_length}"
            )
        return params

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.model.denoiser.device).manual_seed(seed)

    def _join(self, middle: list[int], healed: str) -> str:
        text = self.prompts.decode(middle)
        # Where no token of the prefix's last piece came first, there is nothing that joins it.
        return text[len(healed) :] if text.startswith(healed) else ""

    def _stable(
        self,
        draft: denoise.Draft,
        row: int,
        hole: int,
        healed: str,
        text: str,
        params: SamplingParams,
    ) -> int:
        leading = min(_leading(draft.stable[row].tolist()), hole)
        settled_ids = infill.middle(draft.ids[row].tolist(), leading, params.eos_token_ids)
        settled_text = self._join(settled_ids, healed)
        return _common_prefix(text, settled_text)


def _leading(flags: list[bool]) -> int:
    return flags.index(False) if False in flags else len(flags)


def _common_prefix(a: str, b: str) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


@dataclass
class _Active:
    job: wire.Job
    events: Events


def _failure(job_id: str, exc: Exception) -> wire.Failed:
    """Translate whatever a job raised into its answer."""
    if isinstance(exc, InvalidParameter):
        exc = InvalidRequest(str(exc))
    elif isinstance(exc, torch.OutOfMemoryError):
        exc = ModelFailed("out of memory; ask for fewer candidates or a shorter canvas")
    elif not isinstance(exc, DgemmaError):
        log.exception("%s: the model raised", job_id, exc_info=exc)
        exc = ModelFailed(f"the model raised {type(exc).__name__}: {exc}; see the daemon's log")
    return wire.failed(job_id, exc)


def serve(answers: Answers, inbox: "queue.SimpleQueue[wire.ToModel | None]", out: BinaryIO) -> None:
    """Step jobs until the inbox says None."""
    active: dict[str, _Active] = {}
    while True:
        while not active or not inbox.empty():
            message = inbox.get()
            if message is None:
                return
            if isinstance(message, wire.Cancel):
                if (cancelled := active.pop(message.id, None)) is not None:
                    cancelled.events.close()
                    error = Cancelled("the request was cancelled")
                    write_frame(out, _failure(message.id, error))
            else:
                active[message.id] = _Active(message, answers.events(message))
        # dict keeps arrival order and min takes the first of equals.
        current = min(active.values(), key=lambda a: isinstance(a.job, wire.Chat))
        try:
            event: wire.FromModel | None = next(current.events)
        except Exception as exc:
            event = _failure(current.job.id, exc)
        if isinstance(event, wire.Done | wire.Failed):
            del active[current.job.id]
        if event is not None:
            write_frame(out, event)


def _read_inbox(stream: BinaryIO, inbox: "queue.SimpleQueue[wire.ToModel | None]") -> None:
    while (frame := read_frame(stream)) is not None:
        inbox.put(wire.decode_to_model(frame))
    inbox.put(None)


def main() -> None:
    """Load the model that the first frame names and serve until stdin closes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    transformers_logging.disable_progress_bar()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the frames
    first = read_frame(sys.stdin.buffer)
    if first is None:
        return
    config = msgspec.msgpack.decode(first, type=Config)
    inbox: queue.SimpleQueue[wire.ToModel | None] = queue.SimpleQueue()
    threading.Thread(target=_read_inbox, args=(sys.stdin.buffer, inbox), daemon=True).start()
    if config.model.threads:
        torch.set_num_threads(config.model.threads)
    began = time.monotonic()
    try:
        model = load(config.model.name, device=config.model.device, dtype=config.model.dtype)
    except UnusableModel as exc:
        write_frame(out, wire.Unusable(code="model_unavailable", message=str(exc)))
        return
    ready = wire.Ready(
        model=model.name,
        device=str(model.denoiser.device),
        pid=os.getpid(),
        load_ms=(time.monotonic() - began) * 1e3,
    )
    write_frame(out, ready)
    serve(Answers(model, drawn=config.completion.drawn), inbox, out)


if __name__ == "__main__":
    main()
