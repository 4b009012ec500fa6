import re

import aiohttp
import pytest
from live_daemon import configured, endpoint, paths, serving
from page_visitor import enter, link, visitor

from dgemma_lsp import wire
from dgemma_lsp.config import Paths
from dgemma_lsp.page import COOKIE, FILES, FOLDER, HOME

__all__ = ["paths"]


async def test_a_link_signs_a_page_in_once(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session, visitor(paths) as other:
        key = await link(session, paths)
        assert await enter(session, key) == 204
        assert (await session.get("/page/session")).status == 204
        assert await enter(other, key) == 401
        refused = await other.get("/page/session")
        assert refused.status == 401
        assert "dgemma open" in (await refused.json())["error"]["message"]


async def test_no_script_reads_the_session_and_no_other_site_sends_it(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        body = {"key": await link(session, paths)}
        answer = await session.post("/page/session", json=body)
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/page/"} <= set(cookie.split("; "))
        assert endpoint(paths).token not in cookie


async def test_a_page_with_a_session_talks_over_the_websocket(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        assert await enter(session, await link(session, paths)) == 204
        async with session.ws_connect("/page/socket") as socket:
            await socket.send_str(wire.encode_json(wire.Hello(protocol=wire.PROTOCOL)))
            assert isinstance(wire.decode_response(await socket.receive_str()), wire.Welcome)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/page/socket"),
        ("GET", "/page/modes"),
        ("POST", "/page/write"),
        ("POST", "/page/links"),
        ("GET", "/page/nowhere"),
        ("GET", "/page/../config.py"),
        ("GET", "/page/%2e%2e/config.py"),
        ("GET", "/page/PROTOCOL.md"),
    ],
)
async def test_without_a_session_there_are_only_the_files(
    paths: Paths, method: str, path: str
) -> None:
    async with serving(paths), visitor(paths) as session:
        assert (await session.request(method, path)).status == 401


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/page/links")])
async def test_a_session_opens_what_the_page_needs_and_nothing_else(
    paths: Paths, method: str, path: str
) -> None:
    async with serving(paths), visitor(paths) as session:
        assert await enter(session, await link(session, paths)) == 204
        (cookie,) = session.cookie_jar
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}  # whatever its path says
        assert (await session.request(method, path, headers=headers)).status == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.com"}, {"Origin": "null"}, {"Host": "example.com"}]
)
async def test_a_page_from_elsewhere_can_neither_sign_in_nor_talk(
    paths: Paths, headers: dict[str, str]
) -> None:
    async with serving(paths), visitor(paths) as session:
        assert await enter(session, await link(session, paths), **headers) == 403
        assert await enter(session, await link(session, paths)) == 204
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/page/socket", headers=headers)
        assert refused.value.status == 403


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key": 1}', b"\xff"])
async def test_what_is_no_link_is_refused_in_a_line(paths: Paths, body: bytes) -> None:
    async with serving(paths), visitor(paths) as session:
        answer = await session.post("/page/session", data=body)
        assert answer.status == 400
        assert "\n" not in (await answer.json())["error"]["message"]


async def test_every_file_comes_with_its_type_and_the_policy(paths: Paths) -> None:
    types = {
        "html": "text/html",
        "css": "text/css",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    async with serving(paths), visitor(paths) as session:
        for name in ["", *FILES]:
            answer = await session.get(HOME + name)
            assert answer.status == 200
            assert answer.content_type == types[(name or "index.html").rpartition(".")[2]]
            policy = answer.headers["Content-Security-Policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_no_script_or_style_in_its_markup_and_no_outside_resource() -> None:
    markup = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", markup)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", markup)
    for name in FILES:
        text = (FOLDER / name).read_text()
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text
        assert not re.search(r"import[^;]*[\"']https?:|@import|url\(", text)


async def test_an_open_page_finds_the_next_daemon_and_needs_no_other_link(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        assert await enter(session, await link(session, paths)) == 204
        (cookie,) = session.cookie_jar
        before = endpoint(paths)
    async with serving(paths), visitor(paths) as session:
        assert endpoint(paths).port == before.port
        assert endpoint(paths).token != before.token
        session.cookie_jar.update_cookies({COOKIE: cookie.value})
        assert (await session.get("/page/session")).status == 204


async def test_a_port_that_is_taken_meanwhile_is_given_up(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        assert await enter(session, await link(session, paths)) == 204
        taken = endpoint(paths).port
        other = paths.runtime.parent / "other"
        other.mkdir(mode=0o700)
        (other / "page.json").write_bytes((paths.runtime / "page.json").read_bytes())
        there = Paths(config_file=paths.config_file, runtime=other, state=other / "state")
        async with serving(there, configured()):
            assert endpoint(there).port != taken
