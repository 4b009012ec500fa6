"""Where a Python function is called in a text, as far as its name alone tells. Pure."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeGuard

from dgemma_lsp.context import split_lines
from dgemma_lsp.signature import Signature

_HARMLESS = {"staticmethod", "classmethod", "abstractmethod", "override"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Piece(NamedTuple):
    """An argument and where it stands."""

    node: ast.expr | ast.keyword
    start: int
    end: int


class Call(NamedTuple):
    """A call from `begin` on, what stands from `start` to `end` between its brackets.

    `scope` tells the names that have a value there.
    """

    begin: int
    start: int
    end: int
    pieces: Sequence[Piece]
    scope: Callable[[], set[str]]

    def written(self, text: str, inside: str | None = None) -> str:
        """Return the call as it stands in the text, or with something else in its brackets."""
        inside = text[self.start : self.end] if inside is None else inside
        return f"{text[self.begin : self.start]}{inside})"


class Reader:
    """The syntax tree of a text, and where its nodes stand; raises what `ast.parse` raises."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = ast.parse(text)
        # The tree counts these line ends, and no form feeds.
        self._lines = split_lines(text)
        self._starts = [0, *accumulate(map(len, self._lines))]
        nodes = list(ast.walk(self._tree))
        self._functions = [node for node in nodes if isinstance(node, _FUNCTIONS)]
        self._imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        self._calls = [node for node in nodes if isinstance(node, ast.Call)]
        self._names = Counter(name for node in nodes for name in _bound_by(node))

    def bound(self, signature: Signature) -> int | None:
        """Return how many parameters a call does not hand over, such as `self`.

        None where it is not sure what is called by this name.
        """
        body = self._tree.body
        if signature.owner:
            classes = [one for one in body if _is_class(one, signature.owner)]
            if len(classes) != 1 or self._names[signature.owner] != 1:
                return None
            body = classes[0].body
        functions = [
            one for one in body if isinstance(one, _FUNCTIONS) and one.name == signature.name
        ]
        if len(functions) != 1 or not self._is_only(signature):
            return None
        marks = {_last_name(mark) for mark in functions[0].decorator_list}
        if marks - _HARMLESS:
            return None
        return 1 if signature.owner and "staticmethod" not in marks else 0

    def _is_only(self, signature: Signature) -> bool:
        """Tell whether no other thing has the name, in any class if it is a method's."""
        if not signature.owner:
            return self._names[signature.name] == 1
        if signature.name == "__init__":
            return True
        return sum(one.name == signature.name for one in self._functions) == 1

    def calls(self, signature: Signature, module: str | None) -> Iterator[Call]:
        """Yield the calls of a function, here or where it is taken from `module`."""
        name, nodes = called(signature), self._calls
        if module is not None:
            heads = self._imported(name, module)
        elif signature.owner and signature.name != "__init__":
            classes = [one for one in self._tree.body if _is_class(one, signature.owner)]
            nodes = [node for node in nodes if any(_is_in(node, one) for one in classes)]
            heads = {f"{one}.{name}" for one in ("self", "cls", signature.owner)}
        else:
            heads = {name}
        for node in nodes:
            if _dotted(node.func) in heads:
                yield self._call(node)

    def _call(self, node: ast.Call) -> Call:
        begin, end = self._span(node)
        opened = self._text.index("(", self._span(node.func)[1])
        arguments: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        inside = [Piece(one, *self._span(one)) for one in arguments]
        inside.sort(key=lambda one: one.start)
        return Call(begin, opened + 1, end - 1, inside, lambda: self._scope(node))

    def _scope(self, node: ast.Call) -> set[str]:
        """Return the names that the function around a node has given something to before it."""
        around = [one for one in self._functions if _is_in(node, one)]
        function = max(around, key=lambda one: one.lineno, default=None)
        if function is None:
            return set()
        arguments = function.args
        own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given = (one for one in ast.walk(function) if isinstance(one, ast.Name))
        before = {
            one.id for one in given if isinstance(one.ctx, ast.Store) and one.lineno < node.lineno
        }
        return before | {one.arg for one in own}

    def _span(self, node: ast.expr | ast.keyword) -> tuple[int, int]:
        """Return where a node stands; the tree counts bytes."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._offset(node.lineno, node.col_offset),
            self._offset(node.end_lineno, node.end_col_offset),
        )

    def _offset(self, line: int, column: int) -> int:
        start, text = self._starts[line - 1], self._lines[line - 1]
        return start + len(text.encode()[:column].decode())

    def _imported(self, name: str, module: str) -> set[str]:
        """Return what a function of another module is called by here, if that is sure."""
        heads = set()
        for node in self._imports:
            if isinstance(node, ast.ImportFrom):
                taken = {alias.name for alias in node.names if alias.asname is None}
                is_module = (node.module or "").rpartition(".")[2] == module
                if is_module and name in taken and self._names[name] == 1:
                    heads.add(name)
                if module in taken and self._names[module] == 1:
                    heads.add(f"{module}.{name}")
            elif self._names[module] == 1:
                plain = {alias.name for alias in node.names if alias.asname is None}
                heads |= {f"{module}.{name}"} if module in plain else set()
        return heads


def called(signature: Signature) -> str:
    """Return the name by which a function is called."""
    return signature.owner if signature.name == "__init__" else signature.name


def _is_class(node: ast.stmt, name: str) -> TypeGuard[ast.ClassDef]:
    return isinstance(node, ast.ClassDef) and node.name == name


def _dotted(node: ast.expr) -> str:
    """Return a name, or an attribute of a name, as it is written; "" for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_in(node: ast.expr, other: ast.stmt) -> bool:
    return other.lineno <= node.lineno <= (other.end_lineno or 0)


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node gives something to, but for methods."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((one.asname or one.name).partition(".")[0] for one in node.names)
    elif isinstance(node, ast.ExceptHandler):
        yield node.name or ""
    elif isinstance(node, (ast.Module, *_FUNCTIONS, ast.If, ast.Try)):
        yield from _declared([*node.body, *getattr(node, "orelse", [])])


def _declared(body: Sequence[ast.stmt]) -> Iterator[str]:
    for one in body:
        if isinstance(one, (*_FUNCTIONS, ast.ClassDef)):
            yield one.name
