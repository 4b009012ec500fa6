"""The terminal's link to the chat endpoint: WebSocket and JSON on loopback, without an event loop.

One connection carries the requests of a person and the watch of the conversation that is open; one
that broke is opened again, and the watch goes on where it was. What is shown is `terminal_chat`'s.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import TypeVar

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from dgemma_lsp import __version__, wire
from dgemma_lsp.chat_copy import ConversationCopy
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import DaemonUnavailable, InvalidRequest, Unauthorized, from_code
from dgemma_lsp.runtime import Endpoint
from dgemma_lsp.wire_chat import CaughtUp, ChatRequest, WatchConversation

WATCH = "watch"
Heard = wire.Draft | wire.Block | wire.Done | wire.Failed | wire.ChatResponse

T = TypeVar("T")


def read_endpoint(paths: Paths) -> Endpoint:
    """Return the port and token that the running daemon wrote; raises DaemonUnavailable."""
    try:
        return msgspec.json.decode(paths.endpoint.read_bytes(), type=Endpoint)
    except (OSError, msgspec.DecodeError) as exc:
        raise DaemonUnavailable(
            f"{paths.endpoint}: cannot be read: {exc}; run `dgemma stop` and try again"
        ) from exc


class ChatLink:
    """One client of the daemon, which `ensure_daemon` starts if none runs."""

    def __init__(self, paths: Paths, ensure_daemon: Callable[[], None]) -> None:
        self.welcome: wire.Welcome | None = None
        self._paths = paths
        self._ensure_daemon = ensure_daemon
        self._socket: ClientConnection | None = None
        self._opened = ExitStack()  # ends the connection
        self._copy: ConversationCopy | None = None  # what is watched
        self._heard: deque[Heard] = deque()  # of the watch, not looked at yet
        self._numbers = count(1)

    def close(self) -> None:
        """End the connection."""
        self._opened.close()
        self._socket = None

    def greet(self) -> wire.Welcome:
        """Return the daemon's greeting.

        Raises DaemonUnavailable where it cannot be reached, Unauthorized where it refuses.
        """
        self._connected()
        assert self.welcome is not None
        return self.welcome

    def ask(self, request: Callable[[str], ChatRequest]) -> list[Heard]:
        """Send the request made for a new id; return its answers, without `Done`.

        It is sent again where the connection breaks: a question must have a `once` of its own.
        Raises the error of a `Failed`.
        """
        try:
            return self._ask(request)
        except ConnectionClosed:
            self.close()
            return self._retried(lambda: self._ask(request))

    def watch(self, copy: ConversationCopy) -> None:
        """Watch this conversation instead of the one before, and catch up with it."""
        try:
            self.leave()
            self._copy = copy
            self._follow(self._connected())
        except ConnectionClosed:
            self._copy = copy
            self.close()
            self._retried(self._connected)

    def leave(self) -> None:
        """Watch nothing any more."""
        if self._copy is None or self._socket is None:
            self._copy = None
            return
        self._socket.send(wire.encode_json(wire.Cancel(id=WATCH)))
        while not isinstance(message := self._hear(self._socket), wire.Done | wire.Failed) or (
            message.id != WATCH
        ):
            pass
        self._copy = None
        self._heard.clear()

    def told(self) -> Iterator[Heard]:
        """Yield what comes to the conversation that is watched, as it comes, for ever.

        Each message has been taken into the copy, and is told once.
        """
        while True:
            if self._heard:
                yield self._heard.popleft()
                continue
            try:
                self._hear(self._connected())
            except ConnectionClosed:
                self.close()
                self._retried(self._connected)

    # Below

    def _ask(self, request: Callable[[str], ChatRequest]) -> list[Heard]:
        id = f"{next(self._numbers)}"
        socket = self._connected()
        socket.send(wire.encode_json(request(id)))
        return self._answers(socket, id)

    def _answers(self, socket: ClientConnection, id: str) -> list[Heard]:
        answers: list[Heard] = []
        while True:
            message = self._hear(socket)
            if isinstance(message, wire.Failed) and message.id in (id, ""):
                raise from_code(message.code, message.message)
            if message.id == id:
                if isinstance(message, wire.Done):
                    return answers
                answers.append(message)

    def _hear(self, socket: ClientConnection) -> Heard:
        """Receive a message; what is told of the watched conversation is kept for `told`."""
        message = wire.decode_response(socket.recv())
        if isinstance(message, wire.Welcome | wire.Report | wire.Scores):
            raise InvalidRequest(f"the daemon says {type(message).__name__} unasked")
        ended = isinstance(message, wire.Done | wire.Failed)
        if message.id == WATCH and self._copy is not None and (ended or self._copy.take(message)):
            self._heard.append(message)
        return message

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            self._ensure_daemon()
            self._socket = self._connect()
            if self._copy is not None:
                self._follow(self._socket)
        return self._socket

    def _connect(self) -> ClientConnection:
        endpoint = read_endpoint(self._paths)
        address = f"ws://127.0.0.1:{endpoint.port}"
        try:
            socket = self._opened.enter_context(
                connect(
                    address,
                    additional_headers={"Authorization": f"Bearer {endpoint.token}"},
                    max_size=wire.MAX_FRAME_BYTES,
                    compression=None,
                    proxy=None,
                )
            )
        except InvalidHandshake as exc:
            raise Unauthorized(f"the chat endpoint {address} refuses: {exc}") from exc
        except OSError as exc:
            raise DaemonUnavailable(f"the chat endpoint {address} does not answer: {exc}") from exc
        hello = wire.Hello(protocol=wire.PROTOCOL, client=f"dgemma chat {__version__}")
        socket.send(wire.encode_json(hello))
        match wire.decode_response(socket.recv()):
            case wire.Welcome() as welcome:
                self.welcome = welcome
            case wire.Failed(code=code, message=text):
                raise from_code(code, text)
            case other:
                raise InvalidRequest(f"the daemon greets with {type(other).__name__}, not Welcome")
        return socket

    def _follow(self, socket: ClientConnection) -> None:
        """Watch from where the copy ends, until it has caught up."""
        assert self._copy is not None
        turn, blocks = self._copy.seen
        request = WatchConversation(
            id=WATCH, conversation=self._copy.key, after_turn=turn, after_block=blocks
        )
        socket.send(wire.encode_json(request))
        while True:
            message = self._hear(socket)
            if message.id == WATCH and isinstance(message, wire.Failed):
                self._copy = None
                raise from_code(message.code, message.message)
            if message.id == WATCH and isinstance(message, CaughtUp):
                return

    def _retried(self, again: Callable[[], T]) -> T:
        try:
            return again()
        except ConnectionClosed as exc:
            raise DaemonUnavailable(f"the chat endpoint broke off twice: {exc}") from exc
