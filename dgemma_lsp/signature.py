"""The signature of a Python function, read where somebody edits it, and what became of it. Pure.

The text around it need not parse: it is seldom finished.
"""

import ast
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from dgemma_lsp.edits import Span

LONGEST = 2000  # characters of a header

_DEF = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_CLASS = re.compile(r"class[ \t]+(\w+)")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_STRING = re.compile(r"(\"\"\"|'''|\"|')(?:\\.|(?!\1)[^\\])*\1|#[^\n]*", re.DOTALL)

Kind = Literal["position", "either", "keyword"]


class Parameter(NamedTuple):
    """What a caller may hand over: how, and whether it may be left out."""

    name: str
    kind: Kind
    optional: bool


class Signature(NamedTuple):
    """A function of a module, or of the class `owner`, and all its parameters."""

    owner: str
    name: str
    parameters: tuple[Parameter, ...]


def resigned(before: str, text: str, span: Span) -> tuple[Signature, Signature] | None:
    """Return what a signature was and is, where `span` of `text` was edited inside it.

    None where the edit is not inside the brackets of one function, or where one of both cannot be
    read, as while it is being typed.
    """
    if (start := _start(text, span.start)) is None:
        return None
    new = read(text, start, least_end=span.end)
    old = read(before, start, least_end=span.start)
    if old is None or new is None or (old.owner, old.name) != (new.owner, new.name):
        return None
    return old, new


def read(text: str, start: int, *, least_end: int) -> Signature | None:
    """Return the signature whose line starts here and whose bracket closes behind `least_end`.

    None also for a function inside another one, and for one that takes any arguments (`*`, `**`).
    """
    found = _DEF.match(text, start)
    if found is None or (close := _closing(text, found.end())) is None or close < least_end:
        return None
    owner = _owner(text, start, len(found[1]))
    try:
        [function] = ast.parse(f"def f({text[found.end() : close]}): pass").body
    except (SyntaxError, ValueError):
        return None
    if owner is None or not isinstance(function, ast.FunctionDef):
        return None
    parameters = _parameters(function.args)
    return None if parameters is None else Signature(owner, found[2], parameters)


def renamed(old: Sequence[Parameter], new: Sequence[Parameter]) -> dict[str, str] | None:
    """Return what each parameter that is still there is called now; None where that is not sure."""
    names, new_names = [one.name for one in old], [one.name for one in new]
    gone = [name for name in names if name not in new_names]
    come = [name for name in new_names if name not in names]
    kept = {name: name for name in names if name in new_names}
    if not gone or not come:
        return kept
    if len(gone) > 1 or len(come) > 1 or names.index(gone[0]) != new_names.index(come[0]):
        return None
    rest = [name for name in names if name != gone[0]]
    same_rest = rest == [name for name in new_names if name != come[0]]
    return kept | {gone[0]: come[0]} if same_rest else None


def _start(text: str, at: int) -> int | None:
    """Return where the last line before a place begins that heads a function."""
    first = text.rfind("\n", 0, max(0, at - LONGEST)) + 1
    starts = [found.start() for found in _DEF.finditer(text, first, at)]
    return starts[-1] if starts else None


def _closing(text: str, at: int) -> int | None:
    """Return where the bracket closes that was opened before `at`."""
    opened, end = ["("], min(len(text), at + LONGEST)
    while at < end:
        if (string := _STRING.match(text, at)) is not None:
            at = string.end()
            continue
        if text[at] in "([{":
            opened.append(text[at])
        elif text[at] in _BRACKETS:
            if opened.pop() != _BRACKETS[text[at]]:
                return None
            if not opened:
                return at
        at += 1
    return None


def _owner(text: str, start: int, indent: int) -> str | None:
    """Return the class at the margin that a function is in, "" for none; None for anything else."""
    if indent == 0:
        return ""
    for line in reversed(text[:start].split("\n")):
        depth = len(line) - len(line.lstrip())
        if line.strip() and not line.lstrip().startswith(("#", ")")) and depth < indent:
            found = _CLASS.match(line)
            return found[1] if found else None
    return None


def _parameters(arguments: ast.arguments) -> tuple[Parameter, ...] | None:
    if arguments.vararg or arguments.kwarg:
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    found = [
        Parameter(
            one.arg,
            "position" if number < len(arguments.posonlyargs) else "either",
            number >= required,
        )
        for number, one in enumerate(positional)
    ]
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(one.arg, "keyword", default is not None))
    return tuple(found)
