import asyncio
import os
import signal
import socket
import stat
import sys
from contextlib import AsyncExitStack

import fake_model_process
import msgspec
import pytest
from live_daemon import (
    chat,
    complete,
    configured,
    end,
    endpoint,
    on_loopback,
    on_socket,
    paths,
    serving,
)
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed

from dgemma_lsp import wire
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import UserError
from dgemma_lsp.wire import Done

__all__ = ["paths"]


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
    async with asyncio.timeout(60), AsyncExitStack() as stack:
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
        *fake_model_process.COMMAND,
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
