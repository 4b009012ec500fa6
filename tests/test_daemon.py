import asyncio
import json
import os
import random
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dgemma_lsp import config as configuration
from dgemma_lsp import daemon, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import UserError
from dgemma_lsp.runtime import Endpoint
from dgemma_lsp.wire import Block, Cancel, Chat, Complete, Done, Draft, Failed, Hello, Report, Turn

FAKE = [sys.executable, str(Path(__file__).parent / "fake_model_process.py")]

pytestmark = pytest.mark.usefixtures("no_hanging")


@pytest.fixture
async def no_hanging() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield


@pytest.fixture
def paths() -> Iterator[Paths]:
    # A Unix socket's path is 107 bytes at most, which pytest's own folders may exceed.
    folder = Path(tempfile.mkdtemp(prefix="dgemma-", dir="/tmp"))
    yield Paths(config_file=folder / "config.toml", runtime=folder / "run", state=folder / "state")
    shutil.rmtree(folder)


def configured(model: str = "fake", **options: Any) -> Config:
    return Config(model=configuration.Model(name=model), daemon=configuration.Daemon(**options))


def serving(paths: Paths, config: Config | None = None) -> Any:
    return daemon.serving(config or configured(), paths, model_command=FAKE)


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
    async with unix_connect(str(paths.socket), compression=None) as connection:
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
    async with connect(url, additional_headers=header, compression=None) as connection:
        client = Client(connection, wire.encode_json)
        await client.send(Hello(protocol=wire.PROTOCOL, client="test"))
        assert isinstance(await client.receive(), wire.Welcome)
        yield client


NUMBERS = count()
TRANSPORTS = [on_socket, on_loopback]


def complete(id: str, script: str, document: str = "", **options: Any) -> Complete:
    options = {"version": 1, **options}
    return Complete(id=id, document=document or f"{next(NUMBERS)}", prefix=script, **options)


def chat(id: str, script: str, **options: Any) -> Chat:
    return Chat(id=id, messages=[Turn(role="user", content=script)], **options)


def texts(answers: list[wire.Response]) -> list[str]:
    return [answer.text for answer in answers if isinstance(answer, Block)]


def end(answers: list[wire.Response]) -> str:
    """The reason of a request's Done, or the code of its Failed."""
    last = answers[-1]
    assert isinstance(last, Done | Failed)
    return last.reason if isinstance(last, Done) else last.code


async def idle(client: Client) -> Report:
    return await client.report_when(lambda report: report.running + report.queued == 0)


# Answers


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("request_", [complete("1", "/echo héllo"), chat("1", "/echo héllo")])
async def test_a_request_is_answered_on_both_listeners(
    paths: Paths, transport: Any, request_: wire.Job
) -> None:
    async with serving(paths), transport(paths) as client:
        answers = await client.ask(request_)
    assert texts(answers) == ["héllo"]
    assert end(answers) == "eos"


async def test_done_carries_the_times_of_the_daemon_and_the_counts_of_the_model(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        *_, done = await client.ask(complete("1", "/echo x"))
    assert isinstance(done, Done)
    assert 0 <= done.timings.queue_ms <= done.timings.total_ms
    assert done.timings.total_ms > 0
    assert (done.timings.tokens, done.timings.steps) == (5, 2)


@pytest.mark.parametrize("wanted", [True, False])
async def test_drafts_reach_the_client_that_asked_for_them_and_no_other(
    paths: Paths, wanted: bool
) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(
            complete("1", "/drafts 3\n/echo x", drafts=wanted, deadline_ms=60_000)
        )
    drafts = [answer.step for answer in answers if isinstance(answer, Draft)]
    assert drafts == ([1, 2, 3] if wanted else [])


async def test_requests_sent_while_the_model_loads_are_answered_when_it_is_ready(
    paths: Paths,
) -> None:
    fifo = paths.runtime.parent / "fifo"
    os.mkfifo(fifo)
    async with serving(paths, configured(f"fake-waits:{fifo}")), on_socket(paths) as client:
        await client.send(complete("1", "/echo x"), chat("2", "/echo y"))
        report = await client.report()
        assert (report.state, report.queued, report.running) == ("loading", 2, 0)
        await asyncio.to_thread(fifo.write_bytes, b"go")
        answers = await client.until_end("1", "2")
    assert (texts(answers["1"]), texts(answers["2"])) == (["x"], ["y"])


async def test_two_connections_with_the_same_ids_are_answered_each_for_itself(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as one, on_loopback(paths) as other:
        await one.send(complete("1", "/hang"), complete("2", "/echo one"))
        await one.report_when(lambda report: report.queued == 1)
        await other.send(complete("1", "/echo other"), chat("2", "/free"))
        assert texts((await other.until_end("1", "2"))["1"]) == ["other"]
        answers = await one.until_end("1", "2")
    assert (end(answers["1"]), texts(answers["2"])) == ("eos", ["one"])


async def test_a_chat_is_answered_while_a_completion_runs_and_the_other_way_round(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        assert end(await client.ask(chat("2", "/echo x"))) == "eos"
        await client.send(chat("3", "/hang"), Cancel(id="1"))
        assert end((await client.until_end("1"))["1"]) == "cancelled"
        assert end(await client.ask(complete("4", "/echo x"))) == "eos"


# Newest wins, cancel, deadline


async def test_the_newest_completion_of_a_document_wins(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang", "file.py", version=1))
        await client.send(complete("2", "/hang", "file.py", version=2))
        await client.send(complete("3", "/echo newest", "file.py", version=3))
        answers = await client.until_end("1", "2", "3")
    assert [end(answers[id]) for id in "123"] == ["superseded", "superseded", "eos"]
    assert texts(answers["3"]) == ["newest"]


async def test_a_cancelled_request_ends_and_its_id_may_be_used_again_at_once(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"), Cancel(id="1"))
        assert end((await client.until_end("1"))["1"]) == "cancelled"
        answers = await client.ask(complete("1", "/echo again"))
        assert texts(answers) == ["again"]


async def test_a_cancel_of_a_request_that_has_ended_is_answered_by_nothing(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.ask(complete("1", "/echo x"))
        await client.send(Cancel(id="1"), Cancel(id="never seen"))
        await client.report()  # the next message is the report


@pytest.mark.parametrize("make", [complete, chat])
async def test_at_the_deadline_the_stable_part_of_the_newest_draft_is_the_answer(
    paths: Paths, make: Any
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.report_when(lambda report: report.state == "ready")
        answers = await client.ask(
            make("1", "/echo final\n/drafts 3\n/hang", deadline_ms=1000, drafts=False)
        )
        final, stable, done = answers
        assert final == Block(id="1", block=0, text="final", steps=2)
        assert stable == Block(id="1", block=1, text="abc", steps=3, stable=False)
        assert isinstance(done, Done)
        assert done.reason == "deadline"
        assert done.timings.total_ms >= 1000
        assert done.timings.steps == 5
        await idle(client)  # the model was told to stop


async def test_at_the_deadline_of_a_request_that_waits_the_answer_is_empty(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        answers = await client.ask(complete("2", "/echo x", deadline_ms=1))
        assert (texts(answers), end(answers)) == ([], "deadline")


async def test_a_deadline_that_is_kept_by_the_model_changes_nothing(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(complete("1", "/drafts 3\n/echo x", deadline_ms=60_000))
    assert (texts(answers), end(answers)) == (["x"], "eos")


async def test_a_full_queue_says_so(paths: Paths) -> None:
    async with serving(paths, configured(queue=1)), on_socket(paths) as client:
        await client.send(complete("1", "/hang"), complete("2", "/echo x"))
        (failed,) = await client.ask(complete("3", "/echo x"))
    assert isinstance(failed, Failed)
    assert failed.code == "busy"


# The model process


async def test_a_killed_model_process_fails_the_request_in_flight_and_the_next_succeeds(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        report = await client.report_when(lambda report: report.running == 1)
        os.kill(report.model_pid, signal.SIGKILL)
        (failed,) = (await client.until_end("1"))["1"]
        assert isinstance(failed, Failed)
        assert failed.code == "model_crashed"
        assert "SIGKILL" in failed.message
        assert texts(await client.ask(complete("2", "/echo back"))) == ["back"]
        report = await client.report()
    assert (report.state, report.restarts, report.failed) == ("ready", 1, 1)


@pytest.mark.parametrize("script", ["/crash", "/garbage\n/hang"])
async def test_requests_that_wait_outlive_the_model_process(paths: Paths, script: str) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", script), complete("2", "/echo patient"))
        answers = await client.until_end("1", "2")
    assert end(answers["1"]) == "model_crashed"
    assert texts(answers["2"]) == ["patient"]


async def test_a_job_that_the_model_fails_is_typed_and_harms_no_other(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(complete("1", "/fail out of memory"))
        assert answers == [Failed(id="1", code="model_failed", message="out of memory")]
        assert end(await client.ask(complete("2", "/echo x"))) == "eos"


async def test_an_unusable_model_fails_every_request_with_its_reason_and_is_not_restarted(
    paths: Paths,
) -> None:
    async with serving(paths, configured("fake-unusable")), on_socket(paths) as client:
        for id in "12":
            (failed,) = await client.ask(complete(id, "/echo x"))
            assert isinstance(failed, Failed)
            assert failed.code == "model_unavailable"
            assert failed.message == "fake-unusable: no such model"
        report = await client.report()
    assert (report.state, report.restarts) == ("failed", 0)
    assert report.detail == "fake-unusable: no such model"


async def test_a_model_that_dies_at_every_load_fails_the_requests(paths: Paths) -> None:
    async with serving(paths, configured("fake-crash")), on_socket(paths) as client:
        (failed,) = await client.ask(complete("1", "/echo x"))
        assert isinstance(failed, Failed)
        assert failed.code == "model_crashed"
        assert "exit code 3" in failed.message
        assert (await client.report()).state == "restarting"


async def test_a_model_that_does_not_let_go_of_a_stopped_job_is_killed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "STOPPED_S", 0.05)
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/deaf"), Cancel(id="1"), complete("2", "/echo x"))
        answers = await client.until_end("1", "2")
    assert (end(answers["1"]), end(answers["2"])) == ("cancelled", "eos")


async def test_what_the_client_left_open_is_taken_from_the_configuration(paths: Paths) -> None:
    config = Config(
        model=configuration.Model(name="fake"),
        completion=configuration.Completion(steps=7),
        chat=configuration.Chat(steps=9, max_tokens=11, system="be brief"),
    )
    async with serving(paths, config), on_socket(paths) as client:
        (completion,) = texts(await client.ask(complete("1", "/job")))
        (conversation,) = texts(await client.ask(chat("2", "/job", drafts=False)))
    assert json.loads(completion)["sampling"] == {"max_steps": 7}
    assert json.loads(conversation)["sampling"] == {"max_steps": 9, "max_tokens": 11}
    assert json.loads(conversation)["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "/job"},
    ]


def test_what_the_client_said_wins_over_the_configuration() -> None:
    config = Config(chat=configuration.Chat(steps=9, max_tokens=11))
    sampling = wire.Sampling(max_steps=1, max_tokens=2, seed=3)
    job, notice = daemon.for_model(chat("1", "hello", sampling=sampling), "key", config)
    assert (job.id, job.sampling, notice) == ("key", sampling, "")


@pytest.mark.parametrize(
    ("drafts", "deadline_ms", "asked"),
    [(False, None, False), (True, None, True), (False, 100, True), (True, 100, True)],
)
def test_the_model_is_asked_for_drafts_where_someone_needs_them(
    drafts: bool, deadline_ms: int | None, asked: bool
) -> None:
    message = complete("1", "x", drafts=drafts, deadline_ms=deadline_ms)
    assert daemon.for_model(message, "key", Config())[0].drafts is asked


# Frames that are refused


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


@pytest.mark.parametrize("transport", ["socket", "loopback"])
async def test_a_frame_far_over_the_limit_ends_its_connection_and_no_other(
    paths: Paths, transport: str
) -> None:
    async with serving(paths), on_socket(paths) as other:
        await other.send(complete("1", "/hang"))
        there = endpoint(paths)
        # Not as a context: Python 3.11 cannot abort the transport that such a close leaves behind.
        if transport == "socket":
            connection = await unix_connect(str(paths.socket))
        else:
            connection = await connect(f"ws://127.0.0.1:{there.port}/?token={there.token}")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.send(b"x" * (5 * wire.MAX_FRAME_BYTES))
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        await other.send(chat("2", "/free"))
        assert end((await other.until_end("1", "2"))["1"]) == "eos"


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
    monkeypatch.setattr(daemon, "HELLO_S", 0.05)
    async with serving(paths), unix_connect(str(paths.socket)) as connection:
        failed = wire.decode_response(await connection.recv())
        assert isinstance(failed, Failed)
        assert failed.id == ""
        await connection.wait_closed()


async def test_a_client_that_reads_nothing_is_disconnected_and_the_others_are_served(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "SEND_S", 0.2)
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


# Who may come in


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


async def test_the_socket_and_the_endpoint_are_the_users_alone(paths: Paths) -> None:
    async with serving(paths):
        assert stat.S_IMODE(paths.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(paths.endpoint.stat().st_mode) == 0o600
        assert stat.S_IMODE(paths.runtime.stat().st_mode) == 0o700
        there = endpoint(paths)
        assert there.pid == os.getpid()
        async with on_socket(paths) as client:
            assert (await client.report()).port == there.port
    assert sorted(os.listdir(paths.runtime)) == ["daemon.lock"]


async def test_each_daemon_has_a_token_of_its_own(paths: Paths) -> None:
    tokens = set()
    for _ in range(2):
        async with serving(paths):
            tokens.add(endpoint(paths).token)
    assert len(tokens) == 2


# Its life


async def test_a_second_daemon_is_refused_and_the_first_goes_on(paths: Paths) -> None:
    async with serving(paths):
        with pytest.raises(UserError, match="another daemon runs already"):
            async with serving(paths):
                pass
        async with on_socket(paths) as client:
            assert end(await client.ask(complete("1", "/echo x"))) == "eos"


async def test_the_socket_that_a_killed_daemon_left_is_replaced(paths: Paths) -> None:
    paths.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(paths.socket))
    async with serving(paths), on_socket(paths) as client:
        assert end(await client.ask(complete("1", "/echo x"))) == "eos"


async def test_a_port_in_use_is_told_before_the_model_is_started(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mark = paths.runtime.parent / "started"
        config = configured(f"fake-stubborn:{mark}", port=port)
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is in use"):
            async with serving(paths, config):
                pass
    assert not mark.exists()
    assert sorted(os.listdir(paths.runtime)) == ["daemon.lock"]


async def test_a_socket_path_that_is_too_long_is_told(paths: Paths) -> None:
    long = msgspec.structs.replace(paths, runtime=paths.runtime.parent / ("x" * 120))
    with pytest.raises(UserError, match="cannot listen there"):
        async with serving(long):
            pass


async def test_stop_is_answered_and_fails_what_is_in_flight(paths: Paths) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(paths))
        one = await stack.enter_async_context(on_socket(paths))
        other = await stack.enter_async_context(on_loopback(paths))
        await one.send(complete("1", "/hang"), complete("2", "/echo x"), wire.Stop(id="3"))
        await running.stopping.wait()
        answers = await one.until_end("1", "2", "3")
        assert [end(answers[id]) for id in "123"] == ["stopping"] * 3
        assert isinstance(answers["3"][0], Done)
        assert end(await other.ask(complete("1", "/echo late"))) == "stopping"


async def test_a_daemon_that_goes_down_closes_its_connections_after_their_last_word(
    paths: Paths,
) -> None:
    async with AsyncExitStack() as stack:
        async with serving(paths):
            client = await stack.enter_async_context(on_socket(paths))
            await client.send(complete("1", "/hang"))
            await client.report_when(lambda report: report.running == 1)
        assert end((await client.until_end("1"))["1"]) == "stopping"
        await client.connection.wait_closed()


async def test_an_idle_daemon_stops_and_asking_how_it_is_does_not_keep_it(paths: Paths) -> None:
    async with (
        serving(paths, configured(idle_minutes=0.005)) as running,
        on_socket(paths) as client,
    ):
        while not running.stopping.is_set():
            assert (await client.report()).idle_minutes == 0.005


async def test_a_request_in_flight_keeps_the_daemon_from_being_idle(paths: Paths) -> None:
    async with (
        serving(paths, configured(idle_minutes=0.001)) as running,
        on_socket(paths) as client,
    ):
        answers = await client.ask(complete("1", "/hang", deadline_ms=500))
        assert end(answers) == "deadline"
        await running.stopping.wait()


async def test_the_process_stops_on_sigterm_and_leaves_nothing_behind(paths: Paths) -> None:
    program = (
        "import sys; from pathlib import Path; from dgemma_lsp import daemon, config\n"
        "base = Path(sys.argv[1])\n"
        "paths = config.Paths(config_file=base, runtime=base / 'run', state=base / 'state')\n"
        "config = config.Config(model=config.Model(name='fake'))\n"
        "daemon.run(config, paths, model_command=sys.argv[2:])\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(paths.runtime.parent),
        *FAKE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log = b""
    while b"is ready" not in log:
        log += await process.stderr.readline()
    there = endpoint(paths)
    async with on_loopback(paths) as client:
        model_pid = (await client.report()).model_pid
        await client.send(complete("secret-id", "/hang secret text"))
        await client.report_when(lambda report: report.running == 1)
        process.send_signal(signal.SIGTERM)
        assert end((await client.until_end("secret-id"))["secret-id"]) == "stopping"
    log += (await process.communicate())[1]
    assert process.returncode == 0, log
    assert sorted(os.listdir(paths.runtime)) == ["daemon.lock"]
    with pytest.raises(ProcessLookupError):
        os.kill(model_pid, 0)
    assert b"secret-id" in log
    assert b"secret text" not in log
    assert there.token.encode() not in log


# Cancellation


@pytest.mark.parametrize("seed", [1])
async def test_after_a_thousand_random_cancels_the_daemon_is_idle_and_each_request_has_ended_once(
    paths: Paths, seed: int
) -> None:
    rng = random.Random(seed)
    scripts = ["/hang", "/echo x", "/drafts 3\n/hang", "/drafts 2\n/echo x", "/fail on purpose"]
    config = configured(queue=1000)

    async def one_client(transport: Any, requests: int) -> list[str]:
        async with transport(paths) as client:
            ids = [str(n) for n in range(requests)]
            collecting = asyncio.create_task(client.until_end(*ids))
            for id in ids:
                script = rng.choice(scripts)
                if rng.random() < 0.8:
                    request: wire.Job = complete(id, script, rng.choice("abc"), drafts=True)
                else:
                    request = chat(id, script)
                await client.send(request)
                if rng.random() < 0.5:
                    await asyncio.sleep(0)
                await client.send(Cancel(id=rng.choice(ids[: int(id) + 1])), Cancel(id=id))
            answers = await collecting
            ends = [a for id in ids for a in answers[id] if isinstance(a, Done | Failed)]
            assert len(ends) == requests
            assert all(end(answers[id]) for id in ids)
            return [end(answers[id]) for id in ids]

    async with serving(paths, config):
        ends = await asyncio.gather(one_client(on_socket, 500), one_client(on_loopback, 500))
        async with on_socket(paths) as client:
            report = await idle(client)
            assert end(await client.ask(complete("last", "/echo x"))) == "eos"
    assert report.restarts == 0
    assert {"cancelled", "superseded"} <= set(ends[0] + ends[1])
    assert set(ends[0] + ends[1]) <= {"cancelled", "superseded", "eos", "model_failed"}
