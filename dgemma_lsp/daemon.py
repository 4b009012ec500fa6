"""The listeners, one Session per connection, and who may come in. It loads no model and no torch.

The daemon carries out what others decide: `scheduler` says who gets the model, `chat` what a
conversation may be, `inflight` what a deadline answers, `worker` keeps the model process alive.
Every request that was taken in ends in `Daemon._end`, and nowhere else.
"""

import asyncio
import errno
import hmac
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse
from websockets.protocol import State

from dgemma_lsp import __version__, chat, runtime, wire, worker
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import (
    Cancelled,
    DaemonStopping,
    DgemmaError,
    InvalidRequest,
    ModelUnavailable,
    Superseded,
    TooLarge,
    Unauthorized,
    UnsupportedProtocol,
    UserError,
)
from dgemma_lsp.inflight import InFlight
from dgemma_lsp.outbox import Outbox
from dgemma_lsp.scheduler import Action, Reply, Scheduler, Start, Stop
from dgemma_lsp.wire import (
    Block,
    Cancel,
    Chat,
    Complete,
    Done,
    Draft,
    Failed,
    FromModel,
    Hello,
    Job,
    ModelState,
    Ready,
    Report,
    Request,
    Response,
    Status,
    Timings,
    Unusable,
    Welcome,
)

HELLO_S = 10.0
SEND_S = 30.0  # a client that takes nothing for so long is disconnected
GOODBYE_S = 10.0
STOPPED_S = 60.0  # a model that holds on to a stopped job for so long is killed

WITHDRAWN = {Cancelled.code, Superseded.code}  # no failure of anybody

# Above MAX_FRAME_BYTES a frame is still read, so that the refusal can be typed; far above it
# websockets closes the connection with 1009. Compression buys nothing on one machine.
_LISTENER: dict[str, Any] = {
    "max_size": 4 * wire.MAX_FRAME_BYTES,
    "max_queue": 4,
    "compression": None,
    "open_timeout": 5,
    "close_timeout": 5,
}

_log = logging.getLogger(__name__)


class _WithId(Struct):
    """What can be read of a message that is wrong otherwise."""

    id: str = ""


class Session:
    """One connection: its form of frames, its requests in flight, and what waits to be sent."""

    def __init__(
        self, number: int, connection: ServerConnection, encode: Callable[[Response], str | bytes]
    ) -> None:
        self.number = number
        self.keys: dict[str, str] = {}  # the client's ids in flight -> keys
        self._connection = connection
        self._frame_type = bytes if encode is wire.encode_binary else str
        self._outbox = Outbox(encode)
        self._wake = asyncio.Event()
        self._finished = False

    def decode(self, frame: str | bytes) -> Request:
        """Read a frame; raises TooLarge or InvalidRequest."""
        size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
        if size > wire.MAX_FRAME_BYTES:
            raise TooLarge(f"a message of {size} bytes: the limit is {wire.MAX_FRAME_BYTES}")
        if not isinstance(frame, self._frame_type):
            wanted, got = "binary (msgpack)", "text"
            if self._frame_type is str:
                wanted, got = "text (JSON)", "binary"
            raise InvalidRequest(f"this connection takes {wanted} frames; this one is {got}")
        try:
            return wire.decode_request(frame)
        except RecursionError as exc:
            raise InvalidRequest("cannot read this message: it is nested too deeply") from exc

    def refuse(self, frame: str | bytes, error: DgemmaError) -> None:
        """Answer a frame that is taken no further.

        The answer carries the frame's id, unless it would seem to end another request.
        """
        decoder = msgspec.json if isinstance(frame, str) else msgspec.msgpack
        try:
            id = decoder.decode(frame, type=_WithId).id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            id = ""
        _log.info("session %d: a frame was refused: %s", self.number, error.code)
        self.send(_failed("" if id in self.keys else id, error))

    def send(self, message: Response) -> None:
        """Queue a message; a client that lags too far is disconnected."""
        if self._finished:
            return
        self._outbox.put(message)
        if self._outbox.full:
            _log.warning("session %d: the client does not read: disconnected", self.number)
            self.abort()
        self._wake.set()

    def finish(self) -> None:
        """Take no more messages; `write` closes the connection after those that wait."""
        self._finished = True
        self._wake.set()

    def abort(self) -> None:
        """Close the connection at once."""
        self._finished = True
        if self._connection.state is not State.CLOSED:  # asyncio cannot abort what is closed
            self._connection.transport.abort()

    async def write(self) -> None:
        """Send what is queued, until the session is finished or the connection is gone."""
        try:
            while len(self._outbox) or not self._finished:
                if not len(self._outbox):
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                async with asyncio.timeout(SEND_S):
                    await self._connection.send(self._outbox.take())
            await self._connection.close()
        except TimeoutError:
            _log.warning("session %d: nothing was read for %.0f s", self.number, SEND_S)
            self.abort()
        except ConnectionClosed:
            self._finished = True


class Daemon:
    """The requests of all sessions, between the scheduler and the model process."""

    def __init__(self, config: Config, model_command: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.port = 0
        self.worker = worker.Worker(
            config, command=model_command, on_message=self._from_model, on_lost=self._lost
        )
        self._config = config
        self._now = loop.time
        self._call_later = loop.call_later
        self._scheduler = Scheduler(config.daemon.queue)
        self._sessions: dict[int, Session] = {}
        self._requests: dict[str, InFlight] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._session_numbers = count(1)
        self._request_numbers = count(1)
        self._model: Ready | None = None
        self._unusable = False
        self._detail = ""
        self._completed = 0
        self._failed = 0
        self._born = self._active = loop.time()

    async def attend(
        self, encode: Callable[[Response], str | bytes], connection: ServerConnection
    ) -> None:
        """Serve one connection from its first frame to its end."""
        session = Session(next(self._session_numbers), connection, encode)
        self._sessions[session.number] = session
        writer = asyncio.create_task(session.write())
        try:
            if await self._greet(session, connection):
                async for frame in connection:
                    self._take(session, frame)
        except ConnectionClosed as exc:
            _log.info("session %d: the connection broke: %s", session.number, exc)
        finally:
            self._act(self._scheduler.disconnected(session.number))
            del self._sessions[session.number]
            session.finish()
            await writer

    def stop(self, why: str) -> None:
        """Fail what is in flight and begin to go down."""
        if not self.stopping.is_set():
            _log.info("the daemon goes down: %s", why)
            self.stopping.set()
            self._act(self._scheduler.refuse(DaemonStopping("the daemon goes down")))

    async def close_sessions(self, servers: Sequence[Server]) -> None:
        """Close every connection after what waits for it; no longer than GOODBYE_S."""
        for server in servers:
            server.close(close_connections=False)
        for session in self._sessions.values():
            session.finish()
        closed = [asyncio.ensure_future(server.wait_closed()) for server in servers]
        if closed:
            await asyncio.wait(closed, timeout=GOODBYE_S)
            for session in self._sessions.values():
                session.abort()
            await asyncio.wait(closed)

    async def watch_idle(self) -> None:
        """Stop the daemon when nobody has asked the model anything for the configured time."""
        limit_s = self._config.daemon.idle_minutes * 60
        while True:
            left_s = limit_s if self._requests else self._active + limit_s - self._now()
            if left_s <= 0:
                self.stop(f"no request for {self._config.daemon.idle_minutes:g} minutes")
                return
            await asyncio.sleep(left_s)

    # From the clients

    async def _greet(self, session: Session, connection: ServerConnection) -> bool:
        frame: str | bytes = ""
        try:
            async with asyncio.timeout(HELLO_S):
                frame = await connection.recv()
            hello = session.decode(frame)
            if not isinstance(hello, Hello):
                raise InvalidRequest("the first message of a connection must be hello")
            if hello.protocol != wire.PROTOCOL:
                raise UnsupportedProtocol(
                    f"this daemon speaks protocol {wire.PROTOCOL}, the client {hello.protocol}: "
                    "run `dgemma stop` after an update, and update the older of the two"
                )
        except TimeoutError:
            session.send(_failed("", InvalidRequest(f"no hello came within {HELLO_S:.0f} s")))
            return False
        except DgemmaError as exc:
            session.send(_failed("", exc))
            return False
        _log.info("session %d: hello from %r", session.number, hello.client)
        session.send(
            Welcome(protocol=wire.PROTOCOL, model=self._model_name(), state=self._model_state())
        )
        return True

    def _take(self, session: Session, frame: str | bytes) -> None:
        """Handle one frame; a wrong one is refused and the connection goes on."""
        try:
            message = session.decode(frame)
            if not isinstance(message, Hello | Cancel) and message.id in session.keys:
                raise InvalidRequest(f"the id {message.id!r} is in flight already: choose another")
            self._handle(session, message)
        except DgemmaError as exc:
            session.refuse(frame, exc)

    def _handle(self, session: Session, message: Request) -> None:
        match message:
            case Complete() | Chat():
                self._submit(session, message)
            case Cancel(id=id):
                if id in session.keys:  # otherwise it has ended already
                    self._act(self._scheduler.cancel(session.keys[id]))
            case Status(id=id):
                session.send(self._report(id))
                session.send(Done(id=id, reason="reported"))
            case wire.Stop(id=id):
                session.send(Done(id=id, reason="stopping"))
                self.stop(f"session {session.number} asked for it")
            case Hello():
                raise InvalidRequest("hello came twice")
            case _:
                assert_never(message)

    def _submit(self, session: Session, message: Job) -> None:
        # Never the client's id: it may use it again while the model still winds the first one up.
        key = f"{session.number}:{next(self._request_numbers)}"
        job, notice = for_model(message, key, self._config)
        if notice:
            _log.info("request %s: %s", key, notice)
        self._requests[key] = InFlight(
            key=key,
            id=message.id,
            session=session.number,
            wants_drafts=message.drafts,
            received=self._now(),
        )
        session.keys[message.id] = key
        self._active = self._now()
        if message.deadline_ms is not None:
            self._deadlines[key] = self._call_later(message.deadline_ms / 1000, self._deadline, key)
        self._act(self._scheduler.submit(session.number, job))

    def _deadline(self, key: str) -> None:
        request = self._requests[key]
        for block in request.stable_blocks():
            self._forward(request, block)
        self._end(key, Done(id=key, reason="deadline", timings=Timings(steps=request.steps)))
        self._act(self._scheduler.answered(key))

    # From the model process

    def _from_model(self, message: FromModel) -> None:
        match message:
            case Ready():
                _log.info("the model %s is ready on %s", message.model, message.device)
                self._model, self._detail = message, ""
                self._act(self._scheduler.model_ready())
            case Unusable():
                _log.error("the model is unusable: %s", message.message)
                self._unusable, self._detail = True, message.message
                self._act(self._scheduler.refuse(ModelUnavailable(message.message)))
            case Draft() | Block():
                self._progress(message)
            case Done() | Failed():
                self._end(message.id, message)
                self._act(self._scheduler.finished(message.id))
            case _:
                assert_never(message)

    def _progress(self, message: Draft | Block) -> None:
        request = self._requests.get(message.id)
        if request is None:  # it was answered while this was under way
            return
        if isinstance(message, Block):
            request.finished(message)
        else:
            request.drafted(message)
        if isinstance(message, Block) or request.wants_drafts:
            self._forward(request, message)

    def _lost(self, detail: str) -> None:
        self._model, self._detail = None, f"the model process died: {detail}"
        self._act(self._scheduler.model_lost(detail))

    def _overdue(self, key: str) -> None:
        if self._scheduler.holds(key):
            _log.error("request %s: the model goes on after %.0f s: killed", key, STOPPED_S)
            self.worker.kill()

    # What was decided

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(job=job):
                    self._requests[job.id].started = self._now()
                    self.worker.send(job)
                case Stop(key=key):
                    self.worker.send(Cancel(id=key))
                    self._call_later(STOPPED_S, self._overdue, key)
                case Reply(failed=failed):
                    self._end(failed.id, failed)
                case _:
                    assert_never(action)

    def _end(self, key: str, message: Done | Failed) -> None:
        """End a request: the only place that does, so that it happens once."""
        request = self._requests.pop(key, None)
        if request is None:  # it was answered already: cancelled, superseded, or at its deadline
            return
        timer = self._deadlines.pop(key, None)
        if timer is not None:
            timer.cancel()
        now = self._active = self._now()
        timings = request.timings(now, message.timings if isinstance(message, Done) else Timings())
        if isinstance(message, Done):
            self._completed += 1
            message = msgspec.structs.replace(message, timings=timings)
        elif message.code not in WITHDRAWN:
            self._failed += 1
        outcome = message.reason if isinstance(message, Done) else message.code
        _log.info("request %s (id %r): %s in %.0f ms", key, request.id, outcome, timings.total_ms)
        self._forward(request, message)
        self._sessions[request.session].keys.pop(request.id)

    def _forward(self, request: InFlight, message: Draft | Block | Done | Failed) -> None:
        session = self._sessions[request.session]
        session.send(msgspec.structs.replace(message, id=request.id))

    # How things are

    def _model_name(self) -> str:
        return self._config.model.name if self._model is None else self._model.model

    def _model_state(self) -> ModelState:
        if self._unusable:
            return "failed"
        if self._model is not None:
            return "ready"
        return "restarting" if self.worker.restarts else "loading"

    def _report(self, id: str) -> Report:
        return Report(
            id=id,
            version=__version__,
            model=self._model_name(),
            state=self._model_state(),
            detail=self._detail,
            device="" if self._model is None else self._model.device,
            pid=os.getpid(),
            model_pid=self.worker.pid,
            restarts=self.worker.restarts,
            uptime_s=self._now() - self._born,
            idle_minutes=self._config.daemon.idle_minutes,
            port=self.port,
            running=self._scheduler.running,
            queued=self._scheduler.queued,
            completed=self._completed,
            failed=self._failed,
        )


def for_model(message: Job, key: str, config: Config) -> tuple[Job, str]:
    """Return the request as the model gets it, and a notice where the conversation was cut.

    What the client left open comes from the configuration. A deadline needs drafts to answer with.
    Raises InvalidRequest for turns that make no conversation.
    """
    defaults = config.completion if isinstance(message, Complete) else config.chat
    sampling = message.sampling
    if sampling.max_steps is None and defaults.steps:
        sampling = msgspec.structs.replace(sampling, max_steps=defaults.steps)
    drafts = message.drafts or message.deadline_ms is not None
    if isinstance(message, Complete):
        return msgspec.structs.replace(message, id=key, drafts=drafts, sampling=sampling), ""
    if sampling.max_tokens is None:
        sampling = msgspec.structs.replace(sampling, max_tokens=config.chat.max_tokens)
    conversation = chat.prepare(
        message.messages, system=config.chat.system, history_chars=config.chat.history_chars
    )
    job = msgspec.structs.replace(
        message, id=key, drafts=drafts, sampling=sampling, messages=conversation.turns
    )
    return job, conversation.notice


def _failed(id: str, error: DgemmaError) -> Failed:
    return Failed(id=id, code=error.code, message=str(error))


def admit(
    token: str, origins: Sequence[str], connection: ServerConnection, request: HttpRequest
) -> HttpResponse | None:
    """Let a TCP connection in (None), or refuse it: 403 for a foreign page, 401 without the token.

    Any web page can open a connection to this machine; a browser then tells the page's origin.
    """
    foreign = [o for o in request.headers.get_all("Origin") if o not in origins]
    if foreign:
        return _refusal(
            connection,
            HTTPStatus.FORBIDDEN,
            f"the origin {foreign[0]!r} is not allowed: see daemon.origins in the configuration",
        )
    given = [
        header.removeprefix("Bearer ") for header in request.headers.get_all("Authorization")
    ] + parse_qs(urlsplit(request.path).query).get("token", [])
    # Compared as bytes: compare_digest takes no text outside ASCII.
    if not any(hmac.compare_digest(g.encode(errors="replace"), token.encode()) for g in given):
        return _refusal(
            connection,
            HTTPStatus.UNAUTHORIZED,
            "a wrong or missing token: it stands in endpoint.json in the daemon's runtime folder",
        )
    return None


def _refusal(connection: ServerConnection, status: HTTPStatus, message: str) -> HttpResponse:
    response = connection.respond(status, wire.encode_json(_failed("", Unauthorized(message))))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _listen_on_loopback(daemon: Daemon, config: Config, token: str) -> Server:
    port = config.daemon.port
    try:
        return await serve(
            partial(daemon.attend, wire.encode_json),
            "127.0.0.1",
            port,
            process_request=partial(admit, token, config.daemon.origins),
            **_LISTENER,
        )
    except OSError as exc:
        reason = "is in use" if exc.errno == errno.EADDRINUSE else f"cannot be had: {exc.strerror}"
        raise UserError(
            f"port {port} on 127.0.0.1 {reason}: set daemon.port to another one, or to 0 for any"
        ) from exc


async def _listen_on_socket(daemon: Daemon, path: Path) -> Server:
    try:
        # asyncio removes the socket of a daemon that was killed; the lock says that it is one.
        server = await unix_serve(
            partial(daemon.attend, wire.encode_binary), path, start_serving=False, **_LISTENER
        )
        path.chmod(0o600)  # nobody can connect before start_serving
        await server.start_serving()
    except OSError as exc:
        raise UserError(f"{path}: cannot listen there: {exc}") from exc
    return server


@asynccontextmanager
async def serving(
    config: Config, paths: Paths, *, model_command: Sequence[str]
) -> AsyncIterator[Daemon]:
    """Run the daemon inside the block; `stopping` of what it yields tells when to leave it.

    Raises UserError where the runtime folder, the lock or the port cannot be had.
    """
    runtime.prepare_folder(paths.runtime)
    async with runtime.only_daemon(paths):
        daemon = Daemon(config, model_command)
        servers: list[Server] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            token = secrets.token_urlsafe(32)
            servers.append(await _listen_on_loopback(daemon, config, token))
            daemon.port = servers[0].sockets[0].getsockname()[1]
            runtime.write_endpoint(
                paths.endpoint, runtime.Endpoint(port=daemon.port, token=token, pid=os.getpid())
            )
            servers.append(await _listen_on_socket(daemon, paths.socket))
            for watch in (daemon.worker.run(), daemon.watch_idle()):
                tasks.append(asyncio.create_task(watch))
                tasks[-1].add_done_callback(partial(_stop_on_error, daemon))
            yield daemon
        finally:
            daemon.stop("its work is over")
            paths.socket.unlink(missing_ok=True)
            paths.endpoint.unlink(missing_ok=True)
            await daemon.close_sessions(servers)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _stop_on_error(daemon: Daemon, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.critical("an error of the daemon itself", exc_info=task.exception())
        daemon.stop("an error of its own")


def run(
    config: Config, paths: Paths, *, model_command: Sequence[str] = worker.MODEL_COMMAND
) -> None:
    """Be the daemon until it is stopped, idle for long, or told to by SIGTERM or SIGINT.

    Raises UserError where another daemon runs, or the port or runtime folder cannot be had.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # It would log headers, with the token, and frames, with the text.
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(_serve_until_stopped(config, paths, model_command))


async def _serve_until_stopped(config: Config, paths: Paths, model_command: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    async with serving(config, paths, model_command=model_command) as daemon:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop, f"{number.name} came")
        await daemon.stopping.wait()
