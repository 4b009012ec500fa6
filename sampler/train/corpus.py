"""The training text: permissive Python source of well-known packages. No tokens and no model here.

Only the packages of `SOURCES` and the standard library are ever read; `HELD_OUT` packages are for
evaluation, and every other package is left alone because it may be somebody's test.
`python -m sampler.train.corpus DIR` fetches them all, each in one fixed version.
"""

import hashlib
import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

import click

from sampler.train import contamination, programs
from sampler.train.functions import functions

HELD_OUT = ("click", "arrow", "tinydb", "structlog")
HELD_OUT_REQUIREMENTS = ("click==8.5.1", "arrow==1.4.0", "tinydb==4.9.0", "structlog==26.1.0")


class Source(NamedTuple):
    """A package to learn from: what to install, what to import, how many megabytes of it."""

    requirement: str
    package: str
    megabytes: float


# The caps keep large packages from drowning the rest, and code that is like what people write
# (tools, services, libraries) before numerics, model zoos and tables of words.
SOURCES = (
    Source("accelerate==1.15.0", "accelerate", 1.0),
    Source("aiohttp==3.14.5", "aiohttp", 2.0),
    Source("attrs==26.1.0", "attr", 1.0),
    Source("babel==2.19.0", "babel", 1.0),
    Source("black==26.10.1", "black", 1.0),
    Source("boltons==26.2.0", "boltons", 1.0),
    Source("celery==5.7.0", "celery", 2.0),
    Source("cryptography==50.0.2", "cryptography", 0.5),
    Source("django==5.2.19", "django", 5.5),
    Source("fastapi==0.165.0", "fastapi", 1.0),
    Source("flask==3.1.3", "flask", 1.0),
    Source("httpx==0.28.1", "httpx", 1.0),
    Source("huggingface_hub==2.4.0", "huggingface_hub", 2.0),
    Source("ipython==9.18.1", "IPython", 2.0),
    Source("jedi==0.20.1", "jedi", 1.0),
    Source("jinja2==3.1.6", "jinja2", 1.0),
    Source("libcst==1.9.0", "libcst", 0.7),
    Source("lsprotocol==2025.0.0", "lsprotocol", 0.1),
    Source("matplotlib==3.11.2", "matplotlib", 3.0),
    Source("more-itertools==11.2.1", "more_itertools", 1.0),
    Source("mypy==2.4.1", "mypy", 3.0),
    Source("networkx==3.6.1", "networkx", 4.0),
    Source("numpy==2.4.6", "numpy", 3.0),
    Source("pandas==3.1.1", "pandas", 4.0),
    Source("parso==0.8.7", "parso", 1.0),
    Source("pip==26.3", "pip", 2.0),
    Source("pydantic==2.14.4", "pydantic", 2.0),
    Source("pygls==2.1.1", "pygls", 0.5),
    Source("pygments==2.21.0", "pygments", 0.7),
    Source("pytest==9.2.0", "_pytest", 2.0),
    Source("requests==2.34.2", "requests", 1.0),
    Source("rich==15.0.0", "rich", 2.0),
    Source("scikit-learn==1.9.1", "sklearn", 3.0),
    Source("scipy==1.17.1", "scipy", 3.0),
    Source("setuptools==84.2.1", "setuptools", 2.0),
    Source("sortedcontainers==2.4.0", "sortedcontainers", 1.0),
    Source("sphinx==9.0.4", "sphinx", 3.0),
    Source("sqlalchemy==2.1.9", "sqlalchemy", 5.0),
    Source("starlette==1.10.0", "starlette", 1.0),
    Source("sympy==1.14.0", "sympy", 5.0),
    Source("textual==8.2.8", "textual", 2.5),
    Source("torch", "torch", 4.0),
    Source("tornado==6.6.1", "tornado", 1.0),
    Source("transformers==5.24.0", "transformers", 5.0),
    Source("twisted==26.10.0", "twisted", 4.0),
    Source("urllib3==2.8.0", "urllib3", 1.0),
    Source("uvicorn==0.54.0", "uvicorn", 1.0),
    Source("websockets==17.4", "websockets", 1.0),
    Source("werkzeug==3.1.9", "werkzeug", 1.0),
)
STDLIB_MEGABYTES = 13.0

_SKIPPED_FOLDERS = {
    *("test", "tests", "testing", "idlelib", "lib2to3", "_vendor", "site-packages"),
    *("__pycache__", "typeshed", "typed_ops_template"),
}
_MAX_FILE_BYTES = 150_000
NEIGHBOURS = 3


@dataclass(frozen=True)
class Document:
    """One source file: `name` is package and relative path, `text` ends with one newline."""

    name: str
    text: str


def package_folder(package: str, folder: Path | None) -> Path:
    """Return where a package lies, in `folder` or installed.

    Raises FileNotFoundError with the way to mend it.
    """
    # The path finder alone: setuptools' own finder takes a look at pip for a call from pip, and
    # then keeps torch.compile from its compiler.
    path = [*([str(folder)] if folder else []), *sys.path]
    spec = PathFinder.find_spec(package, path)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"package {package!r} is not installed; fetch all of them with "
            "`python -m sampler.train.corpus DIR` and name DIR"
        )
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


def training_documents(folder: Path | None) -> Iterator[Document]:
    """Yield every training document once: near copies are dropped, packages are capped."""
    seen_lines: set[int] = set()
    for package, place, megabytes in _places(folder):
        documents = [d for d in read_folder(package, place) if not _is_copy(d, seen_lines)]
        yield from _capped(documents, int(megabytes * 1e6))


def function_documents(folder: Path | None) -> Iterator[Document]:
    """Yield every function once that stands alone, of whole packages: here none drowns the rest."""
    seen: set[str] = set()
    for package, place, _ in _places(folder):
        for document in read_folder(package, place):
            for text in functions(document.text):
                if text not in seen:
                    seen.add(text)
                    yield Document(document.name, text)


def program_documents(characters: int, tests: Iterable[str], seed: int) -> Iterator[Document]:
    """Yield files of made-up programs, about so many characters, each once.

    None repeats a passage of `tests`, the programs that nano is measured on.
    """
    forbidden = {passage for text in tests for passage in contamination.passages(text)}
    made = programs.files(*programs.read_all(), random.Random(seed))
    seen: set[str] = set()
    for number, text in enumerate(made):
        if text in seen or contamination.passages(text) & forbidden:
            continue
        seen.add(text)
        yield Document(f"programs/{number}.py", text)
        characters -= len(text)
        if characters < 0:
            return


def _places(folder: Path | None) -> list[tuple[str, Path, float]]:
    """Return name, folder and cap in megabytes of all that is learnt from."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    found = [(s.package, package_folder(s.package, folder), s.megabytes) for s in SOURCES]
    return [("python", stdlib, STDLIB_MEGABYTES), *found]


def held_out_documents(folder: Path | None) -> Iterator[Document]:
    """Yield the documents of the packages that are never trained on."""
    for package in HELD_OUT:
        yield from read_folder(package, package_folder(package, folder))


def shuffle(documents: Iterable[Document], seed: int) -> list[Document]:
    """Return the documents in random order, but a few neighbours of a folder one after another.

    So a window that spans several of them looks like a cursor's file behind others of its project.
    """
    ordered = sorted(documents, key=lambda d: d.name)
    groups = [ordered[at : at + NEIGHBOURS] for at in range(0, len(ordered), NEIGHBOURS)]
    random.Random(seed).shuffle(groups)
    return [document for group in groups for document in group]


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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Fetch the packages to learn from, and those that are held out, into FOLDER."""
    fixed = [s.requirement for s in SOURCES if "==" in s.requirement]  # torch is there already
    fetch([*fixed, *HELD_OUT_REQUIREMENTS], folder)


def fetch(requirements: Sequence[str], folder: Path) -> None:
    """Have pip unpack packages into a folder of their own, without what they depend on."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "--only-binary", ":all:", *requirements], check=True)


if __name__ == "__main__":
    main()
