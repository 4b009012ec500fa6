"""The application behind the loopback port: one port for HTTP and for the WebSocket.

To add routes, write a module with a function that returns aiohttp's route definitions (`web.get`,
`web.post`, `web.static` ...) and name it in `application`. A handler may raise any DgemmaError:
`_tell_errors` makes the answer of it. It comes after `_keep_out`, so that no handler sees a request
without the token, but for the paths in PUBLIC and those of the page.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dgemma_lsp import http_errors, page, wire
from dgemma_lsp.admission import Door
from dgemma_lsp.config import Completion
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DgemmaError, Unauthorized
from dgemma_lsp.infill_api import InfillApi
from dgemma_lsp.openai_api import OpenAiApi

PUBLIC = {"/health", *page.PUBLIC}

Talk = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(
    door: Door, talk: Talk, dispatcher: Dispatcher, options: Completion, shown: page.Page
) -> web.Application:
    """Return what serves the port; `talk` serves a WebSocket from its opening to its end."""
    app = web.Application(
        middlewares=[_keep_out(door), _tell_errors], client_max_size=wire.MAX_FRAME_BYTES
    )
    app.add_routes([web.get("/", _only_upgraded(talk)), web.get("/health", _health(dispatcher))])
    app.add_routes(OpenAiApi(dispatcher).routes())
    app.add_routes(InfillApi(dispatcher, options).routes())
    app.add_routes(shown.routes())
    return app


def _keep_out(door: Door) -> Middleware:
    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (refusal := door.refusal(request)) is None:
            return await handler(request)
        error = Unauthorized(refusal.message)
        answer = http_errors.refusal(refusal.status, error.code, refusal.message)
        if _is_upgrade(request):  # a client of the WebSocket reads what `wire` says
            answer.body = wire.encode_json(wire.failed("", error)).encode()
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    return keep_out


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except DgemmaError as exc:
        return http_errors.of_error(exc)
    except web.HTTPError as exc:
        return http_errors.of_http(exc)


def _only_upgraded(talk: Talk) -> Handler:
    async def root(request: web.Request) -> web.StreamResponse:
        if not _is_upgrade(request):
            raise web.HTTPUpgradeRequired(text="a WebSocket opens here: see web/CLIENTS.md")
        return await talk(request)

    return root


def _is_upgrade(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _health(dispatcher: Dispatcher) -> Handler:
    async def health(request: web.Request) -> web.Response:
        """Tell whether the model is ready, and nothing that is worth a token."""
        state = dispatcher.model_state
        if state in ("ready", "asleep"):
            return http_errors.as_json({"status": "ok"})
        return http_errors.refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, state, f"the model is not ready: {state}"
        )

    return health
