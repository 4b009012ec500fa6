"""The training text: permissive Python source of this project's own dependencies. No tokens here.

Only the packages of `TRAIN_PACKAGES` and the standard library are ever read; `HELD_OUT` packages
are for evaluation, and every other package is left alone because it may be somebody's test.
"""

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

HELD_OUT = ("click", "arrow", "tinydb", "structlog")

# Megabytes of source taken from each; the caps keep the large ones from drowning the rest.
TRAIN_PACKAGES = {
    "accelerate": 1.5,
    "attr": 1.0,
    "huggingface_hub": 2.5,
    "jinja2": 1.0,
    "lsprotocol": 0.2,
    "mypy": 4.0,
    "networkx": 4.0,
    "numpy": 5.0,
    "_pytest": 2.0,
    "pip": 3.0,
    "pygls": 1.0,
    "pygments": 1.0,
    "rich": 2.0,
    "setuptools": 2.0,
    "sympy": 7.0,
    "torch": 9.0,
    "transformers": 7.0,
    "websockets": 1.0,
}
STDLIB_MEGABYTES = 12.0

_SKIPPED_FOLDERS = {
    *("test", "tests", "testing", "idlelib", "lib2to3", "_vendor", "site-packages"),
    *("__pycache__", "typeshed", "typed_ops_template"),
}
_MAX_FILE_BYTES = 150_000


@dataclass(frozen=True)
class Document:
    """One source file: `name` is package and relative path, `text` ends with one newline."""

    name: str
    text: str


def package_folder(package: str) -> Path:
    """Return an installed package's folder; raises FileNotFoundError with the way to mend it."""
    # The path finder alone: setuptools' own finder takes a look at pip for a call from pip, and
    # then keeps torch.compile from its compiler.
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"package {package!r} is not installed; run: pip install {package}")
    return Path(next(iter(spec.submodule_search_locations)))


def read_folder(package: str, folder: Path) -> Iterator[Document]:
    """Yield the Python files below `folder` in a fixed order, without tests and vendored code."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if _SKIPPED_FOLDERS.intersection(parts[:-1]) or path.stat().st_size > _MAX_FILE_BYTES:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        text = _tidy(text)
        if len(text) > 200:
            yield Document("/".join((package, *parts)), text)


def training_documents() -> Iterator[Document]:
    """Yield every training document once: near copies are dropped, packages are capped."""
    seen_lines: set[int] = set()
    sources = [("python", Path(sysconfig.get_paths()["stdlib"]), STDLIB_MEGABYTES)]
    sources += [(name, package_folder(name), cap) for name, cap in TRAIN_PACKAGES.items()]
    for package, folder, megabytes in sources:
        documents = [d for d in read_folder(package, folder) if not _is_copy(d, seen_lines)]
        yield from _capped(documents, int(megabytes * 1e6))


def held_out_documents() -> Iterator[Document]:
    """Yield the documents of the packages that are never trained on."""
    for package in HELD_OUT:
        yield from read_folder(package, package_folder(package))


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    start = next((i for i, line in enumerate(lines) if line and not line.startswith("#")), 0)
    # A licence header teaches nothing after the first hundred copies of it.
    kept = lines[start:] if start > 4 else lines
    return "\n".join(kept).strip("\n") + "\n"


def _is_copy(document: Document, seen: set[int]) -> bool:
    """Tell whether most longer lines were seen before; remembers the lines of what is kept."""
    lines = {hash(line) for line in document.text.splitlines() if len(line.strip()) > 20}
    if lines and len(lines & seen) > 0.5 * len(lines):
        return True
    seen |= lines
    return False


def _capped(documents: list[Document], budget: int) -> list[Document]:
    """Keep documents in the order of a hash of their names until `budget` bytes are reached."""
    ranked = sorted(documents, key=lambda d: hashlib.sha256(d.name.encode()).digest())
    kept = []
    for document in ranked:
        budget -= len(document.text)
        if budget < 0:
            break
        kept.append(document)
    return kept
