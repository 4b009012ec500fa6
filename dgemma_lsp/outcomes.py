"""What became of the suggestions that were shown: events in, lines of the log out. Pure.

An offer is what was shown at one place of a document, with its candidates. It is `accepted` when
all of a candidate stands there, `partly` when a piece of one was taken, `rejected` when it was
dismissed on purpose, and `ignored` when the text went on differently. What an editor tells is
believed; where it tells nothing, the document's own changes say it. An editor that tells once what
it shows is expected to do so always: what it does not show is no offer and leaves no line.

Times are seconds and are handed in. It knows no editor and no file.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp.edits import Span, between, common_end, common_start, follow

KEPT_AFTER_S = (30.0, 300.0)

_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")

Outcome = Literal["accepted", "partly", "rejected", "ignored"]
Way = Literal["", "typed", "inserted"]


class Offer(Struct, frozen=True, kw_only=True):
    """What is shown: one of `texts` stands in for `begun` between `before` and `after`.

    `begun` is what the document has of it already. `latency_ms` is from the editor's question to
    the answer, in which the model took `steps` denoising steps.
    """

    uri: str
    language: str
    before: str
    after: str
    texts: tuple[str, ...]
    begun: str = ""
    latency_ms: float = 0.0
    steps: int = 0


class Ended(Struct, frozen=True, kw_only=True, tag="ended", omit_defaults=True):
    """The end of an offer: of `chars` characters `taken` came into the document.

    `way` tells whether what was taken was typed key by key. `text` is there for those only who
    want their code in the log.
    """

    id: str
    at: float
    language: str
    outcome: Outcome
    way: Way = ""
    latency_ms: float
    steps: int
    chars: int
    taken: int
    seconds: float
    text: str = ""


class Kept(Struct, frozen=True, kw_only=True, tag="kept"):
    """How much of what was taken still stood `after_s` seconds later, from 0 to 1."""

    id: str
    after_s: float
    share: float


Line = Ended | Kept


class _Open(Struct):
    offer: Offer
    id: str
    shown_at: float
    document: str  # the last state that fits
    told: bool = False  # by the editor, that it is shown
    taken: int = 0
    inserted: bool = False  # more than one character came at once


class _Watched(Struct):
    id: str
    uri: str
    text: str
    span: Span
    document: str
    since: float
    left: tuple[float, ...] = KEPT_AFTER_S


class Outcomes:
    """The offers whose end is open, and the taken texts that are watched.

    Ids begin with `session`, so that those of several servers differ.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._number = 0
        self._open: dict[str, _Open] = {}
        self._watched: list[_Watched] = []
        self._editor_tells = False

    @property
    def next_due(self) -> float | None:
        """When `due` has something to say next."""
        return min((one.since + one.left[0] for one in self._watched), default=None)

    def offered(self, offer: Offer, now: float) -> tuple[list[str], list[Line]]:
        """Take note of an offer; return the id of each text.

        What is left of the offer before keeps its ids; more candidates of its place replace it.
        """
        lines: list[Line] = []
        before = self._open.get(offer.uri)
        if before is not None and (ids := _same(before, offer)):
            return ids, []
        document = offer.before + offer.begun + offer.after
        if before is not None and before.document != document:
            lines = self._end(before, "ignored", now)
        self._number += 1
        id = f"{self._session}-{self._number}"
        self._open[offer.uri] = _Open(offer, id, now, document)
        return [f"{id}.{index}" for index in range(len(offer.texts))], lines

    def uri_of(self, id: str) -> str | None:
        """Return the document that shows this text; None where none does."""
        found = self._find(id)
        return found[0].offer.uri if found else None

    def shown(self, id: str) -> None:
        """Believe the editor that it shows this text."""
        self._editor_tells = True
        if found := self._find(id):
            found[0].told = True

    def accepted(self, id: str, now: float) -> list[Line]:
        """Believe the editor that all of this text was accepted."""
        if not (found := self._find(id)):
            return []
        one, text = found
        one.told = True
        one.inserted = True
        return self._take(one, text, one.offer.before + text + one.offer.after, now)

    def partly_accepted(self, id: str, shown: str, units: int) -> None:
        """Believe the editor that so many UTF-16 units of the text as `shown` were accepted."""
        if not (found := self._find(id)):
            return
        one, text = found
        one.told = one.inserted = True
        typed = len(text) - len(shown) if text.endswith(shown) else 0
        one.taken = max(one.taken, typed + _characters(shown, units))

    def rejected(self, id: str, now: float) -> list[Line]:
        """Believe the editor that this text was dismissed."""
        if not (found := self._find(id)):
            return []
        found[0].told = True
        return self._end(found[0], "rejected", now)

    def changed(self, uri: str, document: str, now: float) -> list[Line]:
        """Look whether the offer was taken, typed on, or left in a document's new text."""
        for watched in self._watched:
            if watched.uri == uri:
                _follow(watched, document)
        if (one := self._open.get(uri)) is None:
            return []
        present = _present(one.offer, document)
        fitting = [] if present is None else [t for t in one.offer.texts if fits(present, t)]
        if not fitting or present is None:
            return self._leave(one, document, now)
        taken = max(common_start(present, text) for text in fitting)
        # A key may bring a second character, which the editor closes a bracket with.
        grown = min(taken - one.taken, len(document) - len(one.document))
        one.inserted |= grown > 1
        if present in fitting:
            return self._take(one, present, document, now)
        one.taken = max(taken, one.taken)
        one.document = document
        return []

    def closed(self, uri: str, now: float) -> list[Line]:
        """End what a document has open; what was taken in it can be watched no longer."""
        self._watched = [watched for watched in self._watched if watched.uri != uri]
        if (one := self._open.get(uri)) is None:
            return []
        return self._leave(one, one.document, now)

    def all_closed(self, now: float) -> list[Line]:
        """End what is open: the editor leaves."""
        return [line for uri in list(self._open) for line in self.closed(uri, now)]

    def due(self, now: float) -> list[Line]:
        """Tell what was kept of the texts for which it is time."""
        lines: list[Line] = []
        for watched in self._watched:
            while watched.left and watched.since + watched.left[0] <= now:
                after_s, *left = watched.left
                text = watched.document[watched.span.start : watched.span.end]
                share = kept_share(watched.text, text)
                lines.append(Kept(id=watched.id, after_s=after_s, share=share))
                watched.left = tuple(left)
        self._watched = [watched for watched in self._watched if watched.left]
        return lines

    def _find(self, id: str) -> tuple[_Open, str] | None:
        """Return the open offer that an id is of, and the text."""
        number, _, index = id.rpartition(".")
        for one in self._open.values():
            if one.id == number and index.isdecimal() and int(index) < len(one.offer.texts):
                return one, one.offer.texts[int(index)]
        return None

    def _take(self, one: _Open, text: str, document: str, now: float) -> list[Line]:
        """End an offer of which all was taken, and watch it from now on."""
        one.taken = len(text)
        self._watch(one, document, now)
        return self._end(one, "accepted", now, text)

    def _leave(self, one: _Open, document: str, now: float) -> list[Line]:
        """End an offer beside which the text went on."""
        if not (one.inserted and one.taken):
            return self._end(one, "ignored", now)
        if document != one.document:
            self._watch(one, one.document, now)
            _follow(self._watched[-1], document)
        return self._end(one, "partly", now)

    def _watch(self, one: _Open, document: str, now: float) -> None:
        start = len(one.offer.before)
        span = Span(start, start + one.taken)
        text = document[span.start : span.end]
        self._watched.append(_Watched(one.id, one.offer.uri, text, span, document, now))

    def _end(self, one: _Open, outcome: Outcome, now: float, text: str = "") -> list[Line]:
        del self._open[one.offer.uri]
        if self._editor_tells and not one.told:
            self._watched = [watched for watched in self._watched if watched.id != one.id]
            return []
        shown = text or one.offer.texts[0]
        return [
            Ended(
                id=one.id,
                at=round(one.shown_at, 3),
                language=one.offer.language,
                outcome=outcome,
                way=_way(one),
                latency_ms=round(one.offer.latency_ms, 1),
                steps=one.offer.steps,
                chars=len(shown),
                taken=one.taken,
                seconds=round(now - one.shown_at, 1),
                text=shown,
            )
        ]


def fits(present: str, text: str) -> bool:
    """Tell whether a text is being typed: its beginning stands there, and perhaps its end.

    The end is what editors put behind the cursor by themselves, such as a closing bracket.
    """
    start = common_start(present, text)
    return start == len(present) or start + common_end(present, text[start:]) >= len(present)


def kept_share(text: str, now: str) -> float:
    """Return how much of `text`, counted in characters, stands in `now` in the same order."""
    if not text:
        return 0.0
    was, left = _TOKENS.findall(text), _TOKENS.findall(now)
    matcher = SequenceMatcher(None, was, left, autojunk=False)
    same = sum(
        len(token)
        for block in matcher.get_matching_blocks()
        for token in was[block.a : block.a + block.size]
    )
    return round(same / len(text), 3)


def without_code(lines: Iterable[Line]) -> list[Line]:
    """Return the lines without the texts that were shown."""
    return [replace(line, text="") if isinstance(line, Ended) else line for line in lines]


def _same(one: _Open, offer: Offer) -> list[str]:
    """Return the ids of the texts that are what is left of an open offer; none otherwise."""
    document = offer.before + offer.begun + offer.after
    if _present(one.offer, document) is None or not offer.before.startswith(one.offer.before):
        return []
    typed = offer.before[len(one.offer.before) :]
    places = [
        next((i for i, text in enumerate(one.offer.texts) if text.startswith(typed + rest)), None)
        for rest in offer.texts
    ]
    return [] if None in places else [f"{one.id}.{place}" for place in places]


def _present(offer: Offer, document: str) -> str | None:
    """Return what stands in the offer's place; None where the text around it has changed."""
    end = len(document) - len(offer.after)
    if (
        end < len(offer.before)
        or not document.startswith(offer.before)
        or not document.endswith(offer.after)
    ):
        return None
    return document[len(offer.before) : end]


def _follow(watched: _Watched, document: str) -> None:
    watched.span = follow(watched.span, between(watched.document, document))
    watched.document = document


def _way(one: _Open) -> Way:
    if not one.taken:
        return ""
    return "inserted" if one.inserted else "typed"


def _characters(text: str, units: int) -> int:
    """Return how many characters the first UTF-16 units of a text are."""
    head = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return len(head.decode("utf-16-le", "ignore"))
