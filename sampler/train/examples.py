"""Runs a made-up function on arguments made up for its types: the examples of its docstring.

For our own templates alone: what it is given is run as it is.
"""

import ast
import random
from collections.abc import Callable, Mapping, Sequence

from sampler.train.import_lines import import_lines

LONGEST = 90
_WORDS = (
    *("apple", "river", "Stone", "cloud", "green", "window", "TABLE", "music", "paper", "light"),
    *("house", "bread", "Garden", "silver", "morning", "chair", "42", "pencil", "forest", "x"),
    *("a", "an", "the", "Is", "it", "red", "blue", "street", "coffee", "OK", "sea", "7", "moon"),
)


def examples_of(
    source: str, node: ast.FunctionDef, clues: Sequence[str], chooser: random.Random
) -> list[tuple[str, str]]:
    """Run a function on a few arguments; return calls and results, those that are short."""
    space: dict[str, object] = {}
    exec(compile(import_lines([source]) + source, "<exercise>", "exec"), space)
    function = space[node.name]
    assert callable(function)
    found = []
    for arguments in argument_lists(node, clues, chooser)[: chooser.choice((1, 2, 2, 3))]:
        try:
            result = repr(eval(f"_function({arguments})", {"_function": function}))
        except (ValueError, IndexError, ZeroDivisionError, KeyError):
            continue
        call = f"{node.name}({arguments})"
        if len(call) + len(result) <= LONGEST:
            found.append((call, result))
    return found


def argument_lists(
    node: ast.FunctionDef, clues: Sequence[str], chooser: random.Random
) -> list[str]:
    """Return what a function may be called with: the clues, or three lists made up for its types.

    Raises KeyError for a type that has no values here.
    """
    return list(clues) or [
        ", ".join(repr(_argument(argument, chooser)) for argument in node.args.args)
        for _ in range(3)
    ]


def _argument(argument: ast.arg, chooser: random.Random) -> object:
    kind = ast.unparse(argument.annotation) if argument.annotation else "int"
    return _VALUES[kind](chooser)


def _sentence(chooser: random.Random) -> str:
    return " ".join(chooser.choices(_WORDS, k=chooser.randint(1, 5)))


def _ints(chooser: random.Random) -> list[int]:
    high = chooser.choice((5, 9, 20, 120))
    return [chooser.randint(chooser.choice((0, -high)), high) for _ in range(chooser.randint(2, 7))]


_VALUES: Mapping[str, Callable[[random.Random], object]] = {
    "int": lambda c: c.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12)),
    "float": lambda c: round(c.uniform(0, 10), 1),
    "bool": lambda c: c.random() < 0.5,
    "str": _sentence,
    "list[int]": _ints,
    "list[float]": lambda c: [round(c.uniform(0, 10), 1) for _ in range(c.randint(2, 5))],
    "list[str]": lambda c: c.choices(_WORDS, k=c.randint(2, 5)),
    "list[list[int]]": lambda c: [[c.randint(0, 9) for _ in range(3)] for _ in range(3)],
    "dict[str, int]": lambda c: {w: c.randint(0, 9) for w in c.choices(_WORDS, k=3)},
    "dict[str, str]": lambda c: {w: c.choice(_WORDS) for w in c.choices(_WORDS, k=3)},
    "list[tuple[str, int]]": lambda c: [(w, c.randint(0, 9)) for w in c.choices(_WORDS, k=3)],
    "list[tuple[int, int]]": lambda c: [(c.randint(0, 9), c.randint(0, 9)) for _ in range(3)],
    "set[int]": lambda c: set(_ints(c)),
    "tuple[int, int]": lambda c: (c.randint(0, 9), c.randint(0, 9)),
}
