"""The suggestions made last: whoever types one gets its rest at once. Pure; asks nobody.

It knows no editor and no daemon, and does not judge whether a text is worth showing: `ghost` did.

Words: a suggestion is the text that was shown at a cursor; `before` and `after` are the document's
text on both sides of it, `typed` is what has come between them since.
"""

import re
from collections.abc import Sequence
from sys import getsizeof
from typing import NamedTuple

DOCUMENTS = 32  # remembered at most ...
MEMORY = 16 * 1024 * 1024  # ... with so many bytes of text
NEAR_CHARS = 64  # more than this beside a suggestion, and it is about something else

# Where a piece of text may begin that two texts have in common: at a word or at punctuation.
_STARTS = re.compile(r"\b\w|[^\w\s]")


class Found(NamedTuple):
    """What is known of a place: `rests` are an answer, `previous` is where the model may start.

    One of them is empty, or both.
    """

    rests: list[str]
    previous: str


class Suggested(NamedTuple):
    """Suggestions of one place, the best first."""

    before: str
    after: str
    texts: tuple[str, ...]

    @property
    def memory(self) -> int:
        """How many bytes it holds."""
        return sum(map(getsizeof, (self.before, self.after, *self.texts)))


NOTHING = Found([], "")


class Suggestions:
    """The last suggestions of each document; the least recently used go when there are too many."""

    def __init__(self, documents: int = DOCUMENTS, memory: int = MEMORY) -> None:
        self._documents = documents
        self._memory = memory
        self._kept: dict[str, Suggested] = {}  # the least recently used first

    def keep(self, uri: str, before: str, after: str, texts: Sequence[str]) -> None:
        """Remember what was suggested in place of what was known of the document.

        An answer without a text changes nothing. A document that is larger than all that may be
        held is not remembered.
        """
        if not texts:
            return
        self.forget(uri)
        suggested = Suggested(before, after, tuple(texts))
        if suggested.memory > self._memory:
            return
        self._kept[uri] = suggested
        while len(self._kept) > self._documents or self._held() > self._memory:
            del self._kept[next(iter(self._kept))]

    def find(self, uri: str, before: str, after: str) -> Found:
        """Return what is known of this place of the document.

        A suggestion that is wholly typed is forgotten.
        """
        if (suggested := self._kept.pop(uri, None)) is None:
            return NOTHING
        fitting = rests(suggested, before, after)
        shown = [rest for rest in fitting if rest.strip()]
        if fitting and not shown:
            return NOTHING
        self._kept[uri] = suggested
        return Found(shown, "" if shown else still_to_come(suggested, before, after))

    def forget(self, uri: str) -> None:
        """Forget the document."""
        self._kept.pop(uri, None)

    def _held(self) -> int:
        return sum(suggested.memory for suggested in self._kept.values())


def rests(suggested: Suggested, before: str, after: str) -> list[str]:
    """Return what is left of each suggestion that is being typed.

    With it in between, `before` and `after` are exactly the old text with that suggestion. What an
    editor has put behind the cursor by itself, such as a closing bracket, is a suggestion's end.
    """
    if not before.startswith(suggested.before) or not after.endswith(suggested.after):
        return []
    typed = before[len(suggested.before) :]
    added = after[: len(after) - len(suggested.after)]
    return [
        text[len(typed) : len(text) - len(added)]
        for text in suggested.texts
        if len(typed) + len(added) <= len(text) and text.startswith(typed) and text.endswith(added)
    ]


def still_to_come(suggested: Suggested, before: str, after: str) -> str:
    """Return what of a suggestion may follow where something else was typed; "" for nothing.

    It is taken from the suggestion that the typed text agrees with longest.
    """
    if not before.startswith(suggested.before):
        return ""
    typed = before[len(suggested.before) :]
    passed = suggested.after[: max(0, len(suggested.after) - len(after))]
    if passed and typed.startswith(passed):
        return ""  # the cursor went elsewhere
    text = max(suggested.texts, key=lambda text: _agreeing(typed, text))
    left = align(typed, text)
    return left if left.strip() else ""


def align(typed: str, text: str) -> str:
    """Return `text` behind what was typed instead of its beginning.

    Where the longest end of `typed`, from the beginning of a word on, stands in `text` beyond the
    beginning of both, it is what follows there. Otherwise as much goes as was typed.
    """
    same = _agreeing(typed, text)
    if len(typed) - same > NEAR_CHARS:
        return ""
    for start in _STARTS.finditer(typed, same):
        piece = re.compile(r"(?:\b|(?=\W))" + re.escape(typed[start.start() :]))
        if found := piece.search(text, same):
            return text[found.end() :]
    return text[len(typed) :]


def _agreeing(typed: str, text: str) -> int:
    """Return how many characters both begin with."""
    pairs = enumerate(zip(typed, text, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(typed), len(text)))
