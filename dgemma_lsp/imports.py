"""What a Python text imports, and what a source says of those names: heads, no bodies. Pure."""

import ast
import re
from collections.abc import Sequence
from typing import NamedTuple

# The text that is edited seldom parses, so its imports are read by their looks.
_FROM = re.compile(r"^from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE)
_NAME = re.compile(r"(\w+)(?:\s+as\s+\w+)?")
_COMMENT = re.compile(r"#[^\n]*")


class Import(NamedTuple):
    """Names that are imported from a module, which dots may begin as in the source."""

    module: str
    names: tuple[str, ...]


def imports(text: str) -> list[Import]:
    """Return the imports of names at the margin of a text, in their order."""
    return [
        Import(found[1], tuple(_NAME.findall(_COMMENT.sub("", found[2]))))
        for found in _FROM.finditer(text)
    ]


def heads(source: str, names: Sequence[str]) -> list[str]:
    """Return the heads of functions and classes of these names, those of a class with its methods.

    A source that does not parse has none.
    """
    try:
        nodes = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    return [
        head for node in nodes if getattr(node, "name", None) in names and (head := _head(node))
    ]


def _head(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            return f"{kind} {node.name}({ast.unparse(node.args)}){returns}: ..."
        case ast.ClassDef():
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            methods = [f"    {head}" for inside in node.body if (head := _method(inside))]
            return "\n".join([f"class {node.name}({bases}):".replace("()", ""), *methods])
        case _:
            return ""


def _method(node: ast.stmt) -> str:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    is_private = node.name.startswith("_") and node.name != "__init__"
    return "" if is_private else _head(node)
