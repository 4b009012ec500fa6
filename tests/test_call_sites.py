"""Which calls are of a function."""

import pytest

from dgemma_lsp.call_sites import Reader
from dgemma_lsp.signature import Signature

F = Signature("", "f", ())
METHOD = Signature("A", "f", ())
MAKER = Signature("A", "__init__", ())

CLASS = """
class A:
    def __init__(self): pass
    def f(self): self.f(1); other.f(2)
    def g(cls): cls.f(3); A.f(4)
A(5)
a.f(6)
self.f(7)
"""


def called(text: str, signature: Signature, module: str | None = None) -> list[str]:
    return [call.written(text) for call in Reader(text).calls(signature, module)]


@pytest.mark.parametrize(
    ("text", "signature", "calls"),
    [
        ("f(1)\na.f(2)\ng(f(3))\n", F, ["f(1)", "f(3)"]),
        ("é = '日本'; f('😋', 1)\n", F, ["f('😋', 1)"]),
        ("x = 1\x0c\r\nf(\r\n  1)\r\n", F, ["f(\r\n  1)"]),
        (CLASS, METHOD, ["self.f(1)", "cls.f(3)", "A.f(4)"]),
        (CLASS, MAKER, ["A(5)"]),
    ],
)
def test_calls_are_found_by_name_methods_only_in_their_class(
    text: str, signature: Signature, calls: list[str]
) -> None:
    assert called(text, signature) == calls


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("from m import f\nf(1)\n", ["f(1)"]),
        ("from pack.m import f\nf(1)\n", ["f(1)"]),
        ("from .m import f, g\nf(1)\n", ["f(1)"]),
        ("import m\nm.f(1)\nf(2)\n", ["m.f(1)"]),
        ("from pack import m\nm.f(1)\n", ["m.f(1)"]),
        ("from m import f as g\ng(1)\nf(2)\n", []),
        ("from n import f\nf(1)\n", []),
        ("from m import f\ndef f(): pass\nf(1)\n", []),
        ("from m import f\ndef g(f): f(1)\n", []),
        ("f(1)\n", []),
    ],
)
def test_in_another_document_the_function_must_be_imported_under_its_name(
    text: str, calls: list[str]
) -> None:
    assert called(text, F, "m") == calls


@pytest.mark.parametrize(
    ("text", "signature", "bound"),
    [
        ("def f(a): pass\n", F, 0),
        ("async def f(a): pass\n", F, 0),
        ("def f(a): pass\ndef f(b): pass\n", F, None),
        ("def f(a): pass\nf = g(f)\n", F, None),
        ("def f(a): pass\ndef g(f): f(1)\n", F, None),
        ("@cached\ndef f(a): pass\n", F, None),
        ("if x:\n    def f(a): pass\n", F, None),
        ("class A:\n    def f(self): pass\n", METHOD, 1),
        ("class A:\n    @classmethod\n    def f(cls): pass\n", METHOD, 1),
        ("class A:\n    @staticmethod\n    def f(a): pass\n", METHOD, 0),
        ("class A:\n    @property\n    def f(self): pass\n", METHOD, None),
        ("class A:\n    def f(self): pass\nclass B(A):\n    def f(self): pass\n", METHOD, None),
        (
            "class A:\n    def __init__(self): pass\nclass B:\n    def __init__(self): pass\n",
            MAKER,
            1,
        ),
    ],
)
def test_it_is_sure_what_is_called_where_the_name_is_given_once(
    text: str, signature: Signature, bound: int | None
) -> None:
    assert Reader(text).bound(signature) == bound


def test_the_scope_of_a_call_is_what_its_function_has_given_a_value_before() -> None:
    text = "x = 1\ndef g(a, *, b):\n    c = 1\n    for d in a:\n        f()\n    e = 1\n"
    [call] = Reader(text).calls(F, None)
    assert call.scope() == {"a", "b", "c", "d"}
