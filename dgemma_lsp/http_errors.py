"""Errors as HTTP clients read them: status and body, in the shape that OpenAI's servers have.

llama.cpp's server has the same shape, so its clients read it too. No route stands here.
"""

from http import HTTPStatus

import msgspec
from aiohttp import web

from dgemma_lsp.errors import DgemmaError

_STATUS = {
    "invalid_request": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "busy": HTTPStatus.TOO_MANY_REQUESTS,
    "superseded": HTTPStatus.CONFLICT,
    "model_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "model_crashed": HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping": HTTPStatus.SERVICE_UNAVAILABLE,
}

# Asked again, each of these would come again, or take the place of what came instead.
_NOT_AGAIN = {"superseded", "model_unavailable"}

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


def of_error(error: DgemmaError) -> web.Response:
    """Return the answer to a request that ended in an error."""
    status = _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    answer = refusal(status, error.code, str(error))
    if error.code in _NOT_AGAIN:
        answer.headers["x-should-retry"] = "false"
    return answer


def of_http(error: web.HTTPError) -> web.Response:
    """Return the answer to a request that no handler took, or none whole."""
    status = HTTPStatus(error.status)
    answer = refusal(status, status.name.lower(), error.text or status.phrase)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def refusal(status: HTTPStatus, code: str, message: str) -> web.Response:
    """Return an answer that tells an error."""
    return as_json(body(status, code, message), status)


def as_json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    """Return an answer in JSON, without a blank: llama.vim looks for `"content":` in it."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


def body(status: HTTPStatus, code: str, message: str) -> dict[str, object]:
    """Return what the answer says; in a stream that has begun it is all that can be said."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    kind = _TYPES.get(status, kind)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
