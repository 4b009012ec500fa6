import pytest
from live_daemon import configured, endpoint, get, paths, serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dgemma_lsp import wire
from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Failed, Hello

__all__ = ["paths"]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("?token=wrong", {}, 401),
        ("?token=", {}, 401),
        ("?token=%C3%A9", {}, 401),
        ("", {"Authorization": "Bearer wrong"}, 401),
        ("?token={token}", {"Origin": "https://example.com"}, 403),
        ("?token={token}", {"Origin": "null"}, 403),
        ("", {"Origin": "http://localhost:3000"}, 401),
    ],
)
async def test_nobody_comes_in_without_the_token_or_from_a_foreign_page(
    paths: Paths, query: str, headers: dict[str, str], status: int
) -> None:
    config = configured(origins=["http://localhost:3000"])
    async with serving(paths, config):
        there = endpoint(paths)
        url = f"ws://127.0.0.1:{there.port}/{query.format(token=there.token)}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        response = refused.value.response
        assert response.status_code == status
        failed = wire.decode_response(bytes(response.body or b"").decode())
        assert isinstance(failed, Failed)
        assert (failed.id, failed.code) == ("", "unauthorized")
        assert response.headers["Content-Type"] == "application/json"


async def test_a_page_of_an_allowed_origin_comes_in_with_the_token(paths: Paths) -> None:
    async with serving(paths, configured(origins=["http://localhost:3000"])):
        there = endpoint(paths)
        url = f"ws://127.0.0.1:{there.port}/?token={there.token}"
        async with connect(url, additional_headers={"Origin": "http://localhost:3000"}) as page:
            await page.send(wire.encode_json(Hello(protocol=wire.PROTOCOL)))
            assert isinstance(wire.decode_response(await page.recv()), wire.Welcome)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost:80", "[::1]:80", "[::1]"])
async def test_a_page_of_the_daemon_itself_comes_in_by_any_name_of_this_machine(
    paths: Paths, name: str
) -> None:
    async with serving(paths):
        told = await get(paths, "/nowhere?token={token}", Host=name, Origin=f"http://{name}")
        assert told[0] == 404


@pytest.mark.parametrize("name", ["rebound.example", "127.0.0.1.example.com:80", "localhost.:80"])
async def test_a_name_that_was_made_to_point_here_does_not_come_in(paths: Paths, name: str) -> None:
    async with serving(paths):
        told = await get(paths, "/nowhere?token={token}", Host=name, Origin=f"http://{name}")
        assert told[0] == 403
