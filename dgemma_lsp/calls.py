"""What follows at its calls from another signature of a Python function. Pure.

It is sure, or says nothing: a call must be of that very function by name, must have fitted the old
signature, and what is handed over must be known.
"""

import ast
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from dgemma_lsp.call_sites import Call, Reader, called
from dgemma_lsp.follow import Change, nearest
from dgemma_lsp.signature import Parameter, Signature, renamed

LONGEST = 200_000  # characters of a document that is looked through

_COMMA = re.compile(r"\s*,\s*")


class Resigned(NamedTuple):
    """A signature that gave way to another one, in a document whose module has this name."""

    old: Signature
    new: Signature
    module: str


class _Argument(NamedTuple):
    """What is handed over for a parameter, as it is written where it is named."""

    parameter: str
    value: str
    written: str = ""

    def named(self, name: str) -> str:
        """Return it with a parameter's name."""
        return self.written if self.written and self.parameter == name else f"{name}={self.value}"


def changes(
    before: str, text: str, change: Resigned, cursor: int, *, definition: str | None = None
) -> list[Change]:
    """Return the lines with calls that should follow, the nearest below the cursor first.

    `before` is the document as it was: only calls that stood there are meant, for others were
    written since. `definition` is the text of the defining document where that is another one.
    """
    if max(len(before), len(text), len(definition or "")) > LONGEST:
        return []
    if len(re.findall(rf"\b{called(change.new)}\s*\(", text)) < (2 if definition is None else 1):
        return []
    try:
        reader, old_reader = Reader(text), Reader(before)
        defining = reader if definition is None else Reader(definition)
    except (SyntaxError, ValueError, RecursionError):
        return []
    if (bound := defining.bound(change.new)) is None:
        return []
    names = renamed(change.old.parameters[bound:], change.new.parameters[bound:])
    if names is None:
        return []
    module = None if definition is None else change.module
    stood = {call.written(before) for call in old_reader.calls(change.old, module)}
    found = []
    for call in reader.calls(change.new, module):
        inside = _inside(text, call, change, bound, names)
        if inside is None or call.written(text) not in stood:
            continue
        # Where a call stood in the new form before, it cannot be told which signature it follows.
        if call.written(text, inside) not in stood:
            found.append(_lines(text, call, inside))
    return nearest(found, cursor)


def _inside(
    text: str, call: Call, change: Resigned, bound: int, names: dict[str, str]
) -> str | None:
    """Return what should stand between the brackets of a call; None where that is not sure."""
    parts = _parts(text, call)
    if parts is None:
        return None
    handed = _handed(call, parts, change.old.parameters[bound:])
    if handed is None:
        return None
    arguments = _arguments(handed, change.new.parameters[bound:], names, call)
    return None if arguments is None else _joined(parts, arguments)


def _lines(text: str, call: Call, inside: str) -> Change:
    """Return the lines of a call with something else between its brackets."""
    start = text.rfind("\n", 0, call.start) + 1
    end = text.find("\n", call.end)
    end = len(text) if end < 0 else end
    return Change(start, end, text[start : call.start] + inside + text[call.end : end])


# -- what a call hands over ----------------------------------------------------------------------


class _Parts(NamedTuple):
    """What stands between the brackets of a call: arguments, what is between them and around."""

    lead: str
    arguments: list[str]
    commas: list[str]
    tail: str


def _parts(text: str, call: Call) -> _Parts | None:
    """Take the inside of a call apart; None where more than arguments and commas is in it."""
    if not call.pieces:
        return None if text[call.start : call.end].strip() else _Parts("", [], [], "")
    lead = text[call.start : call.pieces[0].start]
    tail = text[call.pieces[-1].end : call.end]
    commas = [text[one.end : other.start] for one, other in pairwise(call.pieces)]
    if lead.strip() or tail.strip() not in ("", ",") or not all(map(_COMMA.fullmatch, commas)):
        return None
    return _Parts(lead, [text[one.start : one.end] for one in call.pieces], commas, tail)


def _handed(call: Call, parts: _Parts, parameters: Sequence[Parameter]) -> list[_Argument] | None:
    """Return what each argument is for by the old signature; None where it does not fit."""
    by_name = {one.name: one for one in parameters}
    positional = [one for one in parameters if one.kind != "keyword"]
    handed: list[_Argument] = []
    for number, (piece, text) in enumerate(zip(call.pieces, parts.arguments, strict=True)):
        node = piece.node
        if isinstance(node, ast.Starred | ast.GeneratorExp):
            return None
        if not isinstance(node, ast.keyword):
            if number >= len(positional):
                return None
            handed.append(_Argument(positional[number].name, text))
        elif node.arg not in by_name or by_name[node.arg].kind == "position":
            return None
        else:
            handed.append(_Argument(node.arg, text.partition("=")[2].lstrip(), text))
    given = [one.parameter for one in handed]
    lacks = any(not one.optional and one.name not in given for one in parameters)
    return None if lacks or len(set(given)) < len(given) else handed


def _arguments(
    handed: Sequence[_Argument],
    parameters: Sequence[Parameter],
    names: dict[str, str],
    call: Call,
) -> list[str] | None:
    """Return the arguments for the new signature; None where one would have to be made up."""
    values = {names[one.parameter]: one for one in handed if one.parameter in names}
    come = {one.name for one in parameters} - set(names.values())
    positional: list[str] = []
    named: list[str] = []
    in_row = True
    for one in parameters:
        value = values.get(one.name)
        if value is None and one.name in come and not one.optional:
            if one.name not in call.scope():
                return None
            value = _Argument(one.name, one.name)
        if value is None:
            if not one.optional:
                return None
            in_row = False
        elif in_row and one.kind != "keyword" and (one.kind == "position" or not value.written):
            positional.append(value.value)
        elif one.kind == "position":
            return None
        else:
            in_row = False
            named.append(one.name)
            values[one.name] = value
    order = [names[one.parameter] for one in handed if one.parameter in names]
    named.sort(key=lambda name: order.index(name) if name in order else len(order))
    return [*positional, *(values[name].named(name) for name in named)]


def _joined(parts: _Parts, arguments: Sequence[str]) -> str | None:
    """Put arguments between the brackets as they stood there; None where that is unclear."""
    if not arguments:
        return ""
    if len(arguments) == len(parts.arguments):
        commas = parts.commas
    elif len(set(parts.commas)) > 1:
        return None
    else:
        comma = parts.commas[0] if parts.commas else ", "
        commas = [comma] * (len(arguments) - 1)
    rest = [comma + argument for comma, argument in zip(commas, arguments[1:], strict=True)]
    return parts.lead + arguments[0] + "".join(rest) + parts.tail
