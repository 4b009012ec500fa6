import asyncio
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
from scripted_daemon import ScriptedDaemon, Send, answering, silent

from dgemma_lsp import client, errors, wire
from dgemma_lsp.config import Config, Model, Paths

PROGRAM = str(Path(__file__).with_name("scripted_daemon.py"))


@pytest.fixture
def paths() -> Iterator[Paths]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short: a socket's path has at most 107 bytes
    yield Paths(config_file=folder / "config.toml", runtime=folder, state=folder / "state")
    shutil.rmtree(folder)


def hole(id: str = "1", candidates: int = 1) -> wire.Complete:
    return wire.Complete(id=id, document="d", version=1, prefix="x = ", candidates=candidates)


async def link_to(paths: Paths) -> client.Link:
    return await client.connect(Config(), paths, start=False)


async def stop(paths: Paths) -> None:
    """End a daemon that was started as a program, and wait until it is gone."""
    link = await link_to(paths)
    with pytest.raises(errors.DaemonUnavailable):
        async for _ in link.request(wire.Stop(id="stop")):
            pass
    await link.close()


# -- one link ------------------------------------------------------------------------------------


async def test_a_link_says_hello_and_knows_whom_it_talks_to(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        link = await link_to(paths)
        [hello] = await daemon.heard_of(wire.Hello)
        assert hello.protocol == wire.PROTOCOL
        assert link.welcome.model == "scripted"
        assert link.alive
        await link.close()
        assert not link.alive


async def test_a_completion_gathers_the_blocks_of_each_candidate(paths: Paths) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        for block, candidate, text in [(0, 1, "b"), (0, 0, "a"), (1, 0, "A"), (1, 1, "B")]:
            await send(wire.Draft(id=message.id, block=block, step=1, text="?", stable=0))
            sure = -0.5 if candidate else None
            await send(
                wire.Block(
                    id=message.id, block=block, text=text, candidate=candidate, confidence=sure
                )
            )
        await send(wire.Done(id=message.id, reason="eos", timings=wire.Timings(steps=7)))

    async with ScriptedDaemon(paths.socket, script):
        link = await link_to(paths)
        got = await client.complete(link, hole(candidates=3))
        assert got == client.Completion(
            texts=["aA", "bB", ""],
            reason="eos",
            timings=wire.Timings(steps=7),
            steps=7,
            stable=True,
            confidences={1: -0.5},
        )
        await link.close()


@pytest.mark.parametrize(
    ("confidences", "least", "texts"),
    [
        ({}, -1.0, ["a", "b"]),
        ({0: -0.5, 1: -1.5}, -1.0, ["a"]),
        ({0: -1.0, 1: -1.0}, -1.0, ["a", "b"]),
        ({1: -9.0}, -1.0, ["a"]),
        ({0: -2.0, 1: -2.0}, -1.0, []),
    ],
)
def test_a_model_is_sure_of_texts_that_are_not_known_to_be_unlikely(
    confidences: dict[int, float], least: float, texts: list[str]
) -> None:
    answer = client.Completion(
        texts=["a", "b"],
        reason="eos",
        timings=wire.Timings(),
        steps=1,
        stable=True,
        confidences=confidences,
    )
    sure = [text for i, text in enumerate(answer.texts) if answer.is_sure(i, least)]
    assert sure == texts


@pytest.mark.parametrize(
    ("stable", "reason", "expected"),
    [(True, "settled", True), (False, "steps", False), (True, "deadline", False)],
)
async def test_an_answer_cut_short_is_not_stable(
    paths: Paths, stable: bool, reason: wire.Reason, expected: bool
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Block(id=message.id, block=0, text="a", stable=stable))
        await send(wire.Done(id=message.id, reason=reason))

    async with ScriptedDaemon(paths.socket, script):
        link = await link_to(paths)
        assert (await client.complete(link, hole())).stable is expected
        await link.close()


async def test_answers_reach_the_request_that_they_name_in_any_order(paths: Paths) -> None:
    asked: list[wire.Complete] = []

    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        asked.append(message)
        if len(asked) == 3:
            for one in reversed(asked):
                await send(wire.Block(id=one.id, block=0, text=f"text of {one.id}"))
            for one in asked:
                await send(wire.Done(id=one.id, reason="eos"))

    async with ScriptedDaemon(paths.socket, script):
        link = await link_to(paths)
        got = await asyncio.gather(*(client.complete(link, hole(id)) for id in "abc"))
        assert [one.texts for one in got] == [["text of a"], ["text of b"], ["text of c"]]
        await link.close()


@pytest.mark.parametrize("error", sorted(errors.BY_CODE.values(), key=lambda cls: cls.code))
async def test_a_failure_is_raised_as_the_error_behind_its_code(
    paths: Paths, error: type[errors.DgemmaError]
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Failed(id=message.id, code=error.code, message="what to do"))

    async with ScriptedDaemon(paths.socket, script) as daemon:
        link = await link_to(paths)
        with pytest.raises(error, match=r"^what to do$") as caught:
            await client.complete(link, hole())
        assert type(caught.value) is error
        await link.close()
        assert not any(isinstance(message, wire.Cancel) for message in daemon.heard)


async def test_an_id_in_use_is_refused(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        link = await link_to(paths)
        first = asyncio.create_task(client.complete(link, hole("same")))
        await daemon.heard_of(wire.Complete)
        with pytest.raises(errors.InvalidRequest, match="'same'"):
            await client.complete(link, hole("same"))
        assert not first.done()
        first.cancel()
        await asyncio.wait([first])
        await link.close()


async def test_a_request_over_the_limit_is_refused_before_it_breaks_the_link(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, answering("x")):
        link = await link_to(paths)
        large = wire.Complete(
            id="1", document="d", version=1, prefix="x" * (wire.MAX_FRAME_BYTES + 1)
        )
        with pytest.raises(errors.TooLarge, match=str(wire.MAX_FRAME_BYTES)):
            await client.complete(link, large)
        assert (await client.complete(link, hole())).texts == ["x"]
        await link.close()


# -- cancelling ----------------------------------------------------------------------------------


async def test_a_cancelled_request_is_taken_back(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        link = await link_to(paths)
        task = asyncio.create_task(client.complete(link, hole("mine")))
        await daemon.heard_of(wire.Complete)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id="mine")]
        await link.close()


async def test_a_request_closed_between_two_answers_is_taken_back(paths: Paths) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Draft(id=message.id, block=0, step=1, text="a"))

    async with ScriptedDaemon(paths.socket, script) as daemon:
        link = await link_to(paths)
        async with aclosing(link.request(hole("mine"))) as answers:
            assert (await anext(answers)).id == "mine"
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id="mine")]
        await link.close()


async def test_what_comes_after_a_cancel_is_left_aside_and_the_link_goes_on(paths: Paths) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        if message.id == "late":
            await daemon.heard_of(wire.Cancel)
            await send(wire.Block(id="late", block=0, text="too late"))
            await send(wire.Failed(id="late", code="cancelled", message="as you wish"))
        else:
            await answering("x")(message, send)

    async with ScriptedDaemon(paths.socket, script) as daemon:
        link = await link_to(paths)
        task = asyncio.create_task(client.complete(link, hole("late")))
        await daemon.heard_of(wire.Complete)
        task.cancel()
        await asyncio.wait([task])
        assert (await client.complete(link, hole("next"))).texts == ["x"]
        await link.close()


async def test_a_request_that_ended_is_not_taken_back(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, answering("x")) as daemon:
        link = await link_to(paths)
        await client.complete(link, hole("1"))
        await client.complete(link, hole("2"))
        await link.close()
        assert [type(message) for message in daemon.heard] == [
            wire.Hello,
            wire.Complete,
            wire.Complete,
        ]


# -- a daemon that is lost -----------------------------------------------------------------------


async def test_every_waiting_request_hears_that_the_connection_broke(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        link = await link_to(paths)
        tasks = [asyncio.create_task(client.complete(link, hole(id))) for id in "abc"]
        await daemon.heard_of(wire.Complete, 3)
        daemon.connections[0].transport.abort()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert type(error) is errors.DaemonUnavailable
        with pytest.raises(errors.DaemonUnavailable):
            await client.complete(link, hole("later"))
        assert not link.alive
        await link.close()


async def test_why_the_daemon_ended_the_connection_is_told(paths: Paths) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        await send(wire.Failed(id="", code="stopping", message="going down"))
        await daemon.connections[0].close()

    async with ScriptedDaemon(paths.socket, script) as daemon:
        link = await link_to(paths)
        with pytest.raises(errors.DaemonUnavailable, match="going down"):
            await client.complete(link, hole())
        await link.close()


async def test_an_answer_that_cannot_be_read_ends_the_link(paths: Paths) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        await daemon.connections[0].send(b"\xc1")

    async with ScriptedDaemon(paths.socket, script) as daemon:
        link = await link_to(paths)
        with pytest.raises(errors.DaemonUnavailable, match="cannot read the daemon's answer"):
            await client.complete(link, hole())
        await link.close()


# -- finding and starting ------------------------------------------------------------------------


@pytest.mark.parametrize("stale", [False, True])
async def test_without_a_daemon_the_user_reads_how_to_start_one(paths: Paths, stale: bool) -> None:
    if stale:  # a socket that a killed daemon left
        (await asyncio.start_unix_server(lambda *_: None, paths.socket)).close()
        assert paths.socket.exists()
    with pytest.raises(errors.DaemonUnavailable, match="dgemma daemon"):
        await link_to(paths)


async def test_a_refused_hello_is_raised_as_what_it_is(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        daemon.greeting = wire.Failed(id="", code="protocol", message="I speak 2, you speak 1")
        with pytest.raises(errors.UnsupportedProtocol, match="I speak 2"):
            await client.connect(Config(), paths, start=True)


async def test_a_listener_that_never_says_welcome_is_given_up(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WELCOME_S", 0.05)
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        daemon.greeting = None
        with pytest.raises(errors.DaemonUnavailable, match="dgemma stop"):
            await client.connect(Config(), paths, start=True)


async def test_a_listener_that_is_no_daemon_is_named(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        daemon.greeting = wire.Done(id="1", reason="eos")
        with pytest.raises(errors.DaemonUnavailable, match=str(paths.socket)):
            await link_to(paths)


async def test_an_absent_daemon_is_started_with_the_model_and_the_configuration(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, PROGRAM, str(paths.socket), "hi")
    monkeypatch.setattr(client, "DAEMON_COMMAND", command)
    paths.config_file.write_text("")
    model = Model(name="mine", quantize="4bit")
    link = await client.connect(Config(model=model), paths, start=True)
    assert (await client.complete(link, hole())).texts == ["hi"]
    await link.close()
    await stop(paths)
    given = f"--model mine --quantize 4bit --config {paths.config_file}"
    assert paths.log.read_text() == f"started with {given}\n"
    assert stat.S_IMODE(paths.log.stat().st_mode) == 0o600


async def test_a_started_daemon_outlives_us_in_a_session_of_its_own_and_leaves_no_zombie(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, PROGRAM, str(paths.socket), "hi")
    monkeypatch.setattr(client, "DAEMON_COMMAND", command)
    link = await client.connect(Config(), paths, start=True)
    [daemon] = psutil.Process().children()
    assert os.getsid(daemon.pid) == daemon.pid
    await link.close()
    await stop(paths)
    await asyncio.to_thread(psutil.wait_procs, [daemon], timeout=30)
    assert not psutil.Process().children()


async def test_of_many_starters_each_reaches_the_one_daemon(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, PROGRAM, str(paths.socket), "hi")
    monkeypatch.setattr(client, "DAEMON_COMMAND", command)
    links = await asyncio.gather(*(client.connect(Config(), paths, start=True) for _ in range(3)))
    for link in links:
        assert (await client.complete(link, hole())).texts == ["hi"]
        await link.close()
    await stop(paths)
    assert paths.log.read_text().count("started with") <= 3


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; print('first'); sys.exit('no such model: x\\n')", "status 1: no such model"),
        ("pass", "status 0: it logged nothing"),
    ],
)
async def test_a_daemon_that_dies_at_its_start_is_reported_with_the_last_line_of_its_log(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    paths.state.mkdir()
    paths.log.write_text("an older line\n")
    monkeypatch.setattr(client, "DAEMON_COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(client, "EXIT_GRACE_S", 0.0)
    with pytest.raises(errors.DaemonUnavailable, match=told) as caught:
        await client.connect(Config(), paths, start=True)
    assert "dgemma doctor" in str(caught.value) and "\n" not in str(caught.value)


async def test_a_daemon_that_never_listens_is_given_up(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = (sys.executable, "-c", "input_ = __import__('signal').pause()")
    monkeypatch.setattr(client, "DAEMON_COMMAND", sleeper)
    monkeypatch.setattr(client, "START_S", 0.0)
    with pytest.raises(errors.DaemonUnavailable, match="opened no socket"):
        await client.connect(Config(), paths, start=True)
    for child in psutil.Process().children():
        child.kill()


async def test_a_command_that_cannot_be_run_is_reported(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DAEMON_COMMAND", (str(paths.runtime / "absent"),))
    with pytest.raises(errors.DaemonUnavailable, match="cannot be started"):
        await client.connect(Config(), paths, start=True)


# -- links ---------------------------------------------------------------------------------------


class Failures(list[tuple[errors.DgemmaError, int]]):
    def __call__(self, error: errors.DgemmaError, in_a_row: int) -> None:
        self.append((error, in_a_row))


async def test_many_callers_share_one_link(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        links = client.Links(Config(), paths, Failures())
        got = await asyncio.gather(*(links.get() for _ in range(5)))
        assert len(set(map(id, got))) == 1 and len(daemon.connections) == 1
        await links.close()


async def test_a_lost_link_is_made_anew_when_it_is_wanted_and_not_before(paths: Paths) -> None:
    failures = Failures()
    links = client.Links(Config(), paths, failures)
    async with ScriptedDaemon(paths.socket, answering("x")):
        first = await links.get()
    with pytest.raises(errors.DaemonUnavailable):
        await client.complete(first, hole())
    async with ScriptedDaemon(paths.socket, answering("y")) as daemon:
        assert not daemon.connections
        second = await links.get()
        assert (await client.complete(second, hole())).texts == ["y"]
        await links.close()
    assert failures == []


async def test_failures_are_told_counted_and_followed_by_growing_pauses(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DAEMON_COMMAND", (str(paths.runtime / "absent"),))
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    failures = Failures()
    links = client.Links(Config(), paths, failures)
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(3):
        with pytest.raises(errors.DaemonUnavailable):
            await links.get()
        times.append(loop.time())
    assert [in_a_row for _, in_a_row in failures] == [1, 2, 3]
    assert times[1] - times[0] >= 0.01 and times[2] - times[1] >= 0.02
    async with ScriptedDaemon(paths.socket, silent):
        await links.get()
        await links.close()


async def test_who_gives_up_waiting_leaves_the_attempt_to_the_others(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        daemon.greeting = None
        links = client.Links(Config(), paths, Failures())
        impatient, patient = (asyncio.create_task(links.get()) for _ in range(2))
        await daemon.heard_of(wire.Hello)
        impatient.cancel()
        await asyncio.wait([impatient])
        welcome = wire.Welcome(protocol=wire.PROTOCOL, model="m", state="loading")
        await daemon.connections[0].send(wire.encode_binary(welcome))
        assert (await patient).welcome.state == "loading"
        await links.close()


async def test_closing_ends_the_attempt_under_way(paths: Paths) -> None:
    async with ScriptedDaemon(paths.socket, silent) as daemon:
        daemon.greeting = None
        links = client.Links(Config(), paths, Failures())
        waiting = asyncio.create_task(links.get())
        await daemon.heard_of(wire.Hello)
        await links.close()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await asyncio.wait_for(daemon.connections[0].wait_closed(), 30)
