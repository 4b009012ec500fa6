"""For tests of the page: a browser's part of it, over real HTTP, without a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from live_daemon import endpoint

from dgemma_lsp.config import Paths


@asynccontextmanager
async def visitor(paths: Paths) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who keeps cookies, and asks the daemon by paths alone."""
    address = f"http://127.0.0.1:{endpoint(paths).port}"
    jar = aiohttp.CookieJar(unsafe=True)  # the host is an address
    async with aiohttp.ClientSession(address, cookie_jar=jar) as session:
        yield session


async def link(session: aiohttp.ClientSession, paths: Paths) -> str:
    """The key of a new link, as `dgemma open` gets it."""
    bearer = {"Authorization": f"Bearer {endpoint(paths).token}"}
    async with session.post("/page/links", headers=bearer) as answer:
        assert answer.status == 200
        told = await answer.json()
    return str(told["link"]).partition("#open=")[2]


async def enter(session: aiohttp.ClientSession, key: str, **headers: str) -> int:
    """Exchange a link's key for a session; return the status of the answer."""
    async with session.post("/page/session", json={"key": key}, headers=headers) as answer:
        return answer.status
