"""Edits of signatures, drawn from a file, and what is right at the calls then."""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sampler.train.signatures import (
    ADDED,
    ANNOTATION,
    DEFAULT,
    KINDS,
    REMOVED,
    RENAMED,
    REORDERED,
    Trace,
    bound,
    draw,
)

TEXT = """def f(a, b, c=[')']):
    return a, b, c


class A:
    def g(self, a, d):
        f(a, b=d)
        self.g(1, d=2)


def h(*more):
    return h(more)


f(1, 2, 3)
"""


def signature(parameters: str) -> inspect.Signature:
    scope: dict[str, object] = {}
    exec(f"def f({parameters}): pass", scope)
    return inspect.signature(scope["f"])  # type: ignore[arg-type]


def called(call: str) -> ast.Call:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    return node


@pytest.mark.parametrize(
    ("call", "handed"),
    [
        ("f(x, y)", {"a": "x", "b": "y"}),
        ("f(b=y, a=x)", {"a": "x", "b": "y"}),
        ("f(x)", None),
        ("f(x, y, z)", None),
        ("f(*x)", None),
        ("f(x, **y)", None),
    ],
)
def test_python_s_own_binding_tells_what_is_handed_over(
    call: str, handed: Mapping[str, str] | None
) -> None:
    found = bound(signature("a, b"), called(call))
    names = handed and {
        name: ast.dump(ast.Name(value, ast.Load())) for name, value in handed.items()
    }
    assert found == names


def trace(kind: str, old: str, new: str, names: str, come: str = "") -> Trace:
    same = {one: one for one in names.split()}
    signatures = signature(old), signature(new)
    return Trace(kind, Path("a.py"), "f(1, 2)\nf(3)\n", "", "f", *signatures, same, come)


@pytest.mark.parametrize(
    ("one", "text", "verdict"),
    [
        (trace(REMOVED, "a, b", "a", "a"), "f(1, 2)\nf(3)\n", (0, 0, 1)),
        (trace(REMOVED, "a, b", "a", "a"), "f(1)\nf(3)\n", (1, 0, 1)),
        (trace(REMOVED, "a, b", "a", "a"), "f(2)\nf(3)\n", (0, 1, 1)),
        (trace(REMOVED, "a, b", "a", "a"), "f(1)\nf(4)\n", (1, 1, 1)),
        (trace(REORDERED, "a, b", "b, a", "a b"), "f(2, 1)\nf(3)\n", (1, 0, 1)),
        (trace(ADDED, "a, b", "a, b, c", "a b", "c"), "f(1, 2, c)\nf(3)\n", (1, 0, 1)),
        (trace(ADDED, "a, b", "a, b, c", "a b", "c"), "f(1, 2, 3)\nf(3)\n", (0, 1, 1)),
        (trace(DEFAULT, "a, b", "a, b=1", "a b"), "f(1, 2)\nf(3)\n", (0, 0, 0)),
        (trace(DEFAULT, "a, b", "a, b=1", "a b"), "f(2, 1)\nf(3)\n", (0, 1, 0)),
    ],
)
def test_a_changed_call_is_right_if_it_hands_over_the_same(
    one: Trace, text: str, verdict: tuple[int, int, int]
) -> None:
    assert one.judge(text) == verdict


def test_edits_are_drawn_of_functions_that_their_file_calls(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(TEXT)
    traces = draw([file], 1, seed=1)
    assert [one.kind for one in traces] == list(KINDS)
    assert traces == draw([file], 1, seed=1)
    for one in traces:
        assert one.function in "fg"
        ast.parse(one.edited)
        # Nothing but the one header differs.
        differing = zip(one.text.split("\n"), one.edited.split("\n"), strict=True)
        [header] = [before for before, after in differing if before != after]
        assert header.lstrip().startswith(f"def {one.function}(")
        assert len(one.new.parameters) - len(one.old.parameters) == {ADDED: 1, REMOVED: -1}.get(
            one.kind, 0
        )


@pytest.mark.parametrize("kind", [ADDED, REMOVED, REORDERED])
def test_calls_should_follow_what_they_cannot_be_called_by_any_more(
    tmp_path: Path, kind: str
) -> None:
    assert wanted(tmp_path, kind) > 0


@pytest.mark.parametrize("kind", [DEFAULT, ANNOTATION])
def test_nothing_should_follow_a_default_or_an_annotation(tmp_path: Path, kind: str) -> None:
    assert wanted(tmp_path, kind) == 0


def test_a_new_name_matters_to_calls_that_name_it() -> None:
    text = "f(1, b=2)\nf(1, 2)\n"
    one = replace(trace(RENAMED, "a, b", "a, c", "a"), names={"a": "a", "b": "c"}, text=text)
    assert one.judge(text) == (0, 0, 1)
    assert one.judge("f(1, c=2)\nf(1, 2)\n") == (1, 0, 1)


def wanted(folder: Path, kind: str) -> int:
    file = folder / "a.py"
    file.write_text(TEXT)
    return sum(one.judge(one.edited)[2] for one in draw([file], 2, seed=3) if one.kind == kind)
