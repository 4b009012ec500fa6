"""One editor's contact with a scripted daemon: what the person is told, what the editor shows."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from scripted_daemon import ScriptedDaemon, Send, silent

from dgemma_lsp import client, contact, wire
from dgemma_lsp.config import Config, Model, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.errors import DaemonUnavailable, ModelCrashed, ModelUnavailable
from dgemma_lsp.status import Status

CONFIG = Config(model=Model(name="scripted"))
PROGRAM = str(Path(__file__).with_name("scripted_daemon.py"))


class Heard:
    """A contact, what it told and what it showed."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(config_file=folder / "c", runtime=folder, state=folder)
        self.told: list[str] = []
        self.shown: list[Status] = []
        self._changed = asyncio.Event()
        self.contact = Contact(CONFIG, self.paths, tell=self.told.append, on_status=self._on_status)

    def _on_status(self, status: Status) -> None:
        self.shown.append(status)
        self._changed.set()

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.shown]

    async def until(self, *states: str) -> None:
        """Wait until these states were shown, one after the other."""
        async with asyncio.timeout(60):
            while self.states != list(states):
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def heard(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heard]:
    monkeypatch.setattr(client, "DAEMON_COMMAND", (sys.executable, "-c", "raise SystemExit('no')"))
    monkeypatch.setattr(client, "EXIT_GRACE_S", 0.0)
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(contact, "LOOK_AGAIN_S", 0.01)
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short: it holds a socket
    one = Heard(folder)
    yield one
    await one.contact.close()
    shutil.rmtree(folder)


async def test_a_daemon_with_its_model_is_ready_at_once(heard: Heard) -> None:
    async with ScriptedDaemon(heard.paths.socket, silent):
        heard.contact.begin()
        await heard.until("starting", "ready")
        assert not heard.contact.loading
        assert heard.told == []


async def test_a_model_that_is_being_loaded_is_looked_at_until_it_is_ready(heard: Heard) -> None:
    states: list[wire.ModelState] = ["loading", "loading", "restarting", "ready"]

    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Status)
        state = states.pop(0)
        report = wire.Report(id=message.id, version="1", model="scripted", state=state)
        if state == "restarting":
            report = msgspec.structs.replace(report, progress=45)
        await send(report)
        await send(wire.Done(id=message.id, reason="reported"))

    async with ScriptedDaemon(heard.paths.socket, script) as daemon:
        daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="scripted", state="loading")
        heard.contact.begin()
        await heard.until("starting", "loading", "loading", "ready")
        assert [status.text for status in heard.shown[1:3]] == [
            "scripted is being loaded",
            "scripted is being loaded again after it crashed",
        ]
        assert [status.progress for status in heard.shown] == [None, None, 45, None]
        assert states == []


async def test_a_model_that_cannot_be_loaded_is_an_error_that_says_why(heard: Heard) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        report = wire.Report(
            id="status", version="1", model="scripted", state="failed", detail="no weights"
        )
        await send(report)
        await send(wire.Done(id="status", reason="reported"))

    async with ScriptedDaemon(heard.paths.socket, script) as daemon:
        daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="scripted", state="loading")
        heard.contact.begin()
        await heard.until("starting", "loading", "error")
        assert heard.shown[-1].text.startswith("no weights")


async def test_without_a_daemon_the_person_is_told_once_and_the_next_one_is_found(
    heard: Heard,
) -> None:
    for _ in range(2):
        with pytest.raises(DaemonUnavailable):
            await heard.contact.link()
    assert heard.states == ["starting", "error"]
    [told] = heard.told
    assert "ended with status 1: no" in told
    async with ScriptedDaemon(heard.paths.socket, silent):
        assert (await heard.contact.link()).alive
        assert heard.states[-1] == "ready"


async def test_asking_shows_and_pausing_goes_before_all_else(heard: Heard) -> None:
    async with ScriptedDaemon(heard.paths.socket, silent):
        await heard.contact.link()
        with heard.contact.asking(), heard.contact.asking():
            pass
        heard.contact.pause(True)
        assert heard.contact.paused
        with heard.contact.asking():
            pass
        heard.contact.pause(False)
        assert heard.states == ["starting", "ready", "busy", "ready", "paused", "ready"]


async def test_what_the_model_fails_with_is_shown_until_it_answers_again(heard: Heard) -> None:
    async with ScriptedDaemon(heard.paths.socket, silent) as daemon:
        await heard.contact.link()
        heard.contact.refused(ModelUnavailable("model x: no weights"))
        assert heard.shown[-1].state == "error"
        assert heard.told == ["model x: no weights; `dgemma doctor` tells more"]
        heard.contact.answered()
        assert heard.shown[-1].state == "ready"
        heard.contact.refused(ModelCrashed("gone"))
        assert heard.contact.loading
        await daemon.heard_of(wire.Status)


async def test_a_daemon_with_another_model_is_told(heard: Heard) -> None:
    async with ScriptedDaemon(heard.paths.socket, silent) as daemon:
        heard.contact.configure(Config(model=Model(name="nano")))
        heard.contact.begin()
        await heard.until("starting", "ready")
        await daemon.heard_of(wire.Hello)
        [told] = heard.told
        assert "scripted, not nano" in told and "dgemma stop" in told


async def test_another_model_gets_a_link_of_its_own_and_other_options_do_not(
    heard: Heard,
) -> None:
    async with ScriptedDaemon(heard.paths.socket, silent) as daemon:
        first = await heard.contact.link()
        heard.contact.configure(Config(model=CONFIG.model))
        assert await heard.contact.link() is first
        heard.contact.configure(Config(model=Model(name="other")))
        assert await heard.contact.link() is not first
        await daemon.heard_of(wire.Hello, 2)


async def test_a_restart_ends_the_daemon_and_starts_another(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = heard.paths.socket
    monkeypatch.setattr(client, "DAEMON_COMMAND", (sys.executable, PROGRAM, str(socket), "written"))

    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Stop)
        await send(wire.Done(id=message.id, reason="stopping"))

    async with ScriptedDaemon(socket, script) as daemon:
        await heard.contact.link()
        restarting = asyncio.create_task(heard.contact.restart())
        await daemon.heard_of(wire.Stop)
        await daemon.go_down()
        await restarting
        assert heard.states == ["starting", "ready", "starting", "ready"]
        link = await heard.contact.link()
        with pytest.raises(DaemonUnavailable):  # the program ends when it hears this
            async for _ in link.request(wire.Stop(id="stop")):
                pass
