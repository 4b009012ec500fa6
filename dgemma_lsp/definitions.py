"""The definitions that a Python file imports from its workspace, read from their files.

It decides nothing of what they look like: `imports` does. Files are read off the event loop, and
again only when they have changed.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dgemma_lsp.imports import heads, imports

REMEMBERED = 64  # files
MAX_BYTES = 500_000  # of a file that is read


class Definitions:
    """The heads of what is imported, from files that `leave_out` does not keep back."""

    def __init__(self, leave_out: Callable[[Path, Sequence[Path]], bool]) -> None:
        self._leave_out = leave_out
        self._lock = threading.Lock()
        self._sources: OrderedDict[Path, tuple[tuple[int, int], str]] = OrderedDict()

    async def of(self, path: Path, text: str, roots: Sequence[Path], chars: int) -> str:
        """Return the heads of what a text at `path` imports, so many characters at most."""
        return await asyncio.to_thread(self._of, path, text, roots, chars)

    def _of(self, path: Path, text: str, roots: Sequence[Path], chars: int) -> str:
        found: list[str] = []
        with self._lock:
            for module, names in imports(text):
                for head in heads(self._module(module, path, roots), names):
                    chars -= len(head) + 1
                    if chars < 0:
                        return "\n".join(found)
                    found.append(head)
        return "\n".join(found)

    def _module(self, module: str, path: Path, roots: Sequence[Path]) -> str:
        """Return the source of a module of the workspace, "" for another one."""
        files = (file for file in _files(module, path, roots) if file.is_file())
        file = next(files, None)
        if file is None or self._leave_out(file, roots):
            return ""
        return self._source(file)

    def _source(self, file: Path) -> str:
        """Return the text of a file, "" where it cannot be read or is too long."""
        try:
            stat = file.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            if file in self._sources and self._sources[file][0] == state:
                self._sources.move_to_end(file)
                return self._sources[file][1]
            source = file.read_text(encoding="utf-8") if stat.st_size <= MAX_BYTES else ""
        except (OSError, UnicodeDecodeError):
            return ""
        self._sources[file] = state, source
        if len(self._sources) > REMEMBERED:
            self._sources.popitem(last=False)
        return source


def _files(module: str, path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield where a module may lie: beside the file for leading dots, else below a root."""
    name = module.lstrip(".")
    dots = len(module) - len(name)
    parents = [path.parent, *path.parent.parents]
    places = parents[dots - 1 : dots] if dots else [p for r in roots for p in (r, r / "src")]
    for place in places:
        base = place.joinpath(*name.split(".")) if name else place
        if name:
            yield base.with_suffix(".py")
        yield base / "__init__.py"
