"""Edits that other edits follow from, and edits that none follows from, in files nano never read.

A name is given anew where a thing gets its name, and what should change then is known from the
syntax tree; or one use is replaced by another word, and nothing should change.
"""

import ast
import io
import random
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path

LOCAL, FUNCTION = "a local name", "a function"
USE_NEW, USE_KNOWN = "one use, by a new word", "one use, by a known word"
KINDS = (LOCAL, FUNCTION, USE_NEW, USE_KNOWN)

_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Global, ast.Nonlocal),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_AFFIXES = ("new_{}", "raw_{}", "other_{}", "{}_name", "{}_value", "{}s", "{}_list", "{}2")


@dataclass(frozen=True)
class Name:
    """A name of a file and the offsets of all its uses, the one that gives the name first."""

    name: str
    uses: tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """An edit: at `start` of `text`, `old` gives way to `new`; and at `following` too, in the end.

    `following` are offsets of `text`, before the edit.
    """

    kind: str
    file: Path
    text: str
    start: int
    old: str
    new: str
    following: tuple[int, ...]

    @property
    def edited(self) -> str:
        """The text behind the edit."""
        return replaced(self.text, [self.start], self.old, self.new)

    def lines(self) -> dict[int, str]:
        """Return the lines that should change, by number from 0, as they are in the end."""
        changed = replaced(self.text, [self.start, *self.following], self.old, self.new)
        lines = changed.split("\n")
        return {n: lines[n] for n in {self.text.count("\n", 0, at) for at in self.following}}


def replaced(text: str, places: Sequence[int], old: str, new: str) -> str:
    """Return the text with another word at these offsets."""
    for at in sorted(places, reverse=True):
        text = text[:at] + new + text[at + len(old) :]
    return text


def draw(files: Sequence[Path], count: int, seed: int) -> list[Trace]:
    """Draw `count` traces of each kind, as far as the files have them in a hundred tries each."""
    rng = random.Random(seed)
    read = [(file, file.read_text(encoding="utf-8-sig")) for file in files]
    words = sorted({word for _, text in read for word in re.findall(r"[^\W\d]\w{2,15}", text)})
    found: dict[str, list[Trace]] = {kind: [] for kind in KINDS}
    known: dict[Path, dict[str, list[Name]]] = {}
    for _ in range(100 * count):
        file, text = rng.choice(read)
        if file not in known:
            known[file] = {LOCAL: list(local_names(text)), FUNCTION: list(functions(text))}
        names = known[file]
        for kind in KINDS:
            if len(found[kind]) < count and (trace := _trace(kind, file, text, names, words, rng)):
                found[kind].append(trace)
        if all(len(traces) == count for traces in found.values()):
            break
    return [trace for traces in found.values() for trace in traces]


def _trace(
    kind: str,
    file: Path,
    text: str,
    names: Mapping[str, Sequence[Name]],
    words: Sequence[str],
    rng: random.Random,
) -> Trace | None:
    pool = names[FUNCTION if kind == FUNCTION else LOCAL]
    if kind in (USE_NEW, USE_KNOWN):
        pool = [name for name in pool if len(name.uses) > 2]
    if not pool:
        return None
    name = rng.choice(pool)
    new = _new_word(text, name.name, words, rng)
    if kind in (LOCAL, FUNCTION):
        return Trace(kind, file, text, name.uses[0], name.name, new, name.uses[1:])
    known = sorted({other.name for other in names[LOCAL]} - {name.name})
    if kind == USE_KNOWN:
        if not known:
            return None
        new = rng.choice(known)
    return Trace(kind, file, text, rng.choice(name.uses[1:]), name.name, new, ())


def _new_word(text: str, old: str, words: Sequence[str], rng: random.Random) -> str:
    """Return a word that the text does not have, now like the old one and now unlike it."""
    while True:
        word = rng.choice(_AFFIXES).format(old) if rng.random() < 0.5 else rng.choice(words)
        if not iskeyword(word) and not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            return word


def local_names(text: str) -> Iterator[Name]:
    """Yield the parameters and variables of the functions that have no scope inside."""
    offsets = _Offsets(text)
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        inside = [node for statement in function.body for node in ast.walk(statement)]
        if any(isinstance(node, _SCOPES) for node in inside):
            continue
        parameters = [*function.args.posonlyargs, *function.args.args]
        uses = {parameter.arg: [offsets.of(parameter)] for parameter in parameters}
        bound = set(uses) - {"self", "cls"}
        for node in inside:
            if isinstance(node, ast.Name):
                uses.setdefault(node.id, []).append(offsets.of(node))
                if isinstance(node.ctx, ast.Store):
                    bound.add(node.id)
        for name in sorted(bound - {"_"}):
            if len(uses[name]) > 1:
                yield Name(name, tuple(sorted(uses[name])))


def functions(text: str) -> Iterator[Name]:
    """Yield the functions and methods that are used in their file under a name of their own."""
    offsets = _Offsets(text)
    used: dict[str, list[int]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            at = offsets.starts[token.start[0] - 1] + token.start[1]
            used.setdefault(token.string, []).append(at)
    named: dict[str, list[int]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named.setdefault(node.name, []).append(text.index(node.name, offsets.of(node) + 3))
    for name, places in sorted(named.items()):
        if len(places) == 1 and len(used[name]) > 1 and not name.startswith("__"):
            yield Name(name, (places[0], *(at for at in used[name] if at != places[0])))


class _Offsets:
    """From the syntax tree's lines and bytes to offsets of a text."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.starts = [0]
        for line in self._lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def of(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """Return where a node begins."""
        line = self._lines[node.lineno - 1].encode()
        return self.starts[node.lineno - 1] + len(line[: node.col_offset].decode())
