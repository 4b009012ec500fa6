"""What of other files the model may read: pieces around the last edits, and heads of open files.

Pure. The pieces lie in a ring, none nearly like another. What a document is given of them does not
change while that document alone is edited, so that what the model has read can be used again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dgemma_lsp.context import split_lines

PIECES = 16
LINES = 32  # of a piece, around the place of an edit
ALIKE = 0.9  # of the lines of two pieces, and the older one goes

_HASHES = ("python", "ruby", "perl", "r", "shellscript", "sh", "yaml", "toml", "dockerfile", "make")
_DASHES = ("lua", "sql", "haskell", "elm", "ada")
_COMMENTS = dict.fromkeys(_HASHES, "#") | dict.fromkeys(_DASHES, "--")


class Piece(NamedTuple):
    """Some lines of a file, and the name that a reader knows it by."""

    uri: str
    name: str
    text: str


class _Touched(NamedTuple):
    name: str
    document: str
    line: int


class Neighbours:
    """The pieces of the files that were opened and edited last."""

    def __init__(self) -> None:
        self._ring: list[Piece] = []  # the oldest first
        self._touched: dict[str, _Touched] = {}  # cut out only when another file wants them

    def touched(self, uri: str, name: str, document: str, line: int) -> None:
        """Take note that a file was opened, or edited at this line."""
        before = self._touched.pop(uri, None)
        if before is not None and abs(before.line - line) > LINES // 2:
            self._cut(uri, before)
        self._touched[uri] = _Touched(name, document, line)

    def forget(self, uri: str) -> None:
        """Forget a file, such as one that is left out from now on."""
        self._touched.pop(uri, None)
        self._ring = [piece for piece in self._ring if piece.uri != uri]

    def of_others(self, uri: str, chars: int) -> list[Piece]:
        """Return pieces of other files, the newest last, together at most so many characters.

        The oldest of them may be cut short.
        """
        for other in [other for other in self._touched if other != uri]:
            self._cut(other, self._touched.pop(other))
        return fitting([piece for piece in self._ring if piece.uri != uri], chars)

    def _cut(self, uri: str, touched: _Touched) -> None:
        lines = split_lines(touched.document)
        start = max(0, min(touched.line, len(lines)) - LINES // 2)
        text = "".join(lines[start : start + LINES]).strip("\r\n")
        if not text.strip():
            return
        kept = [piece for piece in self._ring if likeness(piece.text, text) < ALIKE]
        self._ring = [*kept, Piece(uri, touched.name, text)][-PIECES:]


def fitting(pieces: Sequence[Piece], chars: int) -> list[Piece]:
    """Return the last of the pieces, together at most so many characters; one may be cut short."""
    fit: list[Piece] = []
    for piece in reversed(pieces):
        text = first_lines(piece.text, chars - len(piece.name))
        if text:
            fit.insert(0, piece._replace(text=text))
        if text != piece.text:
            break
        chars -= len(piece.name) + len(text)
    return fit


def first_lines(text: str, chars: int) -> str:
    """Return as many whole lines as fit into so many characters."""
    return (
        text if len(text) <= chars else text[: text.rfind("\n", 0, max(0, chars) + 1) + 1].rstrip()
    )


def likeness(one: str, other: str) -> float:
    """Return how many of the different lines of both are in both, from 0 to 1."""
    lines, others = (
        {line.strip() for line in text.splitlines() if line.strip()} for text in (one, other)
    )
    return len(lines & others) / len(lines | others) if lines | others else 1.0


def lay_before(prefix: str, name: str, pieces: Sequence[Piece], language: str) -> str:
    """Return the prefix of the file `name` behind the pieces; comments say the names."""
    if not pieces:
        return prefix
    mark = _mark(language)
    parts = [f"{mark} {piece.name}\n{piece.text}\n\n" for piece in pieces]
    return "".join(parts) + f"{mark} {name}\n{prefix}"


def as_comment(text: str, language: str) -> str:
    """Return lines as comments of a language."""
    return "\n".join(f"{_mark(language)} {line}" for line in text.split("\n"))


def _mark(language: str) -> str:
    return _COMMENTS.get(language, "//")
