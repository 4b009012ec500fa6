"""Whether a program repeats one that nano is tested on, names aside. Pure.

As n-grams are compared for GPT-3 (arXiv 2005.14165, appendix C), but by lines of code, whose
names are numbered as they come: another name does not make another program.
"""

import ast
import builtins
import keyword
import re
from collections.abc import Iterator

from sampler.train.syntax_tree import syntax_tree

# So many lines in a row are no accident; a body that has no more is compared whole.
LINES = 4

_WORD = re.compile(r"(?<![.\w'\"])[A-Za-z_]\w*")
_FIXED = {*keyword.kwlist, *dir(builtins)}


def passages(source: str) -> set[str]:
    """Return every passage of a program's functions that another must not repeat."""
    tree = syntax_tree(source)
    if tree is None:
        return set()
    lines = source.splitlines()
    return {
        passage
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for passage in _of_body(_code(node, lines))
    }


def _code(node: ast.FunctionDef, lines: list[str]) -> list[str]:
    """Return the lines of a function's body without docstring, comments and indentation."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return []
    inside = [line.strip() for line in lines[body[0].lineno - 1 : node.end_lineno]]
    return [line for line in inside if line and not line.startswith("#")]


def _of_body(code: list[str]) -> Iterator[str]:
    for first in range(max(1, len(code) - LINES + 1)):
        yield _nameless(code[first : first + LINES])


def _nameless(code: list[str]) -> str:
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        word = match[0]
        return word if word in _FIXED else numbers.setdefault(word, f"_{len(numbers)}")

    return _WORD.sub(number, "\n".join(" ".join(line.split()) for line in code))
