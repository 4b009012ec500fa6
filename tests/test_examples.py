import ast
import random

import pytest

from sampler.train.examples import LONGEST, examples_of


def examples(source: str, *calls: str) -> set[tuple[str, str]]:
    """Return the examples that 30 seeds give."""
    [node] = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    return {
        example
        for seed in range(30)
        for example in examples_of(source, node, calls, random.Random(seed))
    }


def test_calls_that_are_given_are_run() -> None:
    source = "def f(a, b):\n    return a + b\n"
    assert examples(source, "1, 2", "'x', 'y'") == {("f(1, 2)", "3"), ("f('x', 'y')", "'xy'")}


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [("int", int), ("float", float), ("bool", bool), ("str", str), ("list[int]", list),
     ("dict[str, int]", dict), ("tuple[int, int]", tuple), ("set[int]", set)],
)  # fmt: skip
def test_arguments_are_made_up_for_the_types(annotation: str, kind: type) -> None:
    found = examples(f"def f(a: {annotation}):\n    return type(a).__name__\n")
    assert {result for _, result in found} == {repr(kind.__name__)}


def test_what_fails_is_no_example() -> None:
    assert examples("def f(n: int):\n    raise ValueError(n)\n") == set()


def test_what_is_too_long_is_no_example() -> None:
    assert examples(f"def f(n: int):\n    return 'x' * {LONGEST}\n") == set()


def test_a_function_may_use_what_it_does_not_import() -> None:
    assert examples("def f(n):\n    return math.floor(n)\n", "2.5") == {("f(2.5)", "2")}
