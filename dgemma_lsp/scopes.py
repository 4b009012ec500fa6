"""What a body of Python does with names, in the order in which it runs. Pure; knows no cursor."""

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Named(NamedTuple):
    """A name and the line on which it stands, counted from 1."""

    name: str
    line: int


def unbound(module: ast.Module) -> list[Named]:
    """Return what a module uses of names before anything in it has bound them.

    What a function inside uses may be bound behind it.
    """
    return _unbound(_Scope(module.body))


def idle(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[Named]:
    """Return the names that a function binds and uses nowhere, in the order of their binding."""
    scope = _function(function)
    used = scope.used.union(scope.shared, (one.name for one in scope.later))
    return [Named(name, line) for name, line in scope.bound.items() if name not in used]


class _Scope(ast.NodeVisitor):
    """The names of one body: of a module, a class, a function or a comprehension.

    `bound` are those that it gives something to, and where first, `early` those that it uses
    before, `used` all that it uses. `later` is what functions inside use, when they are called, of
    names that are not their own; `shared` is declared to be another scope's.
    """

    def __init__(self, body: Sequence[ast.AST]) -> None:
        self.bound: dict[str, int] = {}
        self.early: list[Named] = []
        self.used: set[str] = set()
        self.later: list[Named] = []
        self.shared: set[str] = set()
        self._visit_all(*body)

    def _bind(self, name: str | None, line: int) -> None:
        if name is not None:
            self.bound.setdefault(name, line)

    def _use(self, name: str, line: int) -> None:
        self.used.add(name)
        if name not in self.bound:
            self.early.append(Named(name, line))

    def _visit_all(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _visit_inside(self, inside: "_Scope") -> None:
        """Take over what a body that runs at once, and has names of its own, uses of others."""
        for one in inside.early:
            self._use(*one)

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id, node.lineno)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id, node.lineno)

    def visit_alias(self, node: ast.alias) -> None:
        self._bind((node.asname or node.name).partition(".")[0], node.lineno)

    def visit_arg(self, node: ast.arg) -> None:
        self._bind(node.arg, node.lineno)

    def visit_Global(self, node: ast.Global) -> None:
        self.shared.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.shared.update(node.names)

    # Statements that do not run in the order in which they are written

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_all(node.value, *node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all(node.annotation, node.value)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._use(node.target.id, node.lineno)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit_all(node.value, node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit_all(node.iter, node.target, *node.body, *node.orelse)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit_all(node.type)
        self._bind(node.name, node.lineno)
        self._visit_all(*node.body)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._visit_all(node.pattern)
        self._bind(node.name, node.lineno)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._bind(node.name, node.lineno)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._visit_all(*node.keys, *node.patterns)
        self._bind(node.rest, node.lineno)

    # Bodies with names of their own

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._visit_comprehension(node.generators, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self.visit_ListComp(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.visit_ListComp(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._visit_comprehension(node.generators, [node.key, node.value])

    def _visit_comprehension(
        self, generators: Sequence[ast.comprehension], results: Sequence[ast.AST]
    ) -> None:
        parts = [part for one in generators for part in (one.iter, one.target, *one.ifs)]
        inside = _Scope([*parts, *results])
        self._visit_inside(inside)
        self.later += (one for one in inside.later if one.name not in inside.bound)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(*node.decorator_list, *node.bases, *node.keywords)
        inside = _Scope([*_type_parameters(node), *node.body])
        self._visit_inside(inside)
        self.later += inside.later  # functions inside do not see the names of the class
        self._bind(node.name, node.lineno)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(*node.decorator_list, *_defaults(node.args))
        inside = _function(node)
        self.later += _unbound(inside)
        for name in (node.name, *sorted(inside.shared & inside.bound.keys())):
            self._bind(name, node.lineno)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(*_defaults(node.args))
        self.later += _unbound(_Scope([*_parameters(node.args), node.body]))


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> _Scope:
    """Return the scope of a function; what its annotations use is not read."""
    return _Scope([*_type_parameters(node), *_parameters(node.args), *node.body])


def _unbound(scope: _Scope) -> list[Named]:
    own = scope.bound.keys() - scope.shared
    return [*scope.early, *(one for one in scope.later if one.name not in own)]


def _parameters(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (one for one in (arguments.vararg, arguments.kwarg) if one is not None)


def _defaults(arguments: ast.arguments) -> Iterator[ast.expr]:
    yield from arguments.defaults
    yield from (one for one in arguments.kw_defaults if one is not None)


def _type_parameters(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[ast.arg]:
    """Yield what stands in square brackets behind a name, which Python has from 3.12 on."""
    for one in getattr(node, "type_params", ()):
        yield ast.arg(one.name, lineno=one.lineno)
