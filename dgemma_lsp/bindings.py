"""Which names the code at a cursor lacks. Pure; knows Python, and of other languages nothing.

A line that is missing often gives a name something that the lines below it use, or uses what
nothing else does. Judged is the outermost function around the cursor, or at the margin what stands
below; of the rest of the file only what it binds at its margin counts.
"""

import ast
import builtins
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from dgemma_lsp import scopes
from dgemma_lsp.scopes import Named
from dgemma_lsp.syntax import tree

# Longer code takes longer to read than a person should wait; so much below a cursor at the margin.
LONGEST_CHARS, BELOW_CHARS = 10_000, 4_000
# A file that mentions more names at its margin is no program but a table.
MOST_NAMES = 2_000

_ALWAYS = frozenset(dir(builtins)) | {"__class__", "__doc__", "__file__", "__name__", "__path__"}
_HEAD = re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)")
_FUNCTION = re.compile(r"([ \t]*)(?:async[ \t]+)?def\b")
_STAR = re.compile(r"^[ \t]*from[ \t]+\S+[ \t]+import[ \t]+\*", re.MULTILINE)
# A line that ends nothing, however little it is indented.
_GOES_ON = re.compile(r"[ \t]*(?:else\b|elif\b|except\b|finally\b|[)\]}]|#|$)", re.MULTILINE)
_QUOTES = re.compile(r"\"{3}|'{3}")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OBJECTS = ("self", "cls")
_WORD = re.compile(r"[^\W\d]\w*")
# What may stand in the place of the cursor's line, so that what is around it parses.
_LINE, _HEAD_OF_BLOCK = "pass", "if None:"


@dataclass(frozen=True)
class Code:
    """The code around a cursor that is judged.

    `bound` are the names that the rest of the file binds, None where nobody knows.
    """

    above: str
    below: str
    bound: frozenset[str] | None

    @property
    def typed(self) -> str:
        """What is typed of the cursor's line."""
        return self.above[self.above.rfind("\n") + 1 :]

    def filled(self, text: str) -> ast.Module | None:
        """Return the tree of the code with `text` at the cursor; None for a syntax error."""
        return self._tree(self.above + text + self.below)

    def around(self, line: str) -> ast.Module | None:
        """Return the same with `line` in the place of the cursor's whole line."""
        above = self.above[: len(self.above) - len(self.typed)]
        indentation = self.typed[: len(self.typed) - len(self.typed.lstrip())]
        _, line_end, below = self.below.partition("\n")
        return self._tree(above + indentation + line + line_end + below)

    def unbound(self, module: ast.Module) -> list[Named]:
        """Return what a tree of the code uses of names that nothing binds."""
        if self.bound is None:
            return []
        known = self.bound
        used = scopes.unbound(module)
        return [one for one in used if one.name not in known and one.name not in _ALWAYS]

    @property
    def line(self) -> int:
        """The number of the cursor's line in a tree of the code."""
        return self.above.count("\n") + 1 + self._is_indented

    @property
    def _is_indented(self) -> bool:
        return self.above.startswith((" ", "\t"))

    def _tree(self, code: str) -> ast.Module | None:
        return tree(f"if None:\n{code}" if self._is_indented else code)


class Judgement(NamedTuple):
    """How many names are unbound for which a text is to blame, and whether it uses an idle one.

    Unbound may be what is wanted, and what only the text uses.
    """

    lacking: int
    uses: bool


@dataclass(frozen=True)
class Surroundings:
    """What the code around a cursor needs of its line.

    `wanted` are the names that the code below uses and nothing binds, in the order of their first
    use, `idle` those that the function has bound above and uses nowhere, the last one first.
    `opens` tells that the line must open a block, `typed` is what stands of it already.
    """

    typed: str = ""
    wanted: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    opens: bool = False
    _code: Code | None = None
    _unbound: frozenset[str] = frozenset()

    def judge(self, text: str) -> Judgement:
        """Return what becomes of the names with `text` at the cursor.

        A text with which the code does not parse binds nothing and uses nothing.
        """
        module = None if self._code is None else self._code.filled(text)
        if self._code is None or module is None:
            return Judgement(lacking=len(self.wanted), uses=False)
        names = {one.name for one in self._code.unbound(module)}
        lacking = len(names.intersection(self.wanted)) + len(names - self._unbound)
        return Judgement(lacking, uses=not set(self.idle) <= set(_idle(module)))


def surroundings(
    before: str, after: str, language: str, bound: Collection[str] | None
) -> Surroundings:
    """Return what the code on both sides of a cursor needs.

    `bound` are the names that the rest of the file binds, None where nobody knows; then none is
    wanted. Nothing is told of code that does not parse or is too long, and of other languages than
    Python.
    """
    place = _place(before, after) if language == "python" else None
    if place is None or len(before) - place.start + place.end > LONGEST_CHARS:
        return Surroundings()
    known = None if bound is None else frozenset(bound)
    code = Code(before[place.start :], after[: place.end], known)
    for filler in (_LINE, _HEAD_OF_BLOCK):
        module = code.around(filler)
        if module is not None:
            unbound = code.unbound(module)
            above = {one.name for one in unbound if one.line <= code.line}
            below = (one.name for one in unbound if one.line > code.line)
            return Surroundings(
                typed=code.typed.lstrip(),
                wanted=tuple(dict.fromkeys(name for name in below if name not in above)),
                idle=tuple(name for name, line in _idle(module).items() if line < code.line),
                opens=filler == _HEAD_OF_BLOCK,
                _code=code,
                _unbound=frozenset(one.name for one in unbound),
            )
    return Surroundings()


def _idle(module: ast.Module) -> dict[str, int]:
    """Return what the outermost function binds and uses nowhere, the last first, and where.

    A method may do without its object, and what begins with an underscore is not meant to be used.
    """
    function = next((one for one in ast.walk(module) if isinstance(one, _FUNCTIONS)), None)
    names = scopes.idle(function) if function else []
    clear = (one for one in names[::-1] if one.name not in _OBJECTS and one.name[0] != "_")
    return {one.name: one.line for one in clear}


def bound(before: str, after: str, language: str) -> list[str] | None:
    """Return the names that a file binds beside the code at the cursor, which all of it tells.

    None where that is not sure: where it imports names without naming them, and in other languages
    than Python.
    """
    place = _place(before, after) if language == "python" else None
    if place is None or _STAR.search(before) or _STAR.search(after):
        return None
    names = _bound_at_margin(before[: place.start], after[place.end :])
    return None if len(names) > MOST_NAMES else sorted(names)


class _Place(NamedTuple):
    """Where in the text before the cursor its code starts, and where it ends in that behind."""

    start: int
    end: int


def _place(before: str, after: str) -> _Place | None:
    start = _start(before)
    return None if start is None else _Place(start, _end(before[start:], after))


def _start(before: str) -> int | None:
    """Return where the outermost function around the cursor begins, or else its statement.

    A cursor at the margin is in none; None where the text begins within one.
    """
    at = line = before.rfind("\n") + 1
    start = None if (depth := _depth(before[line:])) else line
    while depth and at:
        at = before.rfind("\n", 0, at - 1) + 1
        if (head := _FUNCTION.match(before, at)) and len(head[1]) < depth:
            start, depth = at, len(head[1])
        elif before[at] not in " \t\n#)]}":
            return at if start is None else start
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
def _bound_at_margin(above: str, below: str) -> frozenset[str]:
    """Return the names that the rest of a file may bind at its margin.

    These are all that its statements there mention, and of functions and classes their own. While
    one types within a function it is the same.
    """
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
