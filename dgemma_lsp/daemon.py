"""The daemon's process: lock, listeners, idle time, signals, shutdown. It reads no message.

What a connection says is for `session`, what becomes of a request for `dispatcher`, who may
connect over TCP for `admission`, and what else is served there for `loopback`. It loads no model
and no torch.
"""

import asyncio
import errno
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from aiohttp import web

from dgemma_lsp import loopback, runtime, wire, worker
from dgemma_lsp.admission import Door
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.conversations import ConversationHub
from dgemma_lsp.desk import Desk
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DaemonStopping, UserError
from dgemma_lsp.page import Page
from dgemma_lsp.page_keys import PageKeys
from dgemma_lsp.session import Session
from dgemma_lsp.wire import Response

GOODBYE_S = 10.0
CLOSE_S = 5.0  # for the other side's half of a closing

# A client that answers no ping is gone; half of it is the time to answer.
_HEARTBEAT_S = 40.0

_log = logging.getLogger(__name__)


class Daemon:
    """The sessions, and how they come to their end; `stopping` tells that it is time."""

    def __init__(self, config: Config, paths: Paths, model_command: Sequence[str]) -> None:
        self.stopping = asyncio.Event()
        self.port = 0  # until the listener has one
        self.dispatcher = Dispatcher(config, model_command)
        self.conversations = ConversationHub(config, paths.conversations, self.dispatcher)
        self._idle_minutes = config.daemon.idle_minutes
        self._sessions: set[Session] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def attend(
        self, encode: Callable[[Response], str | bytes], request: web.Request
    ) -> web.WebSocketResponse:
        """Serve one WebSocket from its opening to its end."""
        # Above MAX_FRAME_BYTES a frame is still read, so that the refusal can be typed; far above
        # it aiohttp closes with 1009. Compression buys nothing on one machine.
        connection = web.WebSocketResponse(
            max_msg_size=4 * wire.MAX_FRAME_BYTES,
            compress=False,
            heartbeat=_HEARTBEAT_S,
            timeout=CLOSE_S,
        )
        await connection.prepare(request)
        session = Session(
            self.dispatcher.new_session(),
            connection,
            request,
            encode=encode,
            dispatcher=self.dispatcher,
            conversations=self.conversations,
            process=self,
        )
        self._sessions.add(session)
        self._nobody.clear()
        try:
            await session.run()
        finally:
            self._sessions.remove(session)
            if not self._sessions:
                self._nobody.set()
        return connection

    def stop(self, why: str) -> None:
        """Fail what is in flight and begin to go down."""
        if not self.stopping.is_set():
            _log.info("the daemon goes down: %s", why)
            self.stopping.set()
            self.dispatcher.refuse(DaemonStopping("the daemon goes down"))

    async def close_sessions(self) -> None:
        """Close every connection after what waits for it; no longer than GOODBYE_S."""
        for session in self._sessions:
            session.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._nobody.wait()
        for session in self._sessions:
            session.abort()

    async def watch_idle(self) -> None:
        """Stop the daemon when nobody has asked the model anything for the configured time."""
        while (left_s := self._idle_minutes * 60 - self.dispatcher.idle_s) > 0:
            await asyncio.sleep(left_s)
        self.stop(f"no request for {self._idle_minutes:g} minutes")


def _loopback_socket(port: int, rather: int) -> socket.socket:
    """Listen at `port`; where that is any, `rather` where an open page looks for the daemon."""
    if not port and rather:
        with suppress(OSError):
            return socket.create_server(("127.0.0.1", rather))
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as exc:
        reason = "is in use" if exc.errno == errno.EADDRINUSE else f"cannot be had: {exc.strerror}"
        raise UserError(
            f"port {port} on 127.0.0.1 {reason}: set daemon.port to another one, or to 0 for any"
        ) from exc


def _unix_socket(path: Path) -> socket.socket:
    """Return a socket at `path` to which nobody can connect before it is 0600."""
    opened = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)  # of a daemon that was killed: the lock says that it is one
        opened.bind(str(path))
        path.chmod(0o600)
    except OSError as exc:
        opened.close()
        raise UserError(f"{path}: cannot listen there: {exc}") from exc
    return opened


def _of_socket(daemon: Daemon) -> web.Application:
    """Return what serves the Unix socket: the WebSocket and nothing else."""
    app = web.Application()
    app.add_routes([web.get("/", partial(daemon.attend, wire.encode_binary))])
    return app


async def _listen(app: web.Application, opened: socket.socket) -> web.AppRunner:
    """Serve `app` on a socket; a client that goes away cancels what it waits for."""
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=CLOSE_S
    )
    await runner.setup()
    await web.SockSite(runner, opened).start()
    return runner


@asynccontextmanager
async def serving(
    config: Config, paths: Paths, *, model_command: Sequence[str]
) -> AsyncIterator[Daemon]:
    """Run the daemon inside the block; `stopping` of what it yields tells when to leave it.

    Raises UserError where the runtime folder, the lock or the port cannot be had.
    """
    runtime.prepare_folder(paths.runtime)
    async with runtime.only_daemon(paths):
        daemon = Daemon(config, paths, model_command)
        runners: list[web.AppRunner] = []
        conversing = asyncio.create_task(daemon.conversations.run())
        conversing.add_done_callback(partial(_stop_on_error, daemon))
        tasks: list[asyncio.Task[None]] = []
        try:
            token = secrets.token_urlsafe(32)
            keys = PageKeys(paths.page)
            opened = _loopback_socket(config.daemon.port, keys.port)
            daemon.port = opened.getsockname()[1]
            keys.stand_at(daemon.port)
            talk = partial(daemon.attend, wire.encode_json)
            page = Page(keys, talk, Desk(config, paths, daemon.dispatcher))
            door = Door(
                token, origins=config.daemon.origins, public=loopback.PUBLIC, visits=page.visits
            )
            app = loopback.application(door, talk, daemon.dispatcher, config.completion, page)
            runners.append(await _listen(app, opened))
            runtime.write_private(
                paths.endpoint, runtime.Endpoint(port=daemon.port, token=token, pid=os.getpid())
            )
            runners.append(await _listen(_of_socket(daemon), _unix_socket(paths.socket)))
            for watch in (daemon.dispatcher.worker.run(), daemon.watch_idle()):
                tasks.append(asyncio.create_task(watch))
                tasks[-1].add_done_callback(partial(_stop_on_error, daemon))
            yield daemon
        finally:
            daemon.stop("its work is over")
            paths.socket.unlink(missing_ok=True)
            paths.endpoint.unlink(missing_ok=True)
            for runner in runners:
                for site in runner.sites:
                    await site.stop()
            # What the model said last is kept before anybody is told that all is over.
            daemon.conversations.finish()
            await asyncio.wait([conversing])
            await daemon.close_sessions()
            for runner in runners:
                await runner.cleanup()
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
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    asyncio.run(_serve_until_stopped(config, paths, model_command))


async def _serve_until_stopped(config: Config, paths: Paths, model_command: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    async with serving(config, paths, model_command=model_command) as daemon:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop, f"{number.name} came")
        await daemon.stopping.wait()
