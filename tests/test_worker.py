import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from fake_model_process import COMMAND

from dgemma_lsp import config as configuration
from dgemma_lsp import worker
from dgemma_lsp.config import Config
from dgemma_lsp.wire import Block, Chat, Complete, Done, FromModel, Ready, Turn, Unusable
from dgemma_lsp.worker import Worker, backoff_s


class Watched:
    """A worker, and what it told."""

    def __init__(self, model: str, command: list[str]) -> None:
        self.messages: asyncio.Queue[FromModel] = asyncio.Queue()
        self.deaths: asyncio.Queue[str] = asyncio.Queue()
        self.worker = Worker(
            Config(model=configuration.Model(name=model)),
            command=command,
            on_message=self.messages.put_nowait,
            on_lost=self.deaths.put_nowait,
        )
        self.running = asyncio.create_task(self.worker.run())


@asynccontextmanager
async def running(model: str = "fake", command: list[str] = COMMAND) -> AsyncIterator[Watched]:
    async with asyncio.timeout(60):
        watched = Watched(model, command)
        try:
            yield watched
        finally:
            watched.running.cancel()
            with suppress(asyncio.CancelledError):
                await watched.running


def complete(script: str) -> Complete:
    return Complete(id="1", document="d", version=1, prefix=script)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 0.1), (2, 0.2), (3, 0.4), (8, 12.8), (9, 25.6), (10, 30.0), (10_000, 30.0)],
)
def test_the_wait_before_a_restart_doubles_up_to_half_a_minute(
    failures: int, seconds: float
) -> None:
    assert backoff_s(failures) == pytest.approx(seconds)


async def test_messages_go_both_ways() -> None:
    async with running() as it:
        ready = await it.messages.get()
        assert isinstance(ready, Ready)
        assert (ready.model, ready.pid) == ("fake", it.worker.pid)
        it.worker.send(complete("/echo " + "é" * 100_000))
        assert await it.messages.get() == Block(id="1", block=0, text="é" * 100_000, steps=2)
        assert isinstance(await it.messages.get(), Done)


@pytest.mark.parametrize(
    ("script", "death"),
    [
        ("/crash", "exit code 3"),
        (
            "/garbage",
            "something that is no message: a frame of 1886546286 bytes; killed by SIGKILL",
        ),
    ],
)
async def test_a_process_that_dies_or_babbles_is_told_of_and_started_again(
    script: str, death: str
) -> None:
    async with running() as it:
        first = await it.messages.get()
        it.worker.send(complete(script))
        assert death in await it.deaths.get()
        second = await it.messages.get()
        assert isinstance(first, Ready)
        assert isinstance(second, Ready)
        assert first.pid != second.pid
        assert is_gone(first.pid)
        assert it.worker.restarts == 1


async def test_a_process_that_is_killed_is_started_again() -> None:
    async with running() as it:
        await it.messages.get()
        it.worker.kill()
        assert await it.deaths.get() == "killed by SIGKILL"
        assert it.worker.pid == 0
        assert isinstance(await it.messages.get(), Ready)


async def test_a_job_that_succeeded_makes_the_next_restart_quick_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(worker, "backoff_s", lambda failures: asked.append(failures) or 0.0)
    async with running() as it:
        for script in ["/crash", "/crash", "/echo x", "/crash"]:
            assert isinstance(await it.messages.get(), Ready)
            it.worker.send(complete(script))
            if script == "/echo x":
                assert isinstance(await it.messages.get(), Block)
                assert isinstance(await it.messages.get(), Done)
                it.worker.kill()
            await it.deaths.get()
    assert asked == [1, 2, 1, 2]


async def test_an_unusable_model_is_not_started_again() -> None:
    async with running("fake-unusable") as it:
        assert isinstance(await it.messages.get(), Unusable)
        await it.running
        assert it.worker.pid == 0
        assert it.deaths.empty()


async def test_a_command_that_cannot_be_started_is_told_of_and_tried_again() -> None:
    async with running(command=["/nonexistent/python"]) as it:
        for _ in range(2):
            assert "cannot start /nonexistent/python" in await it.deaths.get()


async def test_what_is_sent_while_no_process_runs_is_dropped_without_harm() -> None:
    async with running(command=["/nonexistent/python"]) as it:
        await it.deaths.get()
        it.worker.send(complete("/echo x"))
        it.worker.kill()


async def test_the_process_ends_with_the_worker() -> None:
    async with running() as it:
        await it.messages.get()
        pid = it.worker.pid
    assert is_gone(pid)


async def test_a_process_that_is_being_started_when_the_worker_ends_is_not_left_behind(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "pid"
    async with running(f"fake-stubborn:{pid_file}"):
        await asyncio.sleep(0)  # the worker has begun to start it, and no more
    assert not pid_file.exists() or is_gone(int(pid_file.read_text()))


async def test_a_process_that_heeds_neither_its_input_nor_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CLOSE_GRACE_S", 0.05)
    monkeypatch.setattr(worker, "TERMINATE_GRACE_S", 0.05)
    pid_file = tmp_path / "pid"
    async with running(f"fake-stubborn:{pid_file}") as it:
        await it.messages.get()
    assert is_gone(int(pid_file.read_text()))


async def test_a_process_that_writes_more_than_anybody_reads_still_ends_with_the_worker() -> None:
    async with running() as it:
        await it.messages.get()
        pid = it.worker.pid
        for _ in range(20):
            it.worker.send(complete("/echo " + "x" * 1_000_000))
    assert is_gone(pid)


async def test_the_process_dies_with_a_daemon_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from dgemma_lsp import config, worker\n"
        "ready = lambda message: print(message.pid, flush=True)\n"
        "config = config.Config(model=config.Model(name='fake'))\n"
        "it = worker.Worker(config, command=sys.argv[1:], on_message=ready, on_lost=print)\n"
        "asyncio.run(it.run())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *COMMAND, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    # A pidfd becomes readable when the process ends, whoever its parent is.
    gone = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    asyncio.get_running_loop().add_reader(pidfd, gone.set)
    parent.send_signal(signal.SIGKILL)
    async with asyncio.timeout(30):
        await gone.wait()
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)
    await parent.communicate()


async def test_a_chat_is_carried_as_well_as_a_completion() -> None:
    async with running() as it:
        await it.messages.get()
        it.worker.send(Chat(id="2", messages=[Turn(role="user", content="/echo hi")]))
        assert await it.messages.get() == Block(id="2", block=0, text="hi", steps=2)
