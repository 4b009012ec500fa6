"""Names that a body of Python uses and has not bound, and such as it binds and does not use."""

import argparse
import ast
import builtins
import contextlib
import dataclasses
import difflib
import enum
import functools
import inspect
import statistics
from asyncio import base_events
from textwrap import dedent
from types import ModuleType

import pytest

from dgemma_lsp import scopes


def unbound(code: str) -> list[str]:
    return [one.name for one in scopes.unbound(ast.parse(dedent(code)))]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\nx", []),
        ("x\nx = 1", ["x"]),
        ("x = x", ["x"]),
        ("x += y", ["y", "x"]),
        ("x.a += 1", ["x"]),
        ("x: y\nx", ["y", "x"]),
        ("x: int = 1\nx", ["int"]),
        ("a, (b, *c) = d\na, b, c", ["d"]),
        ("a.b = c[d] = 1", ["a", "c", "d"]),
        ("if (x := 1): x", []),
        ("del x", []),
        ("import a.b, c as d\na, b, c, d", ["b", "c"]),
        ("from a import b as c, d\na, b, c, d", ["a", "b"]),
        ("for x in xs: x\nelse: y\nx", ["xs", "y"]),
        ("async def f():\n    async for x in x: x", ["x"]),
        ("with a as b, b as c: c", ["a"]),
        ("try: a = 1\nexcept E as e: e\nfinally: a", ["E"]),
        ("match x:\n    case [a, *b]: a, b\n    case {'k': c, **d}: c, d\n    case E(): y", "xEy"),
        ("match 1:\n    case 1 as a if a: a", []),
        # Bodies with names of their own
        ("[x for x in xs if x]\nx", ["xs", "x"]),
        ("{k: v for k, v in pairs}", ["pairs"]),
        ("{x for y in z for x in y}", ["z"]),
        ("sum(x for x in x)", ["sum", "x"]),
        ("lambda a, *b, c=d, **e: (a, b, c, e, f)", ["d", "f"]),
        ("[lambda: x for x in xs]", ["xs"]),
        ("def f(a, /, b, *, c=d): return a, b, c, e", ["d", "e"]),
        ("def f(): return g()\ndef g(): return f()", []),
        ("def f():\n    x\n    x = 1", ["x"]),
        ("def f():\n    def g(): return x\n    x = 1\n    return g", []),
        ("def f():\n    nonlocal x\n    x", ["x"]),
        ("def f():\n    global x\n    x = 1\nx", []),
        ("@d\nclass C(B, metaclass=M):\n    a = 1\n    b = a\n    def f(self): return a", "dBMa"),
        ("class C:\n    x = [y for y in z]", ["z"]),
    ],
)
def test_what_is_used_before_it_is_bound_is_unbound(code: str, expected: list[str] | str) -> None:
    assert unbound(code) == list(expected)


@pytest.mark.skipif(not hasattr(ast, "TypeVar"), reason="Python 3.11 has no such syntax")
def test_parameters_in_square_brackets_are_bound() -> None:
    assert unbound("def f[T](): return T\nclass C[U]:\n    x = U\n") == []


def test_it_is_told_on_which_line() -> None:
    assert scopes.unbound(ast.parse("a = 1\nb\n\n[c\n for d in e]")) == [
        ("b", 2),
        ("e", 5),
        ("c", 4),
    ]


@pytest.mark.parametrize(
    "module",
    [argparse, base_events, contextlib, dataclasses, difflib, enum, functools, statistics],
)
def test_a_module_that_works_lacks_no_name(module: ModuleType) -> None:
    assert set(unbound(inspect.getsource(module))) <= {*dir(builtins), "__file__"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(a, b): return a", ["b"]),
        ("def f(a, *b, c, **d): return c", ["a", "d", "b"]),
        ("def f():\n    x = 1\n    x = 2", ["x"]),
        ("def f(xs):\n    for i, x in xs:\n        print(x)", ["i"]),
        ("def f(xs):\n    n = 0\n    n += 1", ["xs"]),
        ("def f(a):\n    def g(): return a", ["g"]),
        ("def f(a):\n    return [a for a in 'x']", ["a"]),
        ("def f(a):\n    global b\n    b = 1", ["a"]),
        ("def f():\n    import os, sys\n    sys.exit()", ["os"]),
    ],
)
def test_what_a_function_binds_and_does_not_use_is_idle(code: str, expected: list[str]) -> None:
    (function,) = ast.parse(code).body
    assert isinstance(function, ast.FunctionDef)
    assert sorted(one.name for one in scopes.idle(function)) == sorted(expected)
