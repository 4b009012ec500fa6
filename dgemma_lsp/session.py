"""One connection: its frames in, decoded and handed on; what waits for the client out.

It takes no decision about the model and keeps no request: both are the dispatcher's, and of kept
conversations `conversations`'.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, assert_never

import msgspec
from aiohttp.web import Request as HttpRequest
from aiohttp.web import WebSocketResponse, WSMsgType
from msgspec import Struct

from dgemma_lsp import wire
from dgemma_lsp.conversations import ConversationHub
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DgemmaError, InvalidRequest, TooLarge, UnsupportedProtocol
from dgemma_lsp.outbox import Outbox
from dgemma_lsp.wire import (
    Cancel,
    Chat,
    Complete,
    Done,
    Generate,
    Hello,
    Request,
    Response,
    Rewrite,
    Score,
    Status,
    Stop,
    Welcome,
    failed,
)

HELLO_S = 10.0
SEND_S = 30.0  # a client that takes nothing for so long is disconnected

_log = logging.getLogger(__name__)


class _WithId(Struct):
    """What can be read of a message that is wrong otherwise."""

    id: str = ""


class Process(Protocol):
    """What a session needs of the daemon's process, which it must not import."""

    port: int

    def stop(self, why: str) -> None:
        """Begin to go down."""


class Session:
    """A connection from its first frame to its end.

    `socket` is open, after `upgraded`. `encode` is wire.encode_binary or wire.encode_json and tells
    which frames it takes.
    """

    def __init__(
        self,
        number: int,
        socket: WebSocketResponse,
        upgraded: HttpRequest,
        *,
        encode: Callable[[Response], str | bytes],
        dispatcher: Dispatcher,
        conversations: ConversationHub,
        process: Process,
    ) -> None:
        self._number = number
        self._socket = socket
        self._upgraded = upgraded
        self._frame_type = bytes if encode is wire.encode_binary else str
        self._outbox = Outbox(encode)
        self._dispatcher = dispatcher
        self._conversations = conversations
        self._process = process
        self._wake = asyncio.Event()
        self._finished = False

    async def run(self) -> None:
        """Serve the client until it leaves or the session is finished."""
        writer = asyncio.create_task(self._write())
        try:
            if await self._greet():
                while (frame := await self._receive()) is not None:
                    self._take(frame)
        finally:
            self._dispatcher.disconnected(self._number)
            self._conversations.disconnected(self._number)
            self.finish()
            await writer

    def finish(self) -> None:
        """Take no more messages; the connection is closed after those that wait."""
        self._finished = True
        self._wake.set()

    def abort(self) -> None:
        """Close the connection at once."""
        self._finished = True
        if self._upgraded.transport is not None:  # it is closed already
            self._upgraded.transport.abort()

    # From the client

    async def _receive(self) -> str | bytes | None:
        """Return the next frame, None after the last."""
        message = await self._socket.receive()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                frame: str | bytes = message.data
                return frame
            case WSMsgType.ERROR:
                _log.info("session %d: the connection broke: %s", self._number, message.data)
        return None

    async def _greet(self) -> bool:
        try:
            async with asyncio.timeout(HELLO_S):
                frame = await self._receive()
            if frame is None:
                return False
            hello = self._decode(frame)
            if not isinstance(hello, Hello):
                raise InvalidRequest("the first message of a connection must be hello")
            if hello.protocol != wire.PROTOCOL:
                raise UnsupportedProtocol(
                    f"this daemon speaks protocol {wire.PROTOCOL}, the client {hello.protocol}: "
                    "run `dgemma stop` after an update, and update the older of the two"
                )
        except TimeoutError:
            self._send(failed("", InvalidRequest(f"no hello came within {HELLO_S:.0f} s")))
            return False
        except DgemmaError as exc:
            self._send(failed("", exc))
            return False
        _log.info("session %d: hello from %r", self._number, hello.client)
        model, state = self._dispatcher.model_name, self._dispatcher.model_state
        self._send(Welcome(protocol=wire.PROTOCOL, model=model, state=state))
        return True

    def _decode(self, frame: str | bytes) -> Request:
        """Read a frame; raises TooLarge or InvalidRequest."""
        size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
        if size > wire.MAX_FRAME_BYTES:
            raise TooLarge(f"a message of {size} bytes: the limit is {wire.MAX_FRAME_BYTES}")
        if not isinstance(frame, self._frame_type):
            wanted = "binary (msgpack)" if self._frame_type is bytes else "text (JSON)"
            got = "text" if isinstance(frame, str) else "binary"
            raise InvalidRequest(f"this connection takes {wanted} frames; this one is {got}")
        try:
            return wire.decode_request(frame)
        except RecursionError as exc:
            raise InvalidRequest("cannot read this message: it is nested too deeply") from exc

    def _take(self, frame: str | bytes) -> None:
        """Handle one frame; a wrong one is refused and the connection goes on."""
        try:
            self._handle(self._decode(frame))
        except DgemmaError as exc:
            self._refuse(frame, exc)

    def _handle(self, message: Request) -> None:
        if not isinstance(message, Hello | Cancel) and self._in_flight(message.id):
            raise InvalidRequest(f"the id {message.id!r} is in flight already: choose another")
        if isinstance(message, wire.ChatRequest):
            self._conversations.take(self._number, message, self._send)
            return
        match message:
            case Complete() | Chat() | Generate() | Rewrite() | Score():
                self._dispatcher.submit(self._number, message, self._send)
            case Cancel(id=id):
                self._dispatcher.cancel(self._number, id)
                self._conversations.cancel(self._number, id)
            case Status(id=id):
                self._send(self._dispatcher.report(id, port=self._process.port))
                self._send(Done(id=id, reason="reported"))
            case Stop(id=id):
                self._send(Done(id=id, reason="stopping"))
                self._process.stop(f"session {self._number} asked for it")
            case Hello():
                raise InvalidRequest("hello came twice")
            case _:
                assert_never(message)

    def _in_flight(self, id: str) -> bool:
        return self._dispatcher.find(self._number, id) is not None or self._conversations.holds(
            self._number, id
        )

    def _refuse(self, frame: str | bytes, error: DgemmaError) -> None:
        """Answer a frame that is taken no further.

        The answer carries the frame's id, unless it would seem to end another request.
        """
        decoder = msgspec.json if isinstance(frame, str) else msgspec.msgpack
        try:
            id = decoder.decode(frame, type=_WithId).id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            id = ""
        _log.info("session %d: a frame was refused: %s", self._number, error.code)
        self._send(failed("" if self._in_flight(id) else id, error))

    # To the client

    def _send(self, message: Response) -> None:
        """Queue a message; a client that lags too far is disconnected."""
        if self._finished:
            return
        self._outbox.put(message)
        if self._outbox.full:
            _log.warning("session %d: the client does not read: disconnected", self._number)
            self.abort()
        self._wake.set()

    async def _write(self) -> None:
        """Send what is queued, until the session is finished or the connection is gone."""
        try:
            while len(self._outbox) or not self._finished:
                if not len(self._outbox):
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                async with asyncio.timeout(SEND_S):
                    await self._put_through(self._outbox.take())
            async with asyncio.timeout(SEND_S):
                await self._socket.close()
        except TimeoutError:
            _log.warning("session %d: nothing was read for %.0f s", self._number, SEND_S)
            self.abort()
        except ConnectionError:
            self._finished = True

    async def _put_through(self, frame: str | bytes) -> None:
        """Send a frame; returns when the client has read most of what was sent."""
        if isinstance(frame, str):
            await self._socket.send_str(frame)
        else:
            await self._socket.send_bytes(frame)
