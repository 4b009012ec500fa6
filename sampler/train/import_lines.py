"""What code uses of the standard library -> the import lines that it lacks. Pure."""

import ast
import re
from collections.abc import Sequence

_MODULES = ("heapq", "itertools", "math", "random", "re", "string")
_FROM = {
    "collections": {"Counter", "defaultdict", "deque"},
    "typing": {"Any", "Callable", "Dict", "List", "Optional", "Set", "Tuple", "Union"},
}


def import_lines(programs: Sequence[str]) -> str:
    """Return the import lines of what programs use without saying so."""
    used = {word for program in programs for word in re.findall(r"\w+", program)}
    modules = [name for name in _MODULES if any(_uses_module(p, name) for p in programs)]
    lines = [f"import {name}" for name in modules]
    for module, names in _FROM.items():
        if found := sorted(used & names):
            lines.append(f"from {module} import {', '.join(found)}")
    return "".join(line + "\n" for line in lines) + ("\n\n" if lines else "")


def _uses_module(program: str, name: str) -> bool:
    """Tell whether `name.something` is read where `name` is no variable."""
    if not re.search(rf"\b{name}\.\w", program):
        return False
    nodes = list(ast.walk(ast.parse(program)))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return name not in bound
