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
from msgspec.structs import replace
from scripted_daemon import Script, ScriptedDaemon, Send, answering, silent

from dgemma_lsp import client, wire
from dgemma_lsp.completer import Completer
from dgemma_lsp.config import Completion, Config, Editor, Model, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.drafts import Drafted
from dgemma_lsp.ignores import NAME
from dgemma_lsp.quiet import Place

URI = "file:///a.py"
# What is prepared meanwhile is another request, for which a test must ask.
ALONE = Completion(prefetch=False)
CONFIG = Config(model=Model(name="scripted"), completion=ALONE)


class Bench:
    """A completer whose daemon plays a script."""

    def __init__(
        self,
        completer: Completer,
        contact: Contact,
        daemon: ScriptedDaemon,
        drafts: asyncio.Queue[tuple[Place, Drafted]],
    ) -> None:
        self.completer = completer
        self.contact = contact
        self.daemon = daemon
        self.drafts = drafts

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
        config = config or CONFIG
        paths = Paths(config_file=folder / "c", runtime=folder, state=folder)
        async with ScriptedDaemon(paths.socket, script) as daemon:
            contact = Contact(config, paths, tell=print, on_status=print)
            drafts: asyncio.Queue[tuple[Place, Drafted]] = asyncio.Queue()
            completer = Completer(
                config,
                contact,
                roots=lambda: [folder],
                on_draft=lambda place, drafted: drafts.put_nowait((place, drafted)),
            )
            yield Bench(completer, contact, daemon, drafts)
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
        completion=ALONE,
        editor=Editor(languages_off=["markdown"], files_off=["*.txt"], max_file_chars=20),
    )
    async with bench(answering("z"), config) as one:
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
            assert await one.texts(marked, **values, invoked=True) == ["z"]


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
        await one.daemon.heard_of(wire.Cancel)
        assert await one.completer.explain(place("x = ¦")) == "shown"


async def test_an_invoked_request_asks_for_candidates_and_passes_the_options_on(
    bench: Setting,
) -> None:
    completion = Completion(prefetch=False, steps=5, candidates=4, deadline_ms=777, max_lines=7)
    config = Config(model=Model(name="scripted"), completion=completion)
    async with bench(answering("a", "b", "a", "c"), config) as one:
        assert await one.texts("x = ¦\n", invoked=True) == ["a", "b", "c"]
        [asked] = one.asked
        assert (asked.candidates, asked.deadline_ms, asked.max_lines) == (4, 777, 7)
        assert (asked.sampling.max_steps, asked.trigger) == (5, "invoked")


# -- typing on while the model writes ------------------------------------------------------------


class Held:
    """A script that answers each request when the test says so, after a draft of it."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.going: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def __call__(self, message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        text, go = self.texts.pop(0), asyncio.Event()
        await send(wire.Draft(id=message.id, block=0, step=1, text=text, stable=len(text)))
        await self.going.put(go)
        await go.wait()
        await answering(text)(message, send)

    async def answer(self) -> None:
        (await self.going.get()).set()


def overtaken(one: Bench, task: asyncio.Task[Any], middle: str) -> None:
    """Do what a key does: the editor's question ends, and the document has changed."""
    one.completer.changed(URI, None, f"x = {middle}\n", 0)
    task.cancel()


async def test_a_key_that_is_the_first_of_the_answer_does_not_end_the_request(
    bench: Setting,
) -> None:
    held = Held("foo(1)")
    async with bench(held) as one:
        first = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        go = await held.going.get()
        overtaken(one, first, "f")
        second = asyncio.create_task(one.completer.complete(place("x = f¦\n")))
        go.set()
        answer = await second
        assert (answer.texts, answer.reason, answer.steps) == (["oo(1)"], "shown", 3)
        assert len(one.asked) == 1
        assert first.cancelled()


async def test_a_key_that_is_not_ends_it_and_the_model_is_asked_anew(bench: Setting) -> None:
    held = Held("foo(1)", "bar")
    async with bench(held) as one:
        first = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.going.get()
        overtaken(one, first, "g")
        assert await one.daemon.heard_of(wire.Cancel) == [wire.Cancel(id=one.asked[0].id)]
        second = asyncio.create_task(one.completer.complete(place("x = g¦\n")))
        await held.answer()
        answer = await second
        # The step of the request that was given up is counted too.
        assert (answer.texts, answer.steps) == (["bar"], 4)


async def test_an_answer_that_comes_between_two_questions_is_there_for_the_second(
    bench: Setting,
) -> None:
    held = Held("foo(1)")
    async with bench(held) as one:
        first = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        go = await held.going.get()
        run = one.completer._runs[URI]
        overtaken(one, first, "f")
        go.set()
        assert await run.wait() is not None
        assert await one.texts("x = f¦\n") == ["oo(1)"]
        assert len(one.asked) == 1


async def test_the_same_question_twice_is_asked_once_and_answered_the_same(
    bench: Setting,
) -> None:
    held = Held("")
    async with bench(held) as one:
        questions = [asyncio.create_task(one.completer.complete(place("x = ¦\n"))) for _ in "ab"]
        await held.answer()
        answers = await asyncio.gather(*questions)
        assert [answer.reason for answer in answers] == ["empty", "empty"]
        assert len(one.asked) == 1


async def test_a_person_s_own_question_is_asked_at_once_whatever_is_under_way(
    bench: Setting,
) -> None:
    held = Held("foo", "bar")
    async with bench(held) as one:
        first = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.going.get()
        second = asyncio.create_task(one.completer.complete(place("x = ¦\n", invoked=True)))
        await held.answer()
        assert (await second).texts == ["bar"]
        assert (await first).reason == "overtaken"
        assert [asked.candidates for asked in one.asked] == [1, 3]


async def test_a_closed_document_and_a_pause_end_what_is_under_way(bench: Setting) -> None:
    held = Held("foo", "bar")
    async with bench(held) as one:
        for number, end in enumerate((lambda: one.completer.closed(URI), one.completer.pause), 1):
            question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
            await held.going.get()
            end()
            assert (await question).reason == "overtaken"
            assert len(await one.daemon.heard_of(wire.Cancel, number)) == number


# -- what is prepared ----------------------------------------------------------------------------

PREPARING = Config(model=Model(name="scripted"))


async def test_while_a_suggestion_is_shown_the_next_is_prepared_after_all_else(
    bench: Setting,
) -> None:
    held = Held("foo", "(1)", "\ny")
    async with bench(held, PREPARING) as one:
        question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.answer()
        assert (await question).texts == ["foo"]
        [_, asked] = await one.daemon.heard_of(wire.Complete, 2)
        assert (asked.prefix, asked.priority, asked.trigger) == ("x = foo", "bulk", "automatic")
        await held.answer()
        run = one.completer._ahead.run
        assert run is not None and (await run.wait()) is not None
        one.completer.changed(URI, None, "x = foo\n", 0)
        assert await one.texts("x = foo¦\n") == ["(1)"]
        # ... and behind that one the next
        [*_, asked] = await one.daemon.heard_of(wire.Complete, 3)
        assert asked.prefix == "x = foo(1)"


async def test_a_suggestion_that_is_being_prepared_is_waited_for_where_it_is_wanted(
    bench: Setting,
) -> None:
    held = Held("foo", "(1)", "\ny")
    async with bench(held, PREPARING) as one:
        question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.answer()
        await question
        go = await held.going.get()
        one.completer.changed(URI, None, "x = foo\n", 0)
        following = asyncio.create_task(one.completer.complete(place("x = foo¦\n")))
        go.set()
        assert (await following).texts == ["(1)"]


async def test_what_is_prepared_is_given_up_when_anything_else_is_asked(bench: Setting) -> None:
    held = Held("foo", "(1)", "bar")
    async with bench(held, PREPARING) as one:
        question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.answer()
        await question
        await held.going.get()
        other = asyncio.create_task(one.completer.complete(place("z = ¦\n", uri="file:///b.py")))
        [_, prepared, _] = await one.daemon.heard_of(wire.Complete, 3)
        assert await one.daemon.heard_of(wire.Cancel) == [wire.Cancel(id=prepared.id)]
        await held.answer()
        assert (await other).texts == ["bar"]


async def test_what_is_shown_can_be_typed_while_the_next_is_prepared(bench: Setting) -> None:
    held = Held("foo", "(1)")
    async with bench(held, PREPARING) as one:
        question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        await held.answer()
        assert (await question).texts == ["foo"]
        await one.daemon.heard_of(wire.Complete, 2)
        one.completer.changed(URI, None, "x = f\n", 0)
        assert await one.texts("x = f¦\n") == ["oo"]


async def test_what_is_prepared_starts_no_daemon(
    bench: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(answering("foo")) as one:
        assert await one.texts("x = ¦\n") == ["foo"]
        link = await one.contact.link()
        await one.daemon.go_down()
        await link._reader
        monkeypatch.delattr(client, "_Started")  # starting one would raise
        run = one.completer._run(place("x = foo¦\n"), "bulk", one.completer._ahead.keep)
        answer = await run.wait()
        assert answer is not None and answer.reason == "no-daemon"


async def test_fast_typing_is_waited_for(bench: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    config = Config(model=Model(name="scripted"), completion=Completion(debounce_ms=40))
    async with bench(answering("foo"), config) as one:
        monkeypatch.setattr(
            one.completer._pace, "wait_s", lambda now, longest_s: waits.append(longest_s) or 0.0
        )
        await one.texts("x = ¦")
        await one.texts("x = ¦", invoked=True)
        await one.texts("x = f¦")
        assert waits == [0.04], "only where the model is asked, and not by a person"


# -- other files ---------------------------------------------------------------------------------


async def test_what_was_edited_elsewhere_is_read_first_but_nothing_that_was_left_out(
    bench: Setting,
) -> None:
    completion = Completion(prefetch=False, context_chars=1000)
    config = Config(model=Model(name="scripted"), completion=completion)
    async with bench(answering("1"), config) as one:
        [root] = one.completer._roots()
        (root / NAME).write_text("secret.py\n")
        for name in ("b", "secret"):
            path = root / "pack" / f"{name}.py" if name == "b" else root / f"{name}.py"
            one.completer.opened(path.as_uri(), path, f"{name} = 1\n")
        one.completer.changed(URI, root / "a.py", "x = \n", 0)
        await one.texts("x = ¦\n", path=root / "a.py")
        assert one.asked[-1].prefix == "# pack/b.py\nb = 1\n\n# a.py\nx = "


async def test_without_a_budget_no_other_file_is_read(bench: Setting) -> None:
    async with bench(answering("1")) as one:
        one.completer.opened("file:///b.py", Path("/b.py"), "b = 1\n")
        await one.texts("x = ¦\n")
        assert one.asked[-1].prefix == "x = "


# -- drafts --------------------------------------------------------------------------------------


async def test_what_is_being_written_is_shown_where_it_is_wanted_until_its_end(
    bench: Setting,
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        for step, text in enumerate(("f", "foo"), 1):
            for candidate in range(message.candidates):
                draft = wire.Draft(
                    id=message.id, block=0, step=step, text=text, stable=1, candidate=candidate
                )
                await send(draft)
        await answering("foo(1)")(message, send)

    config = Config(model=Model(name="scripted"), editor=Editor(drafts=True), completion=ALONE)
    async with bench(script, config) as one:
        here = place("x = ¦\n", invoked=True)
        assert (await one.completer.complete(here)).texts == ["foo(1)"]
        expected = [Drafted("f", 1), Drafted("foo", 1), Drafted("foo(1)", 6, final=True)]
        assert [await one.drafts.get() for _ in expected] == [(here, each) for each in expected]
        one.completer.config = CONFIG
        await one.completer.complete(here)
        assert one.drafts.empty()


async def test_a_draft_that_is_given_up_has_an_end_too(bench: Setting) -> None:
    config = Config(model=Model(name="scripted"), editor=Editor(drafts=True), completion=ALONE)
    held = Held("foo")
    async with bench(held, config) as one:
        question = asyncio.create_task(one.completer.complete(place("x = ¦\n")))
        assert (await one.drafts.get())[1] == Drafted("foo", 3)
        one.completer.changed(URI, None, "y\n", 0)
        assert (await question).reason == "overtaken"
        assert (await one.drafts.get())[1] == Drafted("", 0, final=True)


async def test_the_model_reads_what_the_file_imports_if_it_is_to(
    bench: Setting, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text("def first(a): ...\n")
    config = replace(CONFIG, completion=replace(ALONE, imports_chars=100))
    async with bench(answering("1"), config) as one:
        await one.texts("from .one import first\nx = ¦\n", path=tmp_path / "me.py")
        [asked] = one.asked
    assert asked.prefix.startswith("# imported\ndef first(a): ...\n\n# ")
    assert asked.prefix.endswith("me.py\nfrom .one import first\nx = ")
