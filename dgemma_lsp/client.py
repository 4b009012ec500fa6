"""The link to the daemon: find it, start it where it is absent, ask it, cancel. No LSP, no torch.

A `Link` is one connection that carries any number of requests at once; one reader task hands every
answer to the request that it names. `Links` keeps one link for a process that lives long.
"""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from dgemma_lsp import __version__, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import (
    DaemonStopping,
    DaemonUnavailable,
    DgemmaError,
    InvalidRequest,
    TooLarge,
    from_code,
)

DAEMON_COMMAND = (sys.executable, "-m", "dgemma_lsp", "daemon")
START_S = 60.0  # how long a daemon that was started may take to open its socket
WELCOME_S = 10.0  # how long one that listens may take to say welcome
CLOSE_S = 1.0  # how long one that hangs may keep us from leaving
EXIT_GRACE_S = 1.0  # how long the daemon of another starter may take when ours has given way to it
FIRST_PAUSE_S = 1.0  # between two attempts of `Links`, doubled after each failure ...
LONGEST_PAUSE_S = 60.0  # ... up to this

log = logging.getLogger(__name__)

Answer = wire.Draft | wire.Block | wire.Scores | wire.Report | wire.Done | wire.ChatResponse


class Completion(Struct, frozen=True, kw_only=True):
    """A whole answer: one text per candidate, empty where the daemon had none.

    `stable` is False where the step cap or the deadline cut a text short. `confidences` are those
    of the blocks, as far as the daemon told them.
    """

    texts: list[str]
    reason: wire.Reason
    timings: wire.Timings
    steps: int
    stable: bool
    confidences: dict[int, float] = {}

    def is_sure(self, candidate: int, least: float) -> bool:
        """Tell whether a text is not known to be less probable than `least`."""
        return self.confidences.get(candidate, least) >= least


class _NobodyListens(DaemonUnavailable):
    """There is no socket, or no process behind it."""


class _HungUp(DaemonUnavailable):
    """Somebody listened and broke off: a daemon that goes down."""


class Link:
    """One connection to the daemon's Unix socket; made by `connect`."""

    def __init__(self, socket: ClientConnection, welcome: wire.Welcome) -> None:
        self.welcome = welcome
        self._socket = socket
        self._waiting: dict[str, asyncio.Queue[Answer | wire.Failed | None]] = {}
        self._lost = ""  # why the connection broke
        self._reader = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        """Tell whether the daemon can still be asked."""
        return not self._lost

    async def request(
        self, message: wire.Job | wire.Status | wire.Stop | wire.ChatRequest
    ) -> AsyncGenerator[Answer, None]:
        """Send the request and yield its answers, `Done` last; its id must be new on this link.

        Closed or cancelled early, it takes the request back. Raises the error of a `Failed`,
        TooLarge, and DaemonUnavailable when the connection breaks.
        """
        if message.id in self._waiting:
            raise InvalidRequest(f"the id {message.id!r} is in use by another request")
        answers = self._waiting[message.id] = asyncio.Queue()
        ended = False
        try:
            await self._send(message)
            while not ended:
                answer = await answers.get()
                ended = answer is None or isinstance(answer, wire.Done | wire.Failed)
                match answer:
                    case None:
                        raise DaemonUnavailable(self._lost)
                    case wire.Failed(code=code, message=text):
                        raise from_code(code, text)
                    case _:
                        yield answer
        finally:
            del self._waiting[message.id]
            if not ended:
                with suppress(DaemonUnavailable):
                    await self._send(wire.Cancel(id=message.id))

    async def close(self) -> None:
        """End the connection; requests that still wait raise DaemonUnavailable."""
        await self._socket.close()
        await self._reader

    async def _send(self, message: wire.Request) -> None:
        frame = wire.encode_binary(message)
        if len(frame) > wire.MAX_FRAME_BYTES:
            raise TooLarge(
                f"a request of {len(frame)} bytes is over the limit of {wire.MAX_FRAME_BYTES}: "
                "send less text"
            )
        try:
            await self._socket.send(frame)
        except ConnectionClosed as exc:
            raise DaemonUnavailable(self._lost or f"the connection broke: {exc}") from exc

    async def _read(self) -> None:
        reason = "the connection to the daemon broke"
        try:
            async for frame in self._socket:
                answer = wire.decode_response(frame)
                if isinstance(answer, wire.Failed) and not answer.id:
                    log.warning("the daemon refuses a message: %s", answer.message)
                    reason = f"the daemon ended the connection: {answer.message}"
                elif not isinstance(answer, wire.Welcome) and answer.id in self._waiting:
                    self._waiting[answer.id].put_nowait(answer)
        except (ConnectionClosed, InvalidRequest) as exc:
            reason = f"{reason}: {exc}"
        finally:
            self._lost = reason
            for answers in self._waiting.values():
                answers.put_nowait(None)
            await self._socket.close()


def _nobody(said: wire.Draft | wire.Block) -> None:
    """Hear nothing of what is under way."""


async def complete(
    link: Link, message: wire.Job, hear: Callable[[wire.Draft | wire.Block], None] = _nobody
) -> Completion:
    """Return the whole answer of one request; `hear` is told of its drafts and blocks meanwhile.

    Raises as `Link.request` does.
    """
    candidates, spares = 1, 0
    if isinstance(message, wire.Complete):
        candidates, spares = message.candidates, message.spares
    said: list[Answer] = []
    async with aclosing(link.request(message)) as answers:
        async for answer in answers:
            if isinstance(answer, wire.Draft | wire.Block):
                hear(answer)
            said.append(answer)
    return gathered(said, candidates, spares)


async def score(link: Link, message: wire.Score) -> list[float]:
    """Return the log probability of each text, in nats; raises as `Link.request` does."""
    log_probs: list[float] = []
    async with aclosing(link.request(message)) as answers:
        async for answer in answers:
            if isinstance(answer, wire.Scores):
                log_probs = answer.log_probs
    return log_probs


def gathered(answers: Iterable[Answer], candidates: int, spares: int = 0) -> Completion:
    """Return the whole answer that a request's messages make, of which `Done` is the last."""
    texts = [""] * (candidates + spares)
    stable = [True] * len(texts)
    told = candidates
    confidences: dict[int, float] = {}
    for answer in answers:
        match answer:
            case wire.Block(candidate=candidate):
                texts[candidate] += answer.text
                told = max(told, candidate + 1)
                stable[candidate] &= answer.stable
                if answer.confidence is not None:
                    confidences[candidate] = answer.confidence
            case wire.Done(reason=reason, timings=timings):
                return Completion(
                    texts=texts[:told],
                    reason=reason,
                    timings=timings,
                    steps=timings.steps,
                    stable=reason != "deadline" and all(stable[:candidates]),
                    confidences=confidences,
                )
    raise AssertionError("a request ends in Done or raises")


async def connect(config: Config, paths: Paths, *, start: bool) -> Link:
    """Return a link to this user's daemon; with `start`, one is started where nobody listens.

    Raises DaemonUnavailable where there is none and, with `start`, none comes up; and what the
    daemon refuses the connection with, such as UnsupportedProtocol.
    """
    started: _Started | None = None
    give_up = asyncio.get_running_loop().time() + START_S
    for pause in _growing_pauses(0.02, 0.5):
        try:
            return await _open(paths.socket)
        except (_NobodyListens, _HungUp, DaemonStopping) as exc:
            if not start:
                raise
            if started is None and isinstance(exc, _NobodyListens):
                started = _Started(config, paths)
            now = asyncio.get_running_loop().time()
            if now > give_up or (started is not None and started.failed(now)):
                raise DaemonUnavailable(started.why() if started else str(exc)) from exc
        await asyncio.sleep(pause)
    raise AssertionError("the pauses never end")


async def _open(path: Path) -> Link:
    try:
        socket = await unix_connect(
            str(path),
            max_size=wire.MAX_FRAME_BYTES,
            compression=None,
            open_timeout=WELCOME_S,
            close_timeout=CLOSE_S,
        )
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise _NobodyListens(
            f"no daemon runs: nobody listens at {path}; start one with `dgemma daemon`"
        ) from exc
    except (InvalidHandshake, ConnectionError, EOFError) as exc:
        raise _HungUp(f"the daemon at {path} hung up; try again") from exc
    except OSError as exc:
        raise DaemonUnavailable(
            f"the daemon at {path} cannot be reached: {exc or 'no answer'}; "
            "end it with `dgemma stop` and try again"
        ) from exc
    try:
        return Link(socket, await _greet(socket, path))
    except BaseException:
        await socket.close()
        raise


async def _greet(socket: ClientConnection, path: Path) -> wire.Welcome:
    hello = wire.Hello(protocol=wire.PROTOCOL, client=f"dgemma-lsp {__version__}")
    try:
        async with asyncio.timeout(WELCOME_S):
            await socket.send(wire.encode_binary(hello))
            answer = wire.decode_response(await socket.recv())
    except ConnectionClosed as exc:
        raise _HungUp(f"the daemon at {path} hung up; try again") from exc
    except (TimeoutError, InvalidRequest) as exc:
        raise DaemonUnavailable(
            f"what listens at {path} does not answer as a daemon does: "
            f"{exc or f'silent for {WELCOME_S:g} s'}; end it with `dgemma stop`"
        ) from exc
    match answer:
        case wire.Welcome():
            return answer
        case wire.Failed(code=code, message=text):
            raise from_code(code, text)
        case _:
            raise DaemonUnavailable(f"what listens at {path} is no daemon; remove this file")


class _Started:
    """A daemon process that lives on without us, and what its log says should it die early."""

    def __init__(self, config: Config, paths: Paths) -> None:
        command = [*DAEMON_COMMAND, "--model", config.model.name]
        if config.model.quantize:
            command += ["--quantize", config.model.quantize]
        if paths.config_file.is_file():
            command += ["--config", str(paths.config_file)]
        self._log = paths.log
        self._exited_at = float("inf")
        try:
            paths.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "ab") as output:
                self._log_start = output.tell()
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as exc:
            raise DaemonUnavailable(f"the daemon cannot be started: {exc}") from exc
        # The daemon may outlive us or we it: a thread that nobody waits for collects its status,
        # so that it never stays behind as a zombie.
        threading.Thread(target=self._process.wait, daemon=True, name="reap-daemon").start()

    def failed(self, now: float) -> bool:
        """Tell whether the process is gone, and whoever it gave way to had time to listen."""
        if self._process.poll() is not None:
            self._exited_at = min(self._exited_at, now)
        return now >= self._exited_at + EXIT_GRACE_S

    def why(self) -> str:
        """Return what to tell the user, with the last line of what the process has logged."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it logged nothing")
        code = self._process.returncode
        state = "opened no socket" if code is None else f"ended with status {code}"
        return f"the daemon {state}: {last} (log: {self._log}); run `dgemma doctor`"


class Links:
    """One link for many requests, made when it is wanted and made anew after it broke.

    Nothing is started unasked: a daemon that went down, idle or told to, stays down until the next
    request. After a failure the next attempt waits, longer each time; `on_failure` hears of each
    one, with how many there were in a row.
    """

    def __init__(
        self, config: Config, paths: Paths, on_failure: Callable[[DgemmaError, int], None]
    ) -> None:
        self._config = config
        self._paths = paths
        self._on_failure = on_failure
        self._failures = 0
        self._not_before = 0.0
        self._pauses = _growing_pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._link: Link | None = None
        self._attempt: asyncio.Task[Link] | None = None

    async def get(self) -> Link:
        """Return a live link, waiting for the one attempt under way; raises as `connect` does.

        Who gives up waiting leaves the attempt running for the others.
        """
        if self._link is not None and self._link.alive:
            return self._link
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self._connect())
            self._attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._attempt)

    async def close(self) -> None:
        """Give up the attempt under way and end the link."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        if self._link is not None:
            await self._link.close()

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._not_before - loop.time())
        try:
            self._link = await connect(self._config, self._paths, start=True)
        except DgemmaError as exc:
            self._failures += 1
            self._not_before = loop.time() + next(self._pauses)
            self._on_failure(exc, self._failures)
            raise
        self._failures = 0
        self._pauses = _growing_pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        return self._link


def _growing_pauses(first: float, longest: float) -> Iterator[float]:
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
