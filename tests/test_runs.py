"""One request to a model that is played here; its place is `x = ¦` in a document of two lines."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dgemma_lsp import runs, wire
from dgemma_lsp.quiet import Place
from dgemma_lsp.runs import Heard, Run, agrees

BEFORE, AFTER = "a\nx = ", "\nb\n"


def place(typed: str = "", added: str = "", **values: Any) -> Place:
    base: dict[str, Any] = {"uri": "file:///a", "version": 1, "language": "", "path": None}
    return Place(before=BEFORE + typed, after=added + AFTER, **(base | values))


class Played:
    """A run whose model says what the test says."""

    def __init__(self, **values: Any) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.hear: Heard | None = None
        self.run = Run(place(**values), self._ask)

    async def _ask(self, hear: Heard) -> str:
        self.hear = hear
        return await self.answer

    async def drafts(self, text: str, stable: int = 0, step: int = 1) -> None:
        await asyncio.sleep(0)
        assert self.hear is not None
        self.hear(wire.Draft(id="1", block=0, step=step, text=text, stable=stable))

    def goes_on(self, middle: str) -> bool:
        self.run.changed(BEFORE + middle + AFTER)
        return self.run.alive


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    one = Played()
    yield one
    one.run.end()


@pytest.mark.parametrize(
    ("typed", "text", "stable", "expected"),
    [
        ("", "foo", 3, True),
        ("f", "foo", 3, True),
        ("g", "foo", 1, False),
        ("g", "foo", 0, True),
        ("fu", "foo", 1, True),
        ("fu", "foo", 2, False),
        ("foo(", "foo", 3, True),
        ("foo(", "foo", 0, True),
    ],
)
def test_what_is_typed_agrees_with_a_draft_up_to_what_may_still_change(
    typed: str, text: str, stable: int, expected: bool
) -> None:
    assert agrees(typed, text, stable) is expected


async def test_who_waits_gets_what_came_of_it(played: Played) -> None:
    waiting = asyncio.create_task(played.run.wait())
    await asyncio.sleep(0)
    played.answer.set_result("foo")
    assert await waiting == "foo"
    assert not played.run.alive
    assert await played.run.wait() == "foo"


async def test_an_ended_run_brings_nothing(played: Played) -> None:
    played.run.end()
    assert not played.run.alive
    assert await played.run.wait() is None


async def test_what_was_asked_badly_is_told_to_who_waits(played: Played) -> None:
    played.answer.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await played.run.wait()


@pytest.mark.parametrize(
    ("middle", "goes_on"),
    [
        pytest.param("", True, id="nothing happened"),
        pytest.param("f", True, id="its first character"),
        pytest.param("f()", True, id="and brackets of the editor"),
        pytest.param("g", False, id="another one"),
        pytest.param("fu", True, id="what may still change"),
        pytest.param("fu" * 40, False, id="a whole text"),
    ],
)
async def test_a_run_goes_on_as_long_as_what_is_typed_may_be_its_beginning(
    played: Played, middle: str, goes_on: bool
) -> None:
    assert played.goes_on("anything"), "nothing was drafted yet"
    assert played.goes_on("")
    await played.drafts("foo", stable=1)
    assert played.goes_on(middle) is goes_on


@pytest.mark.parametrize("document", ["", "a\nx =\nb\n", "a\ny = \nb\n", "a\nx = \nc\n", BEFORE])
async def test_another_change_of_the_document_ends_it(played: Played, document: str) -> None:
    played.run.changed(document)
    assert not played.run.alive


async def test_a_draft_that_settles_on_something_else_than_was_typed_ends_it(
    played: Played,
) -> None:
    assert played.goes_on("g")
    await played.drafts("foo", stable=0)
    assert played.run.alive
    await played.drafts("foo", stable=1)
    assert not played.run.alive


async def test_what_is_selected_in_a_menu_may_be_typed_to_its_end() -> None:
    one = Played(typed="append", selected="append", begun="ap")
    assert [one.goes_on(text) for text in ("ap", "app", "append", "append(")] == [True] * 4
    await one.drafts("(1)", stable=1)
    assert one.goes_on("append(")
    assert not one.goes_on("apply")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(place(), True, id="the same place"),
        pytest.param(place("f"), True, id="typed on"),
        pytest.param(place("f", ")"), True, id="closed by the editor"),
        pytest.param(place("f", "x"), False, id="text behind the cursor"),
        pytest.param(place("g"), False, id="typed something else"),
        pytest.param(place("f", uri="file:///b"), False, id="another document"),
        pytest.param(place("fx"), False, id="half of it is something else"),
    ],
)
async def test_a_run_may_answer_a_later_question(
    played: Played, asked: Place, expected: bool
) -> None:
    await played.drafts("foo", stable=3)
    assert played.run.may_answer(asked) is expected


async def test_a_run_that_nobody_waits_for_ends_unless_something_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "LINGER_S", 0.0)
    for typed, alive in ((False, False), (True, True)):
        one = Played()
        waiting = asyncio.create_task(one.run.wait())
        await asyncio.sleep(0)
        if typed:
            one.run.changed(BEFORE + "f" + AFTER)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        ended = asyncio.Event()
        one.run.when_done(ended.set)
        if not alive:
            await ended.wait()
        else:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert one.run.alive is alive
        one.run.end()


async def test_another_who_waits_keeps_it(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LINGER_S", 0.0)
    first, second = (asyncio.create_task(played.run.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    played.answer.set_result("foo")
    assert await second == "foo"


async def test_steps_are_counted_whatever_the_end(played: Played) -> None:
    await played.drafts("f", step=2)
    await played.drafts("fo", step=3)
    assert played.hear is not None
    assert played.run.steps == 3
    played.hear(wire.Block(id="1", block=0, text="foo", steps=4))
    assert played.run.steps == 4
    played.hear(wire.Draft(id="1", block=1, step=1, text="bar", stable=0))
    assert played.run._drafts[0] == ("foobar", 3)
