"""Signatures, from the text around an edit."""

import pytest

from dgemma_lsp.edits import Span, between
from dgemma_lsp.signature import Parameter, Signature, renamed, resigned


def changed(before: str, text: str) -> tuple[Signature, Signature] | None:
    edit = between(before, text)
    return resigned(before, text, Span(edit.start, edit.start + edit.added))


def either(*names: str) -> tuple[Parameter, ...]:
    """Parameters that must be handed over, in a row or by name."""
    return tuple(Parameter(name, "either", False) for name in names)


@pytest.mark.parametrize(
    ("before", "text", "old", "new"),
    [
        ("def f(a):\n", "def f(a, b):\n", either("a"), either("a", "b")),
        ("def f():\n", "def f(a):\n", (), either("a")),
        ("def f(a, b):\n", "def f(b, a):\n", either("a", "b"), either("b", "a")),
        ("async def f(a) -> int:\n", "async def f() -> int:\n", either("a"), ()),
        ("def f(\n    a,\n):\n", "def f(\n    a,\n    b,\n):\n", either("a"), either("a", "b")),
        ("def f(a: dict[str, int]):\n", "def f(b: dict[str, int]):\n", either("a"), either("b")),
        (
            "def f(a, b=')'):  # )\n",
            "def f(b=')'):  # )\n",
            (*either("a"), Parameter("b", "either", True)),
            (Parameter("b", "either", True),),
        ),
        (
            "def f(a, b):\n",
            "def f(a, /, *, b=1):\n",
            either("a", "b"),
            (Parameter("a", "position", False), Parameter("b", "keyword", True)),
        ),
        ("def f(a):\n    x(", "def f(b):\n    x(", either("a"), either("b")),
    ],
)
def test_a_signature_is_read_before_and_after_an_edit_in_its_brackets(
    before: str, text: str, old: tuple[Parameter, ...], new: tuple[Parameter, ...]
) -> None:
    assert changed(before, text) == (Signature("", "f", old), Signature("", "f", new))


@pytest.mark.parametrize(
    ("before", "text"),
    [
        pytest.param("def f(a):\n", "def g(a):\n", id="its name"),
        pytest.param("def f(a):\n    a\n", "def f(a):\n    b\n", id="its body"),
        pytest.param("def f(a):\n", "def f(a) -> int:\n", id="behind its brackets"),
        pytest.param("def f(a):\n", "def f(a, ):\n    b(", id="more than its brackets"),
        pytest.param("def f(a):\n", "def f(a, *):\n", id="not written yet"),
        pytest.param("def f(a):\n", "def f(a, *more):\n", id="any arguments"),
        pytest.param("def f(a):\n", "def f(a", id="an open bracket"),
        pytest.param(
            "def g():\n    def f(a):\n", "def g():\n    def f(b):\n", id="a function inside one"
        ),
        pytest.param("x = 1\n", "x = 2\n", id="no function"),
    ],
)
def test_an_edit_elsewhere_or_of_what_cannot_be_read_changes_no_signature(
    before: str, text: str
) -> None:
    assert changed(before, text) is None


def test_a_method_is_of_its_class() -> None:
    before = "class A:\n    x = 1\n\n    def f(self):\n        pass\n"
    found = changed(before, before.replace("(self)", "(self, a)"))
    assert found is not None
    assert {(one.owner, one.name) for one in found} == {("A", "f")}


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("a b", "a b c", {"a": "a", "b": "b"}),
        ("a b", "b", {"b": "b"}),
        ("a b", "b a", {"a": "a", "b": "b"}),
        ("a b", "a c", {"a": "a", "b": "c"}),
        ("a b", "c a", None),  # b removed and c added, or b called c and moved?
        ("a b c", "a d c e", None),
        ("a b c", "c b d", None),
    ],
)
def test_a_parameter_is_known_again_by_its_name_or_as_the_one_that_took_its_place(
    old: str, new: str, names: dict[str, str] | None
) -> None:
    assert renamed(either(*old.split()), either(*new.split())) == names
