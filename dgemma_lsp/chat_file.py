"""The one thread that conversations are read and written in, so that no disk stops the event loop.

The file is opened when it is first needed: who only completes code never needs it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from dgemma_lsp.chat_store import ConversationStore

P = ParamSpec("P")
T = TypeVar("T")


class ConversationFile:
    """The store at `path`, for code in an event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: ConversationStore | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="conversations")

    async def do(
        self,
        method: Callable[Concatenate[ConversationStore, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a method of ConversationStore; raises as it does."""
        return await self.work(lambda: method(self._opened(), *args, **kwargs))

    async def work(self, function: Callable[[], T]) -> T:
        """Call something else that takes long."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def close(self) -> None:
        """Let go of the file and of the thread."""
        if self._store is not None:
            await self.work(self._store.close)
        self._thread.shutdown(wait=False)

    def _opened(self) -> ConversationStore:
        if self._store is None:
            self._store = ConversationStore(self._path)
        return self._store
