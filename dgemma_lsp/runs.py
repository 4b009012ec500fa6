"""A request to the model that outlives the editor's question, as long as it may answer the next.

Whoever types faster than the model answers would otherwise never get an answer: each key would end
the request before it. What is typed may be the first characters of what the model is writing, which
the drafts tell before the end. A run nobody waits for, beside which nothing was typed, is ended.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from dgemma_lsp import wire
from dgemma_lsp.edits import common_start
from dgemma_lsp.quiet import Place
from dgemma_lsp.suggestions import NEAR_CHARS

# An editor may take its question back just before it tells of the key that made it do so.
LINGER_S = 0.1

CLOSERS = ")]}\"'`>"  # what editors put behind the cursor by themselves

Result = TypeVar("Result")
Heard = Callable[[wire.Draft | wire.Block], None]


class Run(Generic[Result]):
    """One request about `place`: `ask` is given what is to hear of every draft and block."""

    def __init__(self, place: Place, ask: Callable[[Heard], Coroutine[Any, Any, Result]]) -> None:
        self.place = place
        self.steps = 0
        self.on_draft: Callable[[wire.Draft], None] | None = None  # of the best candidate
        self._drafts: dict[int, tuple[str, int]] = {}  # of a candidate: text, and what is stable
        self._finished: dict[int, str] = {}
        self._typed = ""
        self._typed_on = False
        self._waiting = 0
        self._task = asyncio.create_task(ask(self._hear))

    @property
    def alive(self) -> bool:
        """Tell whether there may still be an answer."""
        return not self._task.done() and not self._task.cancelling()

    async def wait(self) -> Result | None:
        """Return what came of it; None where it was ended."""
        self._waiting += 1
        try:
            await asyncio.wait([self._task])
        finally:
            self._waiting -= 1
            if not self._waiting and self.alive:
                asyncio.get_running_loop().call_later(LINGER_S, self._end_if_unwanted)
        return self.result

    @property
    def result(self) -> Result | None:
        """What came of it when it has ended; None where it was ended before."""
        return None if self._task.cancelled() else self._task.result()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call this when the request has ended in whatever way."""
        self._task.add_done_callback(lambda _: call())

    def end(self) -> None:
        """Take the request back."""
        self._task.cancel()

    def may_answer(self, place: Place) -> bool:
        """Tell whether what the model is writing may begin with what was typed up to this place."""
        before, after = self.place.before, self.place.after
        if not self.alive or place.uri != self.place.uri:
            return False
        if not place.before.startswith(before) or not place.after.endswith(after):
            return False
        # What stands behind the cursor now was put there by the editor, or it is another place.
        if place.after.removesuffix(after).strip(CLOSERS):
            return False
        self._typed = place.before[len(before) :]
        return self._may_begin_with(self._typed)

    def changed(self, document: str) -> None:
        """End the request where the document has gone on differently."""
        typed = _typed(self.place, document)
        self._typed = "" if typed is None else typed.rstrip(CLOSERS)
        if typed is None or not self._may_begin_with(self._typed):
            self.end()
        else:
            self._typed_on = True

    def _may_begin_with(self, typed: str) -> bool:
        if len(typed) > NEAR_CHARS:
            return False
        return not self._drafts or any(
            agrees(typed, text, stable) for text, stable in self._drafts.values()
        )

    def _hear(self, said: wire.Draft | wire.Block) -> None:
        """Take note of how far the model is; it may choose another text in the end."""
        finished = self._finished.get(said.candidate, "")
        text = finished + said.text
        if isinstance(said, wire.Draft):
            self.steps = max(self.steps, said.step)
            self._drafts[said.candidate] = text, len(finished) + said.stable
        else:
            self.steps = max(self.steps, said.steps)
            self._drafts[said.candidate] = text, len(text)
            self._finished[said.candidate] = text
        if not self._may_begin_with(self._typed):
            self.end()
        elif isinstance(said, wire.Draft) and said.candidate == 0 and self.on_draft is not None:
            self.on_draft(said)

    def _end_if_unwanted(self) -> None:
        if not self._waiting and not self._typed_on:
            self.end()


def agrees(typed: str, text: str, stable: int) -> bool:
    """Tell whether a draft, whose first `stable` characters are settled, may begin so."""
    same = common_start(typed, text)
    return same == len(typed) or same >= stable


def _typed(place: Place, document: str) -> str | None:
    """Return what the document has more than at the place; None where it is not that and more."""
    start = len(place.before) - len(place.selected)
    end = len(document) - len(place.after)
    if end < start or not document.endswith(place.after):
        return None
    if not document.startswith(place.before[:start]):
        return None
    present = document[start:end]
    if place.selected.startswith(present):
        return ""
    return present.removeprefix(place.selected) if present.startswith(place.selected) else None
