import pytest
from live_daemon import configured, get, on_loopback, paths, serving

from dgemma_lsp.config import Paths

__all__ = ["paths"]


async def test_one_port_serves_http_and_the_websocket(paths: Paths) -> None:
    async with serving(paths), on_loopback(paths) as client:
        await client.report_when(lambda report: report.state == "ready")
        assert (await get(paths, "/health"))[::2] == (200, {"status": "ok"})


async def test_health_tells_a_model_that_is_not_ready(paths: Paths) -> None:
    async with serving(paths, configured("fake-unusable")), on_loopback(paths) as client:
        await client.report_when(lambda report: report.state == "failed")
        status, _, body = await get(paths, "/health")
        assert (status, body["error"]["code"]) == (503, "failed")
        # It is told without a token: not which model, nor why, nor where it lies.
        assert body["error"]["message"] == "the model is not ready: failed"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/", {}, 401, "unauthorized"),
        ("/nowhere", {}, 401, "unauthorized"),
        ("/nowhere", {"Authorization": "Bearer {token}"}, 404, "not_found"),
        ("/", {"Authorization": "Bearer {token}"}, 426, "upgrade_required"),
        ("/health", {"Origin": "https://example.com"}, 403, "unauthorized"),
        ("/health", {"Host": "example.com"}, 403, "unauthorized"),
    ],
)
async def test_what_is_not_served_is_told_in_the_shape_of_openai(
    paths: Paths, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with serving(paths):
        answer, told, body = await get(paths, path, **headers)
        assert (answer, body["error"]["code"]) == (status, code)
        assert "\n" not in body["error"]["message"]
        assert told.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
