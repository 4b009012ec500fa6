"""Short functions that need next to nothing from elsewhere, cut out of source. No tokens, no model.

A library's code is mostly calls of its own names; how a loop, a condition or a list is put to use
is learnt from functions that a reader understands without the rest of the file.
"""

import ast
import builtins
from collections.abc import Iterator

from sampler.train.syntax_tree import syntax_tree

# So many lines of a body and of a docstring, both at most.
BODY, DOCSTRING = 30, 15
METHODS = {
    name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind)
} | {"sqrt", "floor", "ceil"}

_BRANCHES = (ast.For, ast.While, ast.comprehension, ast.If)


def functions(source: str) -> Iterator[str]:
    """Yield the functions of a file that stand alone, each at the left margin."""
    tree = syntax_tree(source)
    if tree is None:
        return
    lines = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _stands_alone(node):
            text = _at_the_margin(lines[node.lineno - 1 : node.end_lineno])
            if text is not None:
                yield text


def _stands_alone(node: ast.FunctionDef) -> bool:
    """Tell whether a function is short, decides something, and uses few names of others."""
    body = node.body
    if ast.get_docstring(node) is not None:
        if _lines(body[:1]) > DOCSTRING:
            return False
        body = body[1:]
    length = _lines(body)
    arguments = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    if not 2 <= length <= BODY or arguments & {"self", "cls"}:
        return False
    inside = [part for statement in body for part in ast.walk(statement)]
    if not any(isinstance(part, _BRANCHES) for part in inside):
        return False
    names = [part for part in inside if isinstance(part, ast.Name)]
    known = {part.id for part in names if isinstance(part.ctx, ast.Store)} | arguments
    foreign = [part for part in names if part.id not in known and not hasattr(builtins, part.id)]
    foreign_methods = [
        part for part in inside if isinstance(part, ast.Attribute) and part.attr not in METHODS
    ]
    return len(foreign) + len(foreign_methods) <= max(1, length // 2)


def _lines(statements: list[ast.stmt]) -> int:
    if not statements:
        return 0
    end = statements[-1].end_lineno
    assert end is not None
    return end - statements[0].lineno + 1


def _at_the_margin(lines: list[str]) -> str | None:
    """Return lines without the indentation of the first; None where one has less, in a string."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    if any(line[:indent].strip() for line in lines):
        return None
    return "".join(line[indent:] + "\n" for line in lines)
