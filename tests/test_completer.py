"""Completions between a scripted daemon and no editor: what is asked, answered and explained."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted_daemon import Script, ScriptedDaemon, Send, answering, silent

from dgemma_lsp import client, wire
from dgemma_lsp.completer import Completer
from dgemma_lsp.config import Completion, Config, Editor, Model, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.ignores import NAME
from dgemma_lsp.quiet import Place

URI = "file:///a.py"


class Bench:
    """A completer whose daemon plays a script."""

    def __init__(self, completer: Completer, contact: Contact, daemon: ScriptedDaemon) -> None:
        self.completer = completer
        self.contact = contact
        self.daemon = daemon

    async def texts(self, marked: str, **values: Any) -> list[str]:
        return (await self.completer.complete(place(marked, **values))).texts

    async def reason(self, marked: str, **values: Any) -> str:
        return (await self.completer.complete(place(marked, **values))).reason

    @property
    def asked(self) -> list[wire.Complete]:
        return [message for message in self.daemon.heard if isinstance(message, wire.Complete)]


def place(marked: str, **values: Any) -> Place:
    before, after = marked.split("¦")
    base: dict[str, Any] = {"uri": URI, "version": 1, "language": "python", "path": None}
    return Place(before=before, after=after, **(base | values))


Setting = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
async def bench() -> AsyncIterator[Setting]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short: it holds a socket

    @asynccontextmanager
    async def setting(script: Script, config: Config | None = None) -> AsyncIterator[Bench]:
        config = config or Config(model=Model(name="scripted"))
        paths = Paths(config_file=folder / "c", runtime=folder, state=folder)
        async with ScriptedDaemon(paths.socket, script) as daemon:
            contact = Contact(config, paths, tell=print, on_status=print)
            yield Bench(Completer(config, contact, lambda: [folder]), contact, daemon)
            await contact.close()

    yield setting
    shutil.rmtree(folder)


async def test_what_may_be_shown_comes_with_its_steps(bench: Setting) -> None:
    async with bench(answering("foo(1)")) as one:
        answer = await one.completer.complete(place("x = ¦\n"))
        assert (answer.texts, answer.reason, answer.steps) == (["foo(1)"], "shown", 3)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(answering(""), "empty", id="empty"),
        pytest.param(answering("x = 1"), "repeats", id="the line above again"),
    ],
)
async def test_an_answer_that_is_not_shown_says_why(
    bench: Setting, script: Script, reason: str
) -> None:
    async with bench(script) as one:
        assert await one.reason("x = 1\n¦") == reason
        assert await one.completer.explain(place("x = 1\n¦")) == reason
        assert len(one.asked) == 1


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (wire.Done(id="", reason="settled"), "not-confident"),
        (wire.Failed(id="", code="superseded", message=""), "overtaken"),
        (wire.Failed(id="", code="cancelled", message=""), "overtaken"),
        (wire.Failed(id="", code="busy", message=""), "busy"),
        (wire.Failed(id="", code="model_failed", message=""), "model"),
        (wire.Failed(id="", code="model_crashed", message=""), "model"),
        (wire.Failed(id="", code="model_unavailable", message=""), "model"),
        (wire.Failed(id="", code="stopping", message=""), "no-daemon"),
    ],
)
async def test_a_request_without_a_good_answer_says_why(
    bench: Setting, last: wire.Done | wire.Failed, reason: str
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        if isinstance(message, wire.Complete):
            await send(wire.Block(id=message.id, block=0, text="f", confidence=-99.0))
            kind = type(last)
            values = {name: getattr(last, name) for name in last.__struct_fields__}
            await send(kind(**(values | {"id": message.id})))

    async with bench(script) as one:
        assert await one.reason("x = ¦") == reason


@pytest.mark.parametrize(("state", "reason"), [("ready", "deadline"), ("loading", "loading")])
async def test_nothing_in_time_is_told_apart_from_a_model_that_is_being_loaded(
    bench: Setting, state: wire.ModelState, reason: str
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        if isinstance(message, wire.Complete):
            await send(wire.Done(id=message.id, reason="deadline"))

    async with bench(script) as one:
        one.daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="scripted", state=state)
        assert await one.reason("x = ¦") == reason


async def test_without_a_daemon_that_is_the_reason(
    bench: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DAEMON_COMMAND", (sys.executable, "-c", "raise SystemExit('no')"))
    monkeypatch.setattr(client, "EXIT_GRACE_S", 0.0)
    async with bench(silent) as one:
        await one.daemon.go_down()
        assert await one.reason("x = ¦") == "no-daemon"


async def test_where_it_is_quiet_nobody_is_asked_but_by_a_person(bench: Setting) -> None:
    config = Config(
        model=Model(name="scripted"),
        editor=Editor(languages_off=["markdown"], files_off=["*.txt"], max_file_chars=20),
    )
    async with bench(answering("1"), config) as one:
        quiet: list[tuple[str, dict[str, Any], str]] = [
            ("x = ¦", {"language": "markdown"}, "language-off"),
            ("x = ¦", {"path": Path("/a.txt")}, "file-off"),
            (20 * "y" + " = ¦", {}, "too-large"),
            ("x = ¦y", {}, "mid-word"),
        ]
        for marked, values, reason in quiet:
            assert await one.reason(marked, **values) == reason
            assert await one.completer.explain(place(marked, **values)) == reason
        assert one.asked == []
        for marked, values, _ in quiet:
            assert await one.texts(marked, **values, invoked=True) == ["1"]


async def test_a_paused_server_and_a_left_out_file_are_quiet_for_everybody(
    bench: Setting,
) -> None:
    async with bench(answering("1")) as one:
        one.contact.pause(True)
        assert await one.reason("x = ¦", invoked=True) == "paused"
        one.contact.pause(False)
        [root] = one.completer._roots()
        (root / NAME).write_text("secret.py\n")
        assert await one.reason("x = ¦", path=root / "secret.py", invoked=True) == "ignored"
        assert one.asked == []
        assert await one.texts("x = ¦", path=root / "open.py") == ["1"]


async def test_a_dismissed_suggestion_does_not_come_back_by_itself(bench: Setting) -> None:
    async with bench(answering("foo")) as one:
        assert await one.texts("x = ¦") == ["foo"]
        one.completer.rejected(URI)
        assert await one.reason("x = ¦") == "rejected-here"
        assert await one.texts("x = ¦", invoked=True) == ["foo"]
        assert await one.texts("y = ¦") == ["foo"]


async def test_where_nothing_was_asked_yet_explaining_asks(bench: Setting) -> None:
    async with bench(answering("foo")) as one:
        one.completer.rejected(URI)
        assert await one.completer.explain(place("x = ¦")) == "shown"
        assert len(one.asked) == 1
        one.completer.closed(URI)
        assert await one.completer.explain(place("x = ¦")) == "shown"
        assert len(one.asked) == 2


async def test_what_was_overtaken_is_explained_by_asking_again(bench: Setting) -> None:
    answers: list[Script] = [silent, answering("foo")]

    async def script(message: wire.Request, send: Send) -> None:
        await answers.pop(0)(message, send)

    async with bench(script) as one:
        task = asyncio.create_task(one.completer.complete(place("x = ¦")))
        await one.daemon.heard_of(wire.Complete)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await one.completer.explain(place("x = ¦")) == "shown"


async def test_an_invoked_request_asks_for_candidates_and_passes_the_options_on(
    bench: Setting,
) -> None:
    completion = Completion(steps=5, candidates=4, deadline_ms=777, max_lines=7)
    config = Config(model=Model(name="scripted"), completion=completion)
    async with bench(answering("a", "b", "a", "c"), config) as one:
        assert await one.texts("x = ¦\n", invoked=True) == ["a", "b", "c"]
        [asked] = one.asked
        assert (asked.candidates, asked.deadline_ms, asked.max_lines) == (4, 777, 7)
        assert (asked.sampling.max_steps, asked.trigger) == (5, "invoked")
