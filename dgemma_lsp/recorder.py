"""From the events of an editor to the log: the clock, the alarm for what was kept, and the file.

What an event means is decided in `outcomes`.
"""

import asyncio
import secrets
import time

from dgemma_lsp.config import Editor
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Line, Offer, Outcomes, without_code


class Recorder:
    """Records what becomes of one editor's suggestions, as far as `options` want it."""

    def __init__(self, log: OutcomeLog, options: Editor) -> None:
        self.options = options
        self._log = log
        self._outcomes = Outcomes(secrets.token_hex(4))
        self._alarm: asyncio.TimerHandle | None = None

    def offered(self, offer: Offer) -> list[str]:
        """Take note of what is shown; return the id of each text."""
        ids, lines = self._outcomes.offered(offer, time.time())
        self._write(lines)
        return ids

    def shown(self, id: str) -> None:
        """Take note that the editor shows this text."""
        self._outcomes.shown(id)

    def accepted(self, id: str) -> None:
        """Take note that all of this text was accepted."""
        self._write(self._outcomes.accepted(id, time.time()))

    def partly_accepted(self, id: str, shown: str, units: int) -> None:
        """Take note that so many UTF-16 units of the text as `shown` were accepted."""
        self._outcomes.partly_accepted(id, shown, units)

    def rejected(self, id: str) -> str | None:
        """Take note that this text was dismissed; return the document that showed it, if any."""
        uri = self._outcomes.uri_of(id)
        self._write(self._outcomes.rejected(id, time.time()))
        return uri

    def changed(self, uri: str, document: str) -> None:
        """Take note of a document's new text."""
        self._write(self._outcomes.changed(uri, document, time.time()))

    def closed(self, uri: str) -> None:
        """Take note that a document was closed."""
        self._write(self._outcomes.closed(uri, time.time()))

    def close(self) -> None:
        """Take note that the editor leaves."""
        self._write(self._outcomes.all_closed(time.time()))

    def _write(self, lines: list[Line]) -> None:
        match self.options.record:
            case "outcomes":
                self._log.append(without_code(lines))
            case "code":
                self._log.append(lines)
            case "off":
                pass
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if (due := self._outcomes.next_due) is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(0.0, due - time.time()), self._ring)

    def _ring(self) -> None:
        self._write(self._outcomes.due(time.time()))
