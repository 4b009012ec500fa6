"""Next edits between a scripted daemon and no editor: what is asked, offered and left alone."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from scripted_daemon import ScriptedDaemon, Send

from dgemma_lsp import wire
from dgemma_lsp.config import Completion, Config, Model, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.follow import Change, Replaced, changes
from dgemma_lsp.next_edit import JUDGED, TIRESOME, NextEdit, make_request
from dgemma_lsp.quiet import Place, Reason

URI = "file:///a.py"
OLD = "def f(old):\n    a(old)\n    b(old)\n"
NEW = "def f(new):\n    a(old)\n    b(old)\n"


class Bench:
    """A next edit's maker whose daemon judges each text by a gain."""

    def __init__(self, next_edit: NextEdit, daemon: ScriptedDaemon) -> None:
        self.next_edit = next_edit
        self.daemon = daemon
        self.off: Reason | None = None

    async def proposed(self, text: str = NEW) -> str | None:
        place = Place(
            uri=URI, version=1, language="python", path=None, before=text[:9], after=text[9:]
        )
        change = await self.next_edit.propose(place)
        return change and change.text.strip()

    @property
    def asked(self) -> list[str]:
        return [first_line(m.texts[1]) for m in self.daemon.heard if isinstance(m, wire.Score)]


def first_line(text: str) -> str:
    return text.strip().split("\n")[0].strip()


Setting = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
async def bench() -> AsyncIterator[Setting]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short: it holds a socket

    @asynccontextmanager
    async def setting(
        gains: dict[str, float] | None = None, linked: bool = True, **options: object
    ) -> AsyncIterator[Bench]:
        async def script(message: wire.Request, send: Send) -> None:
            assert isinstance(message, wire.Score)
            if gains is None:
                await send(wire.Failed(id=message.id, code="model_failed", message="no"))
                return
            gain = gains.get(first_line(message.texts[1]), 0.0)
            await send(wire.Scores(id=message.id, log_probs=[-50.0, -50.0 + gain]))
            await send(wire.Done(id=message.id, reason="eos"))

        completion = Completion(**options)  # type: ignore[arg-type]
        config = Config(model=Model(name="scripted"), completion=completion)
        paths = Paths(config_file=folder / "c", runtime=folder, state=folder)
        async with ScriptedDaemon(paths.socket, script) as daemon:
            contact = Contact(config, paths, tell=print, on_status=print)
            if linked:
                await contact.link()
            one = Bench(NextEdit(config, contact, why_off=lambda place: one.off), daemon)
            one.next_edit.history.opened(URI, OLD)
            one.next_edit.history.changed(URI, NEW)
            yield one
            await contact.close()

    yield setting
    shutil.rmtree(folder)


async def test_the_next_place_of_a_renamed_word_is_offered(bench: Setting) -> None:
    async with bench({}) as one:
        assert await one.proposed() == "a(new)"
        assert one.asked == ["a(new)"]


async def test_an_improbable_line_gives_way_to_the_next_one(bench: Setting) -> None:
    async with bench({"a(new)": -31.0, "b(new)": -29.0}) as one:
        assert await one.proposed() == "b(new)"


async def test_the_bound_is_an_option(bench: Setting) -> None:
    async with bench({"a(new)": 0.9, "b(new)": 0.9}, next_edit_gain=1.0) as one:
        assert await one.proposed() is None
        assert one.asked == ["a(new)", "b(new)"]


async def test_only_the_nearest_lines_are_judged(bench: Setting) -> None:
    uses = "".join(f"    {name}(old)\n" for name in "abcdefg")
    async with bench({}, next_edit_gain=1.0) as one:
        one.next_edit.history.opened(URI, f"def f(old):\n{uses}")
        one.next_edit.history.changed(URI, f"def f(new):\n{uses}")
        assert await one.proposed(f"def f(new):\n{uses}") is None
        assert len(one.asked) == JUDGED


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"next_edit": False}, id="switched off"),
        pytest.param({"linked": False}, id="no daemon: none is started"),
    ],
)
async def test_nothing_is_asked_where_nothing_is_wanted(
    bench: Setting, options: dict[str, bool]
) -> None:
    async with bench({}, **options) as one:
        assert await one.proposed() is None
        assert one.asked == []


async def test_nothing_is_offered_where_completion_is_off(bench: Setting) -> None:
    async with bench({}) as one:
        one.off = "paused"
        assert await one.proposed() is None
        assert one.asked == []


async def test_a_model_that_fails_is_no_error(bench: Setting) -> None:
    async with bench(None) as one:
        assert await one.proposed() is None


async def test_a_function_that_got_another_name_is_followed_into_another_document(
    bench: Setting,
) -> None:
    async with bench({}) as one:
        one.next_edit.history.opened("file:///lib/mod.py", "def old(): ...\n")
        one.next_edit.history.changed("file:///lib/mod.py", "def fresh(): ...\n")
        text = "from lib.mod import old\n\nold()\n"
        one.next_edit.history.opened(URI, text)
        assert await one.proposed(text) == "from lib.mod import fresh"


async def test_what_is_not_made_again_and_again_is_offered_no_more(bench: Setting) -> None:
    async with bench({}) as one:
        assert [await one.proposed() for _ in range(TIRESOME)] == ["a(new)"] * TIRESOME
        assert await one.proposed() == "b(new)"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_model_reads_the_line_end_with_the_line(end: str) -> None:
    text = f"a{end}old{end}b"
    [change] = changes(text, Replaced(0, "old", "new", times=2), 0)
    request = make_request("1", text, change)
    assert (request.prefix, request.texts) == ("a", ["\nold\nb", "\nnew\nb"])


def test_the_first_line_has_no_line_end_before_it() -> None:
    request = make_request("1", "old", Change(0, 3, "new"))
    assert (request.prefix, request.texts) == ("", ["old", "new"])


# -- another signature ---------------------------------------------------------------------------

DEFINED = "def f(a, b):\n    pass\n\n\nf(1, 2)\n"


async def test_the_calls_of_a_function_follow_its_signature_one_after_the_other(
    bench: Setting,
) -> None:
    before = DEFINED + "f(3, 4)\n"
    text = before.replace("a, b", "a")
    async with bench({}) as one:
        one.next_edit.history.opened(URI, before)
        for written, expected in [("f(1, 2)", "f(1)"), ("f(3, 4)", "f(3)"), ("", None)]:
            one.next_edit.history.changed(URI, text)
            assert await one.proposed(text) == expected
            text = text.replace(written, expected or "")


async def test_calls_in_another_open_document_follow_too(bench: Setting) -> None:
    text = "from lib import f\nf(1, 2)\n"
    async with bench({}) as one:
        one.next_edit.history.opened("file:///lib.py", DEFINED)
        one.next_edit.history.opened(URI, text)
        one.next_edit.history.changed("file:///lib.py", DEFINED.replace("a, b", "a"))
        assert await one.proposed(text) == "f(1)"


async def test_no_call_follows_where_the_model_finds_it_absurd(bench: Setting) -> None:
    text = DEFINED.replace("a, b", "a")
    async with bench({"f(1)": -100.0}) as one:
        one.next_edit.history.opened(URI, DEFINED)
        one.next_edit.history.changed(URI, text)
        assert await one.proposed(text) is None
