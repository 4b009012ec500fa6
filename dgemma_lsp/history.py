"""What was edited last in each document: keystrokes -> words and signatures replaced. Pure.

Changes that touch each other are one edit: a word is typed letter by letter, and removed before.
"""

from collections import deque
from typing import NamedTuple

from msgspec import Struct

from dgemma_lsp.edits import Edit, Span, between, follow
from dgemma_lsp.follow import Replaced, words
from dgemma_lsp.signature import Signature, resigned

REMEMBERED = 16  # edits of a document
FRESH = 500  # changes of documents, such as keys, for which a new signature is remembered
LONGEST = 100  # characters of an edit that is looked at: what is longer replaces no word


class _Edited(Struct):
    """A document, what stood in it before the edit under way, and where that edit is."""

    text: str
    base: str
    span: Span
    done: deque[Replaced]
    order: int  # of the last edit, among those of all documents


class Signed(NamedTuple):
    """A signature of a document gave way to another; `texts` are the documents as they were."""

    uri: str
    old: Signature
    new: Signature
    texts: dict[str, str]
    order: int


class History:
    """The last edits of the open documents."""

    def __init__(self) -> None:
        self._documents: dict[str, _Edited] = {}
        self._edits = 0
        self._signed: Signed | None = None

    def opened(self, uri: str, text: str) -> None:
        """Take note of a document as it is before anything is edited."""
        self._documents[uri] = _Edited(text, text, Span(0, 0), deque(maxlen=REMEMBERED), 0)
        if self._signed is not None and self._signed.uri == uri:
            self._signed = None
        elif self._signed is not None:
            self._signed.texts.setdefault(uri, text)

    def changed(self, uri: str, text: str) -> None:
        """Take note of a document's new text."""
        if uri not in self._documents:
            return self.opened(uri, text)
        edited = self._documents[uri]
        edit = between(edited.text, text)
        if edit.removed == edit.added == 0:
            return None
        if _touches(edit, edited.span):
            edited.span = _joined(edited.span, edit)
        else:
            if (replaced := _replaced(edited)) is not None:
                edited.done.append(replaced)
            self._look_for_signature(uri)
            edited.base, edited.span = edited.text, Span(edit.start, edit.start + edit.added)
        edited.done = deque((_moved(one, edit) for one in edited.done), REMEMBERED)
        self._edits += 1
        edited.text, edited.order = text, self._edits
        return None

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self._documents.pop(uri, None)
        if self._signed is not None and self._signed.uri == uri:
            self._signed = None

    def last(self, uri: str) -> Replaced | None:
        """Return the word that was replaced last; None where the last edit was another one.

        It stands where it was replaced first, if it was at several places.
        """
        edited = self._documents.get(uri)
        if edited is None or (newest := _replaced(edited)) is None:
            return None
        alike = [one for one in edited.done if (one.old, one.new) == (newest.old, newest.new)]
        first = alike[0] if alike else newest
        return first._replace(times=len(alike) + 1)

    def signed(self) -> Signed | None:
        """Return the function's signature that was changed last; None after many other edits."""
        newest = max(self._documents, key=lambda uri: self._documents[uri].order, default=None)
        if newest is not None:
            self._look_for_signature(newest)
        if self._signed is None or self._edits - self._signed.order > FRESH:
            return None
        return self._signed

    def text(self, uri: str) -> str:
        """Return what stands in a document."""
        return self._documents[uri].text

    def _look_for_signature(self, uri: str) -> None:
        """Take note of the signature that the edit under way has changed, if it has.

        Several edits of one signature are one change; what is as it was has not changed.
        """
        edited = self._documents[uri]
        if edited.order == 0 or (found := resigned(edited.base, edited.text, edited.span)) is None:
            return
        old, new = found
        known = self._signed
        if known and known.uri == uri and old in (known.old, known.new):
            signed = known._replace(new=new, order=edited.order)
        else:
            texts = {other: one.text for other, one in self._documents.items()}
            signed = Signed(uri, old, new, texts | {uri: edited.base}, edited.order)
        if signed.new != signed.old:
            self._signed = signed
        elif known and known.uri == uri and (old == known.new or new == known.old):
            self._signed = None

    def elsewhere(self, uri: str) -> tuple[str, str, Replaced] | None:
        """Return the other document that was edited last, its text, and the word replaced there.

        None where another edit of this document has come since, but for the same replacement.
        """
        others = [(one.order, other) for other, one in self._documents.items() if other != uri]
        order, other = max(others, default=(0, ""))
        if order == 0 or (edit := self.last(other)) is None:
            return None
        own, own_edit = self._documents.get(uri), self.last(uri)
        if own is not None and own.order > order:
            same = own_edit is not None and (own_edit.old, own_edit.new) == (edit.old, edit.new)
            if not same:
                return None
        return other, self._documents[other].text, edit


def _touches(edit: Edit, span: Span) -> bool:
    return edit.start <= span.end and edit.start + edit.removed >= span.start


def _joined(span: Span, edit: Edit) -> Span:
    """Return where the edit under way stands after another edit that touches it."""
    end = max(span.end, edit.start + edit.removed)
    return Span(min(span.start, edit.start), end + edit.added - edit.removed)


def _replaced(edited: _Edited) -> Replaced | None:
    """Return the word that the edit under way has replaced, if it has replaced one."""
    start, end = edited.span
    old = edited.base[start : len(edited.base) - (len(edited.text) - end)]
    if max(len(old), end - start) > LONGEST:
        return None
    return words(edited.text, edited.span, old)


def _moved(one: Replaced, edit: Edit) -> Replaced:
    start, _ = follow(Span(one.start, one.start + len(one.new)), edit)
    return one._replace(start=start)
