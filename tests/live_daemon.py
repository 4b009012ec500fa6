"""For tests of the daemon: the real one over the scripted model process, and clients for it."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import fake_model_process
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect, unix_connect

from dgemma_lsp import config as configuration
from dgemma_lsp import daemon, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.runtime import Endpoint
from dgemma_lsp.wire import (
    Block,
    Chat,
    Complete,
    Done,
    Failed,
    Generate,
    Hello,
    Part,
    Report,
    Rewrite,
    Turn,
)


@pytest.fixture
def paths() -> Iterator[Paths]:
    # A Unix socket's path is 107 bytes at most, which pytest's own folders may exceed.
    folder = Path(tempfile.mkdtemp(prefix="dgemma-", dir="/tmp"))
    yield Paths(config_file=folder / "config.toml", runtime=folder / "run", state=folder / "state")
    shutil.rmtree(folder)


def configured(model: str = "fake", **options: Any) -> Config:
    return Config(model=configuration.Model(name=model), daemon=configuration.Daemon(**options))


@asynccontextmanager
async def serving(paths: Paths, config: Config | None = None) -> AsyncIterator[daemon.Daemon]:
    """The daemon; what is inside ends with TimeoutError where it hangs."""
    async with (
        asyncio.timeout(60),
        daemon.serving(
            config or configured(), paths, model_command=fake_model_process.COMMAND
        ) as running,
    ):
        yield running


class Client:
    """A client that speaks the wire and keeps apart what answers which request."""

    def __init__(self, connection: ClientConnection, encode: Callable[..., str | bytes]) -> None:
        self.connection = connection
        self.encode = encode

    async def send(self, *messages: wire.Request) -> None:
        for message in messages:
            await self.connection.send(self.encode(message))

    async def receive(self) -> wire.Response:
        return wire.decode_response(await self.connection.recv())

    async def until_end(self, *ids: str) -> dict[str, list[wire.Response]]:
        """Receive until each of the ids has its Done or Failed."""
        answers: dict[str, list[wire.Response]] = {id: [] for id in ids}
        open_ids = set(ids)
        while open_ids:
            message = await self.receive()
            answers.setdefault(message.id, []).append(message)
            if isinstance(message, Done | Failed):
                open_ids.discard(message.id)
        return answers

    async def ask(self, message: wire.Request) -> list[wire.Response]:
        await self.send(message)
        return (await self.until_end(message.id))[message.id]

    async def report(self) -> Report:
        report, done = await self.ask(wire.Status(id="status"))
        assert done == Done(id="status", reason="reported")
        assert isinstance(report, Report)
        return report

    async def report_when(self, wanted: Callable[[Report], bool]) -> Report:
        while not wanted(report := await self.report()):
            pass
        return report


@asynccontextmanager
async def on_socket(paths: Paths) -> AsyncIterator[Client]:
    async with unix_connect(
        str(paths.socket), compression=None, max_size=wire.MAX_FRAME_BYTES
    ) as connection:
        client = Client(connection, wire.encode_binary)
        await client.send(Hello(protocol=wire.PROTOCOL, client="test"))
        assert isinstance(await client.receive(), wire.Welcome)
        yield client


def endpoint(paths: Paths) -> Endpoint:
    return msgspec.json.decode(paths.endpoint.read_bytes(), type=Endpoint)


@asynccontextmanager
async def on_loopback(paths: Paths) -> AsyncIterator[Client]:
    there = endpoint(paths)
    header = {"Authorization": f"Bearer {there.token}"}
    url = f"ws://127.0.0.1:{there.port}/"
    async with connect(
        url, additional_headers=header, compression=None, max_size=wire.MAX_FRAME_BYTES
    ) as connection:
        client = Client(connection, wire.encode_json)
        await client.send(Hello(protocol=wire.PROTOCOL, client="test"))
        assert isinstance(await client.receive(), wire.Welcome)
        yield client


async def get(paths: Paths, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    """The status, the headers and the JSON of an answer; "{token}" becomes the token."""

    def ask() -> tuple[int, dict[str, str], Any]:
        there = endpoint(paths)
        connection = HTTPConnection("127.0.0.1", there.port)
        named = {name: value.format(token=there.token) for name, value in headers.items()}
        connection.request("GET", path.format(token=there.token), headers=named)
        answer = connection.getresponse()
        told = answer.status, dict(answer.headers), json.loads(answer.read())
        connection.close()
        return told

    return await asyncio.to_thread(ask)


NUMBERS = count()
TRANSPORTS = [on_socket, on_loopback]


def complete(id: str, script: str, document: str = "", **options: Any) -> Complete:
    options = {"version": 1, **options}
    return Complete(id=id, document=document or f"{next(NUMBERS)}", prefix=script, **options)


def chat(id: str, script: str, **options: Any) -> Chat:
    return Chat(id=id, messages=[Turn(role="user", content=script)], **options)


def generate(id: str, script: str, **options: Any) -> Generate:
    return Generate(id=id, prompt=script, **options)


def rewrite(id: str, script: str, **options: Any) -> Rewrite:
    return Rewrite(id=id, instruction="Shorten.", parts=[Part(script)], **options)


def texts(answers: list[wire.Response]) -> list[str]:
    return [answer.text for answer in answers if isinstance(answer, Block)]


def end(answers: list[wire.Response]) -> str:
    """The reason of a request's Done, or the code of its Failed."""
    last = answers[-1]
    assert isinstance(last, Done | Failed)
    return last.reason if isinstance(last, Done) else last.code


async def idle(client: Client) -> Report:
    return await client.report_when(lambda report: report.running + report.queued == 0)
