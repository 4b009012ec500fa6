import json
from http import HTTPStatus

import pytest
from aiohttp import web

from dgemma_lsp import http_errors
from dgemma_lsp.errors import BY_CODE, from_code


@pytest.mark.parametrize("code", BY_CODE)
def test_every_error_has_an_answer_in_the_shape_of_openai(code: str) -> None:
    answer = http_errors.of_error(from_code(code, "what is wrong"))
    assert answer.status >= 400
    assert isinstance(answer.body, bytes)
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["message"], error["param"]) == (code, "what is wrong", None)
    assert error["type"].endswith("_error")


@pytest.mark.parametrize(
    ("code", "status"), [("invalid_request", 400), ("busy", 429), ("model_crashed", 503)]
)
def test_an_error_of_the_client_differs_from_one_of_the_model(code: str, status: int) -> None:
    assert http_errors.of_error(from_code(code, "x")).status == status


def test_what_was_superseded_is_not_to_be_asked_again() -> None:
    assert http_errors.of_error(from_code("superseded", "x")).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in http_errors.of_error(from_code("busy", "x")).headers


def test_an_error_of_http_keeps_its_status_and_what_is_allowed() -> None:
    answer = http_errors.of_http(web.HTTPMethodNotAllowed("GET", ["POST"]))
    assert (answer.status, answer.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "POST")
    assert answer.content_type == "application/json"
