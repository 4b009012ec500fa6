"""In the place of the daemon: one that answers every completion with a given text."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from home import PATIENCE_S, Home
from scripted_daemon import ScriptedDaemon, Send, answering

from dgemma_lsp import wire


@contextmanager
def every_completion_is(text: str, home: Home) -> Iterator[None]:
    """Serve this text at the place where `home` looks for its daemon."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def script(message: wire.Request, send: Send) -> None:
        if isinstance(message, wire.Complete):
            await answering(text)(message, send)

    async def serve() -> None:
        home.paths.runtime.mkdir(mode=0o700, exist_ok=True)
        daemon = ScriptedDaemon(home.paths.socket, script, patience_s=PATIENCE_S)
        daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="nano", state="ready")
        async with daemon:
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
