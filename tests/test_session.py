import json
from typing import Any

import msgspec
import pytest
from live_daemon import (
    TRANSPORTS,
    chat,
    complete,
    end,
    endpoint,
    idle,
    on_loopback,
    on_socket,
    paths,
    serving,
)
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed

from dgemma_lsp import session, wire
from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Done, Failed, Hello

__all__ = ["paths"]


BAD_FRAMES = [
    ("{", "", "invalid_request"),
    ("", "", "invalid_request"),
    ("[]", "", "invalid_request"),
    ('{"type": "fly", "id": "7"}', "7", "invalid_request"),
    ('{"type": "complete", "id": "7"}', "7", "invalid_request"),
    ('{"type": "complete", "id": 7}', "", "invalid_request"),
    ('{"type": "status", "id": ""}', "", "invalid_request"),
    ('{"type": "hello", "protocol": 1}', "", "invalid_request"),
    ('{"type": "welcome", "protocol": 1, "model": "x", "state": "ready"}', "", "invalid_request"),
    ('{"type": "chat", "id": "7", "messages": []}', "7", "invalid_request"),
    (
        '{"type": "chat", "id": "7", "messages": [{"role": "user", "content": " "}]}',
        "7",
        "invalid_request",
    ),
    ('{"type": "generate", "id": "7", "prompt": ""}', "7", "invalid_request"),
    ('{"type": "status", "id": "7", "x": ' + "[" * 100_000, "", "invalid_request"),
    (
        json.dumps(
            {
                "type": "complete",
                "id": "7",
                "document": "d",
                "version": 1,
                "prefix": "x" * wire.MAX_FRAME_BYTES,
            }
        ),
        "7",
        "too_large",
    ),
]


def as_msgpack(frame: str) -> bytes:
    try:
        return msgspec.msgpack.encode(msgspec.json.decode(frame))
    except (msgspec.DecodeError, RecursionError):
        return b"\x92" * 100_000 if len(frame) > 1000 else b"\xc1"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("frame", "id", "code"), BAD_FRAMES, ids=[frame[:40] for frame, *_ in BAD_FRAMES]
)
async def test_a_wrong_frame_is_refused_by_type_and_the_connection_goes_on(
    paths: Paths, transport: Any, frame: str, id: str, code: str
) -> None:
    async with serving(paths), transport(paths) as client:
        await client.connection.send(as_msgpack(frame) if transport is on_socket else frame)
        failed = await client.receive()
        assert isinstance(failed, Failed)
        assert (failed.id, failed.code) == (id, code)
        assert "\n" not in failed.message
        assert end(await client.ask(complete("8", "/echo x"))) == "eos"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_frame_of_the_other_kind_is_refused_and_the_connection_goes_on(
    paths: Paths, transport: Any
) -> None:
    other = wire.encode_json if transport is on_socket else wire.encode_binary
    async with serving(paths), transport(paths) as client:
        await client.connection.send(other(complete("1", "/echo x")))
        failed = await client.receive()
        assert isinstance(failed, Failed)
        assert (failed.id, failed.code) == ("1", "invalid_request")
        assert end(await client.ask(complete("1", "/echo x"))) == "eos"


@pytest.mark.parametrize(
    "frame",
    [
        wire.encode_json(complete("1", "/echo other")),
        wire.encode_json(wire.Status(id="1")),
        wire.encode_json(wire.Stop(id="1")),
        '{"type": "complete", "id": "1"}',
    ],
)
async def test_a_frame_with_an_id_in_flight_is_refused_without_harm_to_the_first(
    paths: Paths, frame: str
) -> None:
    async with serving(paths), on_loopback(paths) as client:
        await client.send(complete("1", "/hang"))
        await client.connection.send(frame)
        failed = await client.receive()
        assert isinstance(failed, Failed)
        # With the id it would read as the end of the first request.
        assert (failed.id, failed.code) == ("", "invalid_request")
        await client.send(chat("2", "/free"))
        answers = await client.until_end("1", "2")
    assert answers["1"] == [Done(id="1", reason="eos", timings=answers["1"][0].timings)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (wire.encode_json(Hello(protocol=wire.PROTOCOL + 1)), "protocol"),
        (wire.encode_json(complete("1", "/echo x")), "invalid_request"),
        ("hello", "invalid_request"),
    ],
)
async def test_a_connection_that_does_not_begin_with_hello_is_refused_and_closed(
    paths: Paths, frame: str, code: str
) -> None:
    async with serving(paths):
        there = endpoint(paths)
        url = f"ws://127.0.0.1:{there.port}/?token={there.token}"
        async with connect(url) as connection:
            await connection.send(frame)
            failed = wire.decode_response(await connection.recv())
            assert isinstance(failed, Failed)
            assert (failed.id, failed.code) == ("", code)
            await connection.wait_closed()


async def test_a_connection_that_says_nothing_is_told_and_closed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HELLO_S", 0.05)
    async with serving(paths), unix_connect(str(paths.socket)) as connection:
        failed = wire.decode_response(await connection.recv())
        assert isinstance(failed, Failed)
        assert failed.id == ""
        await connection.wait_closed()


async def test_a_client_that_reads_nothing_is_disconnected_and_the_others_are_served(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SEND_S", 0.2)
    async with serving(paths), on_socket(paths) as client, on_socket(paths) as deaf:
        deaf.connection.transport.pause_reading()
        script = "/echo " + "x" * 1_000_000
        await deaf.send(*[complete(str(n), script) for n in range(8)])
        await deaf.send(chat("hang", "/hang"))
        await idle(client)  # its requests were given up with it
        assert end(await client.ask(complete("1", "/echo x"))) == "eos"
        deaf.connection.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await deaf.receive()
