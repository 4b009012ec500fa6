"""Who may connect to the loopback port: token and Origin, before the WebSocket opens.

It reads no message; the Unix socket needs none of it, as its mode keeps other users out.
"""

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from dgemma_lsp import wire
from dgemma_lsp.errors import Unauthorized


def admit(
    token: str, origins: Sequence[str], connection: ServerConnection, request: Request
) -> Response | None:
    """Let a TCP connection in (None), or refuse it: 403 for a foreign page, 401 without the token.

    Any web page can open a connection to this machine; a browser then tells the page's origin.
    """
    foreign = [o for o in request.headers.get_all("Origin") if o not in origins]
    if foreign:
        return _refusal(
            connection,
            HTTPStatus.FORBIDDEN,
            f"the origin {foreign[0]!r} is not allowed: see daemon.origins in the configuration",
        )
    given = [
        header.removeprefix("Bearer ") for header in request.headers.get_all("Authorization")
    ] + parse_qs(urlsplit(request.path).query).get("token", [])
    # Compared as bytes: compare_digest takes no text outside ASCII.
    if not any(hmac.compare_digest(g.encode(errors="replace"), token.encode()) for g in given):
        return _refusal(
            connection,
            HTTPStatus.UNAUTHORIZED,
            "a wrong or missing token: it stands in endpoint.json in the daemon's runtime folder",
        )
    return None


def _refusal(connection: ServerConnection, status: HTTPStatus, message: str) -> Response:
    body = wire.encode_json(wire.failed("", Unauthorized(message)))
    response = connection.respond(status, body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
