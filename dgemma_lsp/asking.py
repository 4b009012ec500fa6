"""What one HTTP request asks of the model: its body in, jobs out, answers as they come.

A client that goes away, by whatever way, takes its jobs back. The shapes of bodies are for the
modules of the routes.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from aiohttp import web

from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import InvalidRequest, from_code
from dgemma_lsp.wire import Block, Done, Failed, Job, Response

T = TypeVar("T")


async def read(request: web.Request, kind: type[T]) -> T:
    """Return the body; raises InvalidRequest, naming the field that is wrong."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"cannot read the body: {exc}") from exc
    except RecursionError as exc:
        raise InvalidRequest("cannot read the body: it is nested too deeply") from exc


@asynccontextmanager
async def asking(
    dispatcher: Dispatcher, jobs: Sequence[Job]
) -> AsyncIterator[AsyncIterator[Block | Done]]:
    """Ask all jobs at once; what has not ended when the block is left is cancelled.

    The iterator raises the error of the first job that fails.
    """
    session = dispatcher.new_session()
    said: asyncio.Queue[Response] = asyncio.Queue()
    try:
        for job in jobs:
            dispatcher.submit(session, job, said.put_nowait)
        yield _until_ended(said, len(jobs))
    finally:
        dispatcher.disconnected(session)


async def _until_ended(said: asyncio.Queue[Response], jobs: int) -> AsyncIterator[Block | Done]:
    while jobs:
        match await said.get():
            case Failed(code=code, message=message):
                raise from_code(code, message)
            case Done() as done:
                jobs -= 1
                yield done
            case Block() as block:
                yield block
