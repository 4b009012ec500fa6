"""The model process: jobs in on stdin, drafts and blocks out on stdout. No socket, no scheduling.

One thread reads stdin; the main thread lets the engine take one step after another, and looks for
new and cancelled jobs between two steps. It ends when stdin closes, so it never outlives its
daemon. With `answers` it is all of this package that imports `sampler` and torch.
"""

import logging
import os
import queue
import struct
import sys
import threading
import time
from typing import BinaryIO

import msgspec
import torch
from transformers.utils import logging as transformers_logging

from dgemma_lsp import wire
from dgemma_lsp.answers import Answer, Answers
from dgemma_lsp.config import Config
from dgemma_lsp.errors import Busy, Cancelled, DgemmaError, InvalidRequest, ModelFailed
from sampler import compiled
from sampler.cache import PrefixCache
from sampler.denoise import NotANumber
from sampler.engine import Ended, Engine, EngineFull, Failed
from sampler.events import Event
from sampler.load import UnusableModel, load
from sampler.params import InvalidParameter

log = logging.getLogger("dgemma.model")


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


class Percent:
    """Tells the daemon how far loading is, a whole percent at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._told = out, -1

    def tell(self, share: float) -> None:
        """Tell the share of the weights that is loaded, unless as much was told before."""
        percent = int(100 * share)
        if percent > self._told:
            self._told = percent
            write_frame(self._out, wire.Loading(progress=percent))


class Server:
    """The jobs of one loaded model, stepped together until the inbox says None."""

    def __init__(self, answers: Answers, engine: Engine, out: BinaryIO) -> None:
        self._answers, self._engine, self._out = answers, engine, out
        self._active: dict[str, Answer] = {}

    def serve(self, inbox: "queue.SimpleQueue[wire.ToModel | None]") -> None:
        """Take in what came, then step, and so on; wait where there is nothing to step."""
        while True:
            while self._engine.idle or not inbox.empty():
                message = inbox.get()
                if message is None:
                    return
                if isinstance(message, wire.Cancel):
                    self._cancel(message.id)
                else:
                    self._begin(message)
            for key, event in self._engine.step():
                self._tell(key, event)

    def _begin(self, job: wire.Job) -> None:
        try:
            answer = self._answers.answer(job)
            self._engine.submit(job.id, answer.request)
            self._active[job.id] = answer
        except Exception as exc:
            write_frame(self._out, _failure(job.id, exc))

    def _cancel(self, key: str) -> None:
        if self._engine.cancel(key):
            del self._active[key]
            write_frame(self._out, _failure(key, Cancelled("the request was cancelled")))

    def _tell(self, key: str, event: Event | Ended | Failed) -> None:
        if isinstance(event, Ended):
            write_frame(self._out, self._active.pop(key).done())
        elif isinstance(event, Failed):
            del self._active[key]
            write_frame(self._out, _failure(key, event.error))
        else:
            for message in self._active[key].tell(event):
                write_frame(self._out, message)


def _failure(job_id: str, exc: Exception) -> wire.Failed:
    """Translate whatever a job raised into its answer."""
    if isinstance(exc, InvalidParameter):
        exc = InvalidRequest(str(exc))
    elif isinstance(exc, EngineFull):
        exc = Busy(str(exc))
    elif isinstance(exc, torch.OutOfMemoryError):
        exc = ModelFailed(
            "out of memory; ask for fewer candidates or a shorter canvas, or lower model.rows"
        )
    elif isinstance(exc, NotANumber):
        exc = ModelFailed(str(exc))
    elif not isinstance(exc, DgemmaError):
        log.exception("%s: the model raised", job_id, exc_info=exc)
        exc = ModelFailed(f"the model raised {type(exc).__name__}: {exc}; see the daemon's log")
    return wire.failed(job_id, exc)


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
        model = load(
            config.model.name,
            device=config.model.device,
            dtype=config.model.dtype,
            quantize=config.model.quantize,
            told=Percent(out).tell,
        )
        denoiser = compiled.forward(model.model)
    except UnusableModel as exc:
        write_frame(out, wire.Unusable(code="model_unavailable", message=str(exc)))
        return
    ready = wire.Ready(
        model=model.name,
        device=str(denoiser.device),
        pid=os.getpid(),
        load_ms=(time.monotonic() - began) * 1e3,
    )
    write_frame(out, ready)
    cache = PrefixCache(denoiser.new_kv, config.model.cache_mb * 2**20)
    engine = Engine(
        denoiser,
        cache,
        rows=config.model.rows,
        queue=config.daemon.parallel,
        positions=model.max_positions,
    )
    Server(Answers(model, denoiser, config), engine, out).serve(inbox)


if __name__ == "__main__":
    main()
