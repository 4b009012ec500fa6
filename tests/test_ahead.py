"""What is prepared behind `foo`, which is shown at `x = ¦`; the model is played here."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dgemma_lsp import ahead
from dgemma_lsp.ahead import Ahead
from dgemma_lsp.quiet import Place
from dgemma_lsp.runs import Heard, Run

URI = "file:///a"


def place(before: str, **values: Any) -> Place:
    base: dict[str, Any] = {"uri": URI, "version": 1, "language": "", "path": None}
    return Place(before=before, after="\n", **(base | values))


class Prepared:
    """Something prepared by a model that answers nothing by itself."""

    def __init__(self) -> None:
        self.ahead: Ahead[None] = Ahead()
        self.asked: list[Place] = []
        self.begun = asyncio.Event()

    def ask(self, following: Place) -> Run[None]:
        self.asked.append(following)
        self.begun.set()

        async def never(_: Heard) -> None:
            await asyncio.Event().wait()

        return Run(following, never)

    def plan(self, before: str = "x = ", text: str = "foo", **values: Any) -> None:
        self.ahead.plan(place(before, **values), text, self.ask)

    def text(self, middle: str) -> None:
        self.ahead.changed(URI, f"x = {middle}\n")


@pytest.fixture
async def prepared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Prepared]:
    monkeypatch.setattr(ahead, "AFTER_S", 0.0)
    one = Prepared()
    yield one
    one.ahead.end()


async def test_what_follows_the_shown_text_is_asked_for(prepared: Prepared) -> None:
    prepared.plan(selected="f", invoked=True)
    await prepared.begun.wait()
    assert prepared.asked == [place("x = foo")]
    assert prepared.ahead.run is not None and prepared.ahead.run.alive


async def test_it_is_asked_for_once_while_the_shown_text_is_typed(prepared: Prepared) -> None:
    prepared.plan()
    await prepared.begun.wait()
    prepared.text("f")
    prepared.plan("x = f", "oo")
    prepared.text("foo")
    assert prepared.ahead.run is not None and prepared.ahead.run.alive
    assert len(prepared.asked) == 1


async def test_it_goes_on_behind_the_whole_text_and_is_given_up_beside_it(
    prepared: Prepared,
) -> None:
    prepared.plan()
    await prepared.begun.wait()
    run = prepared.ahead.run
    assert run is not None
    prepared.text("foo(")
    assert run.alive
    prepared.text("fu")
    assert not run.alive and prepared.ahead.run is None


@pytest.mark.parametrize("document", ["x = g\n", "", "y = \n", "x = foo\nz"])
async def test_what_was_planned_is_not_asked_after_another_change(
    prepared: Prepared, document: str
) -> None:
    prepared.plan()
    prepared.ahead.changed(URI, document)
    prepared.plan("z = ", "bar")
    await prepared.begun.wait()
    assert prepared.asked == [place("z = bar")]


async def test_another_document_changes_nothing(prepared: Prepared) -> None:
    prepared.plan()
    prepared.ahead.changed("file:///b", "")
    await prepared.begun.wait()
    assert len(prepared.asked) == 1


async def test_what_was_prepared_is_found_and_is_not_asked_for_again(prepared: Prepared) -> None:
    prepared.ahead.keep(place("x = foo"), ["(1)"])
    assert prepared.ahead.find(place("x = foo")) == ["(1)"]
    assert prepared.ahead.find(place("x = foo(")) == ["1)"]
    assert prepared.ahead.find(place("x = bar")) == []
    prepared.plan()
    assert prepared.ahead._timer is None
