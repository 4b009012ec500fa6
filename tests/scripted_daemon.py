"""A daemon for tests: it speaks the wire over a Unix socket, records what it hears, plays a script.

The script is called with each `Complete`, `Chat`, `Status` and `Stop`, in a task of its own.

Run as a program, `scripted_daemon.py SOCKET TEXT ...`, it answers completions with TEXT until it is
told to stop, and gives way to another one that holds the lock `SOCKET.lock`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from websockets.asyncio.server import Server, ServerConnection, unix_serve

from dgemma_lsp import wire

Send = Callable[[wire.Response], Awaitable[None]]
Script = Callable[[wire.Request, Send], Awaitable[None]]
Message = TypeVar("Message")


class ScriptedDaemon:
    """Use as `async with ScriptedDaemon(paths.socket, script) as daemon`.

    What is inside ends with TimeoutError where it hangs.
    """

    def __init__(self, socket: Path, script: Script, *, patience_s: float = 60) -> None:
        self.socket = socket
        self.script = script
        self.greeting: wire.Response | None = wire.Welcome(
            protocol=wire.PROTOCOL, model="scripted", state="ready"
        )
        self.heard: list[wire.Request] = []
        self.connections: list[ServerConnection] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: Server | None = None
        self._guard = asyncio.timeout(patience_s)

    async def __aenter__(self) -> "ScriptedDaemon":
        await self._guard.__aenter__()
        self.socket.unlink(missing_ok=True)
        self._server = await unix_serve(self._serve, str(self.socket), compression=None)
        return self

    async def __aexit__(self, *exc: Any) -> None:
        try:
            await self._guard.__aexit__(*exc)
        finally:
            await self.go_down()

    async def go_down(self) -> None:
        """Break every connection and stop listening."""
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.socket.unlink(missing_ok=True)

    async def heard_of(self, kind: type[Message], count: int = 1) -> list[Message]:
        """Wait until `count` messages of this kind have come, and return them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._of(kind)) >= count)
            return self._of(kind)

    def _of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)

        async def send(message: wire.Response) -> None:
            await connection.send(wire.encode_binary(message))

        async for frame in connection:
            message = wire.decode_request(frame)
            if isinstance(message, wire.Hello):
                if self.greeting is not None:
                    await send(self.greeting)
            elif not isinstance(message, wire.Cancel):
                task = asyncio.create_task(self.script(message, send))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            async with self._changed:
                self.heard.append(message)
                self._changed.notify_all()


def answering(*texts: str) -> Script:
    """Return a script that answers each completion with these texts, one per candidate."""

    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        for candidate, text in enumerate(texts[: message.candidates]):
            await send(wire.Block(id=message.id, block=0, text=text, steps=3, candidate=candidate))
        await send(
            wire.Done(id=message.id, reason="settled", timings=wire.Timings(steps=3, tokens=5))
        )

    return script


async def silent(message: wire.Request, send: Send) -> None:
    """Answer nothing."""


async def _main(socket: Path, text: str) -> None:
    async with ScriptedDaemon(socket, answering(text)) as daemon:
        await daemon.heard_of(wire.Stop)


if __name__ == "__main__":
    print("started with", *sys.argv[3:], flush=True)
    try:
        with FileLock(f"{sys.argv[1]}.lock").acquire(timeout=0):
            asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
    except Timeout:
        sys.exit("another daemon runs already")
