"""The page's routes: its files, the exchange of a one-time link for a session, its WebSocket.

What the page says over the WebSocket is web/PROTOCOL.md; its writing desk is `desk`. The files are
public, as they tell nothing; all else asks for the session, but new links, for the bearer token.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec import Struct

from dgemma_lsp import http_errors
from dgemma_lsp.desk import Desk
from dgemma_lsp.errors import InvalidRequest, Unauthorized
from dgemma_lsp.page_keys import LINK_S, PageKeys

FOLDER = Path(__file__).parent / "web"
# What a system calls these is not to be relied on, and a browser runs no script under another name.
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FILES = sorted(file.name for kind in _TYPES for file in FOLDER.glob(f"*.{kind}"))
HOME = "/page/"
_SESSION = f"{HOME}session"
# Asked for without a token; the session's own path is where one is got.
PUBLIC = {HOME, _SESSION, *(HOME + name for name in FILES)}
COOKIE = "dgemma_page"

_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Link(Struct, frozen=True):
    """What a page sends that was opened by a link."""

    key: str


class Page:
    """Serves the page; `talk` serves a WebSocket from its opening to its end."""

    def __init__(
        self,
        keys: PageKeys,
        talk: Callable[[web.Request], Awaitable[web.StreamResponse]],
        desk: Desk,
    ) -> None:
        self._keys, self._talk, self._desk = keys, talk, desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the application of the loopback port."""
        return [
            web.get(HOME, self._file),
            *(web.get(HOME + name, self._file) for name in FILES),
            web.post(f"{HOME}links", self._new_link),
            web.post(_SESSION, self._enter),
            web.get(_SESSION, self._is_known),
            web.get(f"{HOME}socket", self._talk),
            web.get(f"{HOME}modes", self._desk.modes),
            web.post(f"{HOME}write", self._desk.write),
        ]

    def visits(self, request: web.Request) -> bool:
        """Tell whether a request comes from a page with a session, and asks for a page's thing."""
        own = {f"{HOME}socket", f"{HOME}modes", f"{HOME}write"}
        return request.path in own and self._has_session(request)

    def _has_session(self, request: web.Request) -> bool:
        return self._keys.knows(request.cookies.get(COOKIE, ""))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix(HOME) or "index.html"
        own = {
            "Content-Type": _TYPES[name.rpartition(".")[2]],
            "Content-Security-Policy": _policy(request),
        }
        return web.FileResponse(FOLDER / name, headers=_HEADERS | own)

    async def _new_link(self, request: web.Request) -> web.StreamResponse:
        # In the fragment, which no browser sends and no server logs.
        address = f"http://{request.host}{HOME}#open={self._keys.new_link()}"
        return http_errors.as_json({"link": address, "seconds": LINK_S})

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        try:
            link = msgspec.json.decode(await request.read(), type=_Link)
        except msgspec.DecodeError as exc:
            raise InvalidRequest(f"cannot read this link: {exc}") from exc
        session = self._keys.enter(link.key)
        if session is None:
            raise Unauthorized(
                f"this link was used already or is older than {LINK_S:.0f} s: "
                "run `dgemma open` for a new one"
            )
        answer = web.Response(status=204)
        answer.set_cookie(COOKIE, session, path=HOME, httponly=True, samesite="Strict")
        return answer

    async def _is_known(self, request: web.Request) -> web.StreamResponse:
        """Tell a page why its WebSocket does not open, which a browser hides from it."""
        if not self._has_session(request):
            raise Unauthorized("this page was not opened by a link: run `dgemma open`")
        return web.Response(status=204)


def _policy(request: web.Request) -> str:
    """Return what the page may load and run: its own files, and no text as code."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            # Not every browser takes 'self' for a WebSocket too.
            f"connect-src 'self' ws://{request.host}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )
