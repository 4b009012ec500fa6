"""For tests of synchronous commands: an asynchronous server that lives in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from queue import SimpleQueue
from typing import TypeVar

Server = TypeVar("Server")


@contextmanager
def in_background(make: Callable[[], AbstractAsyncContextManager[Server]]) -> Iterator[Server]:
    """Hold the server open, in an event loop of its own, while the block runs."""
    started: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event, Server] | Exception]
    started = SimpleQueue()

    async def hold() -> None:
        leave = asyncio.Event()
        try:
            async with make() as server:
                started.put((asyncio.get_running_loop(), leave, server))
                await leave.wait()
        except Exception as exc:
            started.put(exc)

    thread = threading.Thread(target=asyncio.run, args=[hold()])
    thread.start()
    begun = started.get(timeout=60)
    if isinstance(begun, Exception):
        raise begun
    loop, leave, server = begun
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(60)
        assert not thread.is_alive()
