"""The completion that is prepared while another one is shown: as if that one had been accepted.

It waits until nobody types, is given up as soon as the text goes on differently, and knows nothing
of the model: it is given a way to ask.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec.structs import replace

from dgemma_lsp.outcomes import fits
from dgemma_lsp.quiet import Place
from dgemma_lsp.runs import Run
from dgemma_lsp.suggestions import Suggestions

AFTER_S = 0.15  # who types on by then would only take the model's time

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """The one completion that is prepared, and those that were."""

    def __init__(self) -> None:
        self.run: Run[Result] | None = None
        self._prepared = Suggestions()
        self._shown: tuple[Place, str] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def plan(self, place: Place, text: str, ask: Callable[[Place], Run[Result]]) -> None:
        """Ask for what follows `text`, which is shown at `place`, once it has stood for a while."""
        following = replace(place, before=place.before + text, selected="", begun="", invoked=False)
        if self._is_planned(following) or self.find(following):
            return
        self.end()
        self._shown = place, text

        def begin() -> None:
            self.run = ask(following)

        self._timer = asyncio.get_running_loop().call_later(AFTER_S, begin)

    def keep(self, place: Place, texts: Sequence[str]) -> None:
        """Keep what was prepared for a place."""
        self._prepared.keep(place.uri, place.before, place.after, texts)

    def find(self, place: Place) -> list[str]:
        """Return what is prepared for this place, or what is left of it."""
        return self._prepared.find(place.uri, place.before, place.after).rests

    def changed(self, uri: str, document: str) -> None:
        """Give up what is prepared for a document in which what is shown is not being taken."""
        if self._shown is None or self._shown[0].uri != uri:
            return
        place, text = self._shown
        start, end = len(place.before), len(document) - len(place.after)
        around = document.startswith(place.before) and document.endswith(place.after)
        present = document[start:end] if around and start <= end else ""
        if around and start <= end and fits(present, text):
            return
        if self.run is not None and present.startswith(text):
            self.run.changed(document)  # all of it was taken, and something typed behind it
        else:
            self.end()

    def end(self) -> None:
        """Give up what is being prepared."""
        if self._timer is not None:
            self._timer.cancel()
        if self.run is not None:
            self.run.end()
        self.run = self._timer = self._shown = None

    def _is_planned(self, following: Place) -> bool:
        if self._shown is None:
            return False
        place, text = self._shown
        return (place.uri, place.before + text, place.after) == (
            following.uri,
            following.before,
            following.after,
        )
