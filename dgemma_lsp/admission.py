"""Who may come in at the loopback port: Host, Origin and token. It knows no route and no message.

The Unix socket needs none of it, as its mode keeps other users out.
"""

import hmac
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import NamedTuple

from aiohttp.web import Request

_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


class Refusal(NamedTuple):
    """Why a request is not let in; `message` is for a person."""

    status: HTTPStatus
    message: str


class Door:
    """Looks at a request before anything else does.

    `public` paths ask for no token: they must tell nothing that is worth one. `visits` tells
    whether a request has a right of another kind to what it asks for.
    """

    def __init__(
        self,
        token: str,
        *,
        origins: Sequence[str],
        public: Collection[str],
        visits: Callable[[Request], bool],
    ) -> None:
        self._token = token.encode()
        self._origins = origins
        self._public = public
        self._visits = visits

    def refusal(self, request: Request) -> Refusal | None:
        """Return None for who may come in: 403 is for a foreign page, 401 for a missing token."""
        if refusal := _foreign_host(request) or self._foreign_page(request):
            return refusal
        if request.path in self._public or self._has_token(request) or self._visits(request):
            return None
        return Refusal(
            HTTPStatus.UNAUTHORIZED,
            "a wrong or missing token: it stands in endpoint.json in the daemon's runtime folder",
        )

    def _foreign_page(self, request: Request) -> Refusal | None:
        """Any web page can open a connection to this machine; a browser tells the page's origin."""
        allowed = {*self._origins, f"http://{request.host}"}
        foreign = [o for o in request.headers.getall("Origin", []) if o not in allowed]
        if not foreign:
            return None
        return Refusal(
            HTTPStatus.FORBIDDEN,
            f"the origin {foreign[0]!r} is not allowed: see daemon.origins in the configuration",
        )

    def _has_token(self, request: Request) -> bool:
        given = [
            header.removeprefix("Bearer ") for header in request.headers.getall("Authorization", [])
        ] + request.query.getall("token", [])
        # Compared as bytes: compare_digest takes no text outside ASCII.
        return any(hmac.compare_digest(g.encode(errors="replace"), self._token) for g in given)


def _foreign_host(request: Request) -> Refusal | None:
    """Refuse a name that is not this machine's: a foreign page can make its own name point here."""
    name, _, port = request.host.rpartition(":")
    if not port.isdecimal():
        name = request.host
    if name.lower() in _LOOPBACK:
        return None
    return Refusal(
        HTTPStatus.FORBIDDEN,
        f"the host {request.host!r} is not this machine's own: connect to 127.0.0.1 or localhost",
    )
