"""The daemon's process: lock, listeners, idle time, signals, shutdown. It reads no message.

What a connection says is for `session`, what becomes of a request for `dispatcher`, and who may
connect over TCP for `admission`. It loads no model and no torch.
"""

import asyncio
import errno
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve

from dgemma_lsp import runtime, wire, worker
from dgemma_lsp.admission import admit
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.conversations import ConversationHub
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DaemonStopping, UserError
from dgemma_lsp.session import Session
from dgemma_lsp.wire import Response

GOODBYE_S = 10.0

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


class Daemon:
    """The sessions, and how they come to their end; `stopping` tells that it is time."""

    def __init__(self, config: Config, paths: Paths, model_command: Sequence[str]) -> None:
        self.stopping = asyncio.Event()
        self.port = 0  # until the listener has one
        self.dispatcher = Dispatcher(config, model_command)
        self.conversations = ConversationHub(config, paths.conversations, self.dispatcher)
        self._idle_minutes = config.daemon.idle_minutes
        self._sessions: set[Session] = set()
        self._numbers = count(1)

    async def attend(
        self, encode: Callable[[Response], str | bytes], connection: ServerConnection
    ) -> None:
        """Serve one connection from its first frame to its end."""
        session = Session(
            next(self._numbers),
            connection,
            encode=encode,
            dispatcher=self.dispatcher,
            conversations=self.conversations,
            process=self,
        )
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.remove(session)

    def stop(self, why: str) -> None:
        """Fail what is in flight and begin to go down."""
        if not self.stopping.is_set():
            _log.info("the daemon goes down: %s", why)
            self.stopping.set()
            self.dispatcher.refuse(DaemonStopping("the daemon goes down"))

    async def close_sessions(self, servers: Sequence[Server]) -> None:
        """Close every connection after what waits for it; no longer than GOODBYE_S."""
        for server in servers:
            server.close(close_connections=False)
        for session in self._sessions:
            session.finish()
        closed = [asyncio.ensure_future(server.wait_closed()) for server in servers]
        if closed:
            await asyncio.wait(closed, timeout=GOODBYE_S)
            for session in self._sessions:
                session.abort()
            await asyncio.wait(closed)

    async def watch_idle(self) -> None:
        """Stop the daemon when nobody has asked the model anything for the configured time."""
        while (left_s := self._idle_minutes * 60 - self.dispatcher.idle_s) > 0:
            await asyncio.sleep(left_s)
        self.stop(f"no request for {self._idle_minutes:g} minutes")


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
        daemon = Daemon(config, paths, model_command)
        servers: list[Server] = []
        conversing = asyncio.create_task(daemon.conversations.run())
        conversing.add_done_callback(partial(_stop_on_error, daemon))
        tasks: list[asyncio.Task[None]] = []
        try:
            token = secrets.token_urlsafe(32)
            servers.append(await _listen_on_loopback(daemon, config, token))
            daemon.port = servers[0].sockets[0].getsockname()[1]
            runtime.write_endpoint(
                paths.endpoint, runtime.Endpoint(port=daemon.port, token=token, pid=os.getpid())
            )
            servers.append(await _listen_on_socket(daemon, paths.socket))
            for watch in (daemon.dispatcher.worker.run(), daemon.watch_idle()):
                tasks.append(asyncio.create_task(watch))
                tasks[-1].add_done_callback(partial(_stop_on_error, daemon))
            yield daemon
        finally:
            daemon.stop("its work is over")
            paths.socket.unlink(missing_ok=True)
            paths.endpoint.unlink(missing_ok=True)
            # What the model said last is kept before anybody is told that all is over.
            daemon.conversations.finish()
            await asyncio.wait([conversing])
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
