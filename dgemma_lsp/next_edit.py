"""The edit that follows from the last one: what rules find, as far as the model agrees.

It knows no protocol. The model only judges here: what it writes by itself in place of a line that
stands is seldom what was meant.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from dgemma_lsp import calls, follow, wire
from dgemma_lsp.calls import Resigned
from dgemma_lsp.client import score
from dgemma_lsp.config import Config
from dgemma_lsp.contact import Contact
from dgemma_lsp.context import for_model, window
from dgemma_lsp.errors import DgemmaError
from dgemma_lsp.follow import Change
from dgemma_lsp.history import History
from dgemma_lsp.quiet import Place, Reason

# Characters that the model reads: few enough for it to hold, so that none is refused.
READ_BEFORE, READ_BEHIND = 2000, 60
JUDGED = 3  # lines at a time, the nearest
TIRESOME = 3  # offers of the same change that was not made
REMEMBERED = 50  # offers
# The daemon keeps the deadline; this is for one that hangs and keeps nothing.
DEADLINE_GRACE_S = 1.0

log = logging.getLogger(__name__)


class NextEdit:
    """Answers one editor's questions for the next edit; `why_off` tells where none is wanted."""

    def __init__(
        self, config: Config, contact: Contact, *, why_off: Callable[[Place], Reason | None]
    ) -> None:
        self.config = config
        self.history = History()
        self._contact = contact
        self._why_off = why_off
        self._ids = map("edit {}".format, itertools.count(1))
        self._offers: deque[tuple[str, str, str]] = deque(maxlen=REMEMBERED)

    async def propose(self, place: Place) -> Change | None:
        """Return the line that should change next, and how; None where nothing is known."""
        # Nobody waits for this: a daemon that was stopped stays so.
        if not self.config.completion.next_edit or not self._contact.linked:
            return None
        if self._why_off(place) is not None:
            return None
        text = place.before + place.after
        found = (
            self._here(place, text)
            or self._from_elsewhere(place, text)
            or await self._at_calls(place, text)
        )
        for change in [one for one in found if not self._is_tiresome(place, text, one)][:JUDGED]:
            gain = await self._gain(text, change)
            if gain is None:
                return None
            if gain >= self.config.completion.next_edit_gain:
                self._offers.append(_key(place, text, change))
                return change
        return None

    def _here(self, place: Place, text: str) -> list[Change]:
        edit = self.history.last(place.uri)
        return [] if edit is None else follow.changes(text, edit, len(place.before))

    def _from_elsewhere(self, place: Place, text: str) -> list[Change]:
        """Return what follows here from a name that was given anew in another document."""
        if (last := self.history.elsewhere(place.uri)) is None:
            return []
        other, its_text, edit = last
        module = _module(other)
        if not module or not follow.exports(its_text, edit):
            return []
        return follow.elsewhere(text, edit, module, len(place.before))

    async def _at_calls(self, place: Place, text: str) -> list[Change]:
        """Return what follows at the calls of the function whose signature was changed last."""
        signed = self.history.signed() if place.language == "python" else None
        if signed is None or place.uri not in signed.texts:
            return []
        is_here, module = signed.uri == place.uri, _module(signed.uri)
        if not is_here and not module:
            return []
        change = Resigned(signed.old, signed.new, module)
        definition = None if is_here else self.history.text(signed.uri)
        before, cursor = signed.texts[place.uri], len(place.before)
        # To read a long document takes longer than a key may wait.
        return await asyncio.to_thread(
            calls.changes, before, text, change, cursor, definition=definition
        )

    def _is_tiresome(self, place: Place, text: str, change: Change) -> bool:
        return self._offers.count(_key(place, text, change)) >= TIRESOME

    async def _gain(self, text: str, change: Change) -> float | None:
        """Return how much better the text reads with the change, in nats; None without answer."""
        message = make_request(next(self._ids), text, change)
        deadline_s = self.config.completion.deadline_ms / 1000
        try:
            async with asyncio.timeout(deadline_s + DEADLINE_GRACE_S):
                link = await self._contact.link()
                with self._contact.asking():
                    present, changed = await score(link, message)
        except (TimeoutError, DgemmaError) as exc:
            log.info("%s was not judged: %s", message.id, exc or "no answer in time")
            return None
        return changed - present


def make_request(id: str, text: str, change: Change) -> wire.Score:
    """Return what to ask the daemon: how probable a line is as it stands, and with the change.

    Both with the beginning of what follows. The line end before the line belongs to it: so it is
    cut into tokens as the model knows it.
    """
    around = window(text, change.start, prefix_chars=READ_BEFORE, suffix_chars=0)
    prefix = for_model(around.prefix)
    lead = "\n" if prefix.endswith("\n") else ""
    behind = text[change.end : change.end + READ_BEHIND]
    present = text[change.start : change.end]
    return wire.Score(
        id=id,
        prefix=prefix.removesuffix("\n"),
        texts=[lead + for_model(line + behind) for line in (present, change.text)],
        priority="interactive",
    )


def _module(uri: str) -> str:
    """Return the name by which a document's module is imported."""
    path = PurePosixPath(unquote(urlsplit(uri).path))
    return path.parent.name if path.stem == "__init__" else path.stem


def _key(place: Place, text: str, change: Change) -> tuple[str, str, str]:
    return place.uri, text[change.start : change.end], change.text
