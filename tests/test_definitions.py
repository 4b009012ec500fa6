"""Definitions from files of a workspace."""

from pathlib import Path

import pytest

from dgemma_lsp.definitions import Definitions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "pkg/__init__.py": "def top(): ...\n",
        "pkg/one.py": "def first(a): ...\ndef second(b): ...\n",
        "pkg/sub/two.py": "def third(): ...\n",
        "src/lib/three.py": "def fourth(): ...\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def definitions() -> Definitions:
    return Definitions(lambda path, roots: path.name == "two.py")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from pkg.one import second, first", "def first(a): ...\ndef second(b): ..."),
        ("from .one import first", "def first(a): ..."),
        ("from . import top", "def top(): ..."),
        ("from ..pkg.one import first", "def first(a): ..."),
        ("from lib.three import fourth", "def fourth(): ..."),
        ("from pkg import top\nfrom pkg.one import second", "def top(): ...\ndef second(b): ..."),
        ("from os.path import join", ""),
        ("from ........pkg import top", ""),
        ("x = 1", ""),
    ],
)
async def test_modules_are_found_beside_the_file_and_below_the_roots(
    root: Path, definitions: Definitions, text: str, found: str
) -> None:
    assert await definitions.of(root / "pkg" / "me.py", text, [root], 1000) == found


async def test_a_file_that_is_left_out_is_not_read(root: Path, definitions: Definitions) -> None:
    text = "from pkg.sub.two import third"
    assert await definitions.of(root / "me.py", text, [root], 1000) == ""


async def test_no_more_than_so_many_characters(root: Path, definitions: Definitions) -> None:
    text = "from pkg.one import first, second"
    assert await definitions.of(root / "me.py", text, [root], 25) == "def first(a): ..."
    assert await definitions.of(root / "me.py", text, [root], 5) == ""


async def test_a_file_that_has_changed_is_read_again(root: Path, definitions: Definitions) -> None:
    text = "from pkg.one import first"
    assert await definitions.of(root / "me.py", text, [root], 99) == "def first(a): ..."
    (root / "pkg" / "one.py").write_text("def first(a, other): ...\n")
    assert await definitions.of(root / "me.py", text, [root], 99) == "def first(a, other): ..."
