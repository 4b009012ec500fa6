"""What a text imports, and the heads of what a source defines."""

import pytest

from dgemma_lsp.imports import Import, heads, imports

SOURCE = '''
def add(a: int, b=1, *, c) -> int:
    """Add."""
    return a + b


async def wait(): ...


class Box(Base):
    size: int = 0

    def __init__(self, width):
        self.width = width

    def area(self) -> int: ...

    def _private(self): ...


class Plain: ...


LIMIT = 3
'''


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from a.b import c, d as e\n", [Import("a.b", ("c", "d"))]),
        ("from . import c\n", [Import(".", ("c",))]),
        ("from ..a import (\n    b,  # why\n    c,\n)\nx = (", [Import("..a", ("b", "c"))]),
        ("from a import b  # from c import d\n", [Import("a", ("b",))]),
        ("import a\nx = 1\n    from a import b\n", []),
    ],
)
def test_imports_are_read_even_where_the_text_does_not_parse(
    text: str, found: list[Import]
) -> None:
    assert imports(text) == found


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("add", "def add(a: int, b=1, *, c) -> int: ..."),
        ("wait", "async def wait(): ..."),
        (
            "Box",
            "class Box(Base):\n    def __init__(self, width): ...\n    def area(self) -> int: ...",
        ),
        ("Plain", "class Plain:"),
    ],
)
def test_a_head_says_how_a_thing_is_called(name: str, head: str) -> None:
    assert heads(SOURCE, [name]) == [head]


def test_what_is_no_function_and_no_class_has_no_head() -> None:
    assert heads(SOURCE, ["LIMIT", "unknown"]) == []


@pytest.mark.parametrize("source", ["def f(:\n", "\0"])
def test_a_source_that_does_not_parse_has_no_heads(source: str) -> None:
    assert heads(source, ["f"]) == []
