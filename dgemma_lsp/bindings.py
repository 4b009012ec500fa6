"""Which names the code at a cursor lacks. Pure; knows Python, and of other languages nothing.

A line that is missing often gives a name something that the lines below it use. Judged is the
outermost function around the cursor, or at the margin what stands below; of the rest of the file
only what it binds at its margin counts.
"""

import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dgemma_lsp import scopes
from dgemma_lsp.scopes import Named
from dgemma_lsp.syntax import tree

# Longer code takes longer to read than a person should wait; so much below a cursor at the margin.
LONGEST_CHARS, BELOW_CHARS = 20_000, 4_000

_ALWAYS = frozenset(dir(builtins)) | {"__class__", "__doc__", "__file__", "__name__", "__path__"}
_HEAD = re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)")
_FUNCTION = re.compile(r"([ \t]*)(?:async[ \t]+)?def\b")
_STAR = re.compile(r"^[ \t]*from[ \t]+\S+[ \t]+import[ \t]+\*", re.MULTILINE)
# A line that ends nothing, however little it is indented.
_GOES_ON = re.compile(r"[ \t]*(?:else\b|elif\b|except\b|finally\b|[)\]}]|#|$)", re.MULTILINE)
_QUOTES = re.compile(r"\"{3}|'{3}")
_WORD = re.compile(r"[^\W\d]\w*")
# What may stand in the place of the cursor's line, so that what is around it parses.
_LINE, _HEAD_OF_BLOCK = "pass", "if None:"


@dataclass(frozen=True)
class Code:
    """The code around a cursor that is judged, and the names `known` from the rest of the file."""

    above: str
    below: str
    known: frozenset[str]

    @property
    def typed(self) -> str:
        """What is typed of the cursor's line."""
        return self.above[self.above.rfind("\n") + 1 :]

    def unbound(self, text: str) -> list[Named] | None:
        """Return what is used of names that nothing binds, with `text` at the cursor.

        None for a syntax error.
        """
        return self._unbound(self.above + text + self.below)

    def unbound_around(self, line: str) -> list[Named] | None:
        """Return the same with `line` in the place of the cursor's whole line."""
        above = self.above[: len(self.above) - len(self.typed)]
        indentation = self.typed[: len(self.typed) - len(self.typed.lstrip())]
        _, line_end, below = self.below.partition("\n")
        return self._unbound(above + indentation + line + line_end + below)

    def _unbound(self, code: str) -> list[Named] | None:
        indented = code.startswith((" ", "\t"))
        module = tree(f"if None:\n{code}" if indented else code)
        if module is None:
            return None
        return [
            Named(name, line - indented)
            for name, line in scopes.unbound(module)
            if name not in self.known and name not in _ALWAYS
        ]


@dataclass(frozen=True)
class Surroundings:
    """What the code around a cursor needs of its line.

    `wanted` are the names that the code below uses and nothing binds, in the order of their first
    use. `opens` tells that the line must open a block, `typed` is what stands of it already.
    """

    typed: str = ""
    wanted: tuple[str, ...] = ()
    opens: bool = False
    _code: Code | None = None
    _unbound: frozenset[str] = frozenset()

    def lacking(self, text: str) -> int:
        """Return how many names are unbound with `text` at the cursor for which it is to blame.

        Those are the wanted ones, all of them where the code does not parse with it, and others
        that only `text` uses; 0 where nothing can be told.
        """
        unbound = None if self._code is None else self._code.unbound(text)
        if unbound is None:
            return len(self.wanted)
        names = {one.name for one in unbound}
        return len(names.intersection(self.wanted)) + len(names - self._unbound)


def surroundings(before: str, after: str, language: str) -> Surroundings:
    """Return what the code on both sides of a cursor needs.

    Nothing is told of it where it does not parse, is too long, or imports names without naming
    them, and nothing of other languages than Python.
    """
    code = _code(before, after) if language == "python" else None
    if code is None:
        return Surroundings()
    for filler in (_LINE, _HEAD_OF_BLOCK):
        unbound = code.unbound_around(filler)
        if unbound is not None:
            line = code.above.count("\n") + 1
            above = {one.name for one in unbound if one.line <= line}
            below = (one.name for one in unbound if one.line > line)
            return Surroundings(
                typed=code.typed.lstrip(),
                wanted=tuple(dict.fromkeys(name for name in below if name not in above)),
                opens=filler == _HEAD_OF_BLOCK,
                _code=code,
                _unbound=frozenset(one.name for one in unbound),
            )
    return Surroundings()


def _code(before: str, after: str) -> Code | None:
    start = _start(before)
    above = before[start:]
    end = _end(above, after)
    known = _bound_at_margin(before[:start], after[end:])
    if known is None or len(above) + end > LONGEST_CHARS:
        return None
    return Code(above, after[:end], known)


def _start(before: str) -> int:
    """Return where the outermost function around the cursor begins, or else its statement.

    A cursor at the margin is in none.
    """
    line = before.rfind("\n") + 1
    depth = _depth(before[line:])
    start = at = line
    while depth and at:
        at = before.rfind("\n", 0, at - 1) + 1
        if (head := _FUNCTION.match(before, at)) and len(head[1]) < depth:
            start, depth = at, len(head[1])
        elif before[at] not in " \t\n#)]}":
            return at if start == line else start
    return start


def _end(above: str, after: str) -> int:
    """Return where the code ends that begins with `above`."""
    is_at_margin = "\n" not in above and _depth(above) == 0
    depth = _depth(above)
    at = after.find("\n") + 1
    while at:
        ends = not _GOES_ON.match(after, at) and _depth(after[at : at + 200]) <= depth
        if ends and (at > BELOW_CHARS or not is_at_margin):
            return at
        at = after.find("\n", at) + 1
    return len(after)


def _depth(text: str) -> int:
    """Return how far a text's first line is indented."""
    return len(text) - len(text.lstrip(" \t"))


@lru_cache(maxsize=8)
def _bound_at_margin(above: str, below: str) -> frozenset[str] | None:
    """Return the names that the rest of a file may bind at its margin.

    These are all that its statements there mention, and of functions and classes their own. None
    where it imports names without naming them. While one types within a function it is the same.
    """
    if _STAR.search(above) or _STAR.search(below):
        return None
    return frozenset(name for text in (above, below) for name in _at_margin(text))


def _at_margin(text: str) -> Iterator[str]:
    within = quoted = False
    for line in text.split("\n"):
        was_quoted = quoted
        quoted ^= len(_QUOTES.findall(line)) % 2 == 1
        if was_quoted or not line.strip() or _QUOTES.match(line):
            continue
        if line[0] not in " \t":
            head = _HEAD.match(line)
            within = head is not None
            if head is not None:
                yield head[1]
        if not within:
            yield from _WORD.findall(line.partition("#")[0])
