"""The files of a workspace that are like one of them, read and kept: where copies may come from.

What is worth copying `elsewhere` decides. Files are found and read off the event loop; what is
known already is given at once, and looked at again when it is old.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from dgemma_lsp.elsewhere import Lines
from dgemma_lsp.ignores import Ignores

# So much of a workspace's files is looked through, and none that is longer than so much.
MAX_CHARS, MAX_FILE_BYTES = 3_000_000, 200_000
# More than so many times the files that are looked through are not remembered.
FORGOTTEN = 4
# So many names are looked at to find them, and again after so many seconds.
MAX_NAMES, OLD_S = 20_000, 30.0
# Folders that hold what other people wrote, or what was made from other files.
FOREIGN = {"__pycache__", "build", "dist", "node_modules", "site-packages", "target", "venv"}
# What tells the topmost folder of a project, where no editor does.
MARKS = (".git", "pyproject.toml", "package.json", "Cargo.toml", "go.mod")

log = logging.getLogger(__name__)


class _Read(NamedTuple):
    state: tuple[int, int]  # of the file when it was read
    lines: Lines


class _Known(NamedTuple):
    at: float
    files: dict[Path, Lines]


class Project:
    """The files of one workspace, without those that `leave_out` keeps back."""

    def __init__(self, leave_out: Callable[[Path, Sequence[Path]], bool]) -> None:
        self._leave_out = leave_out
        self._lock = threading.Lock()
        self._read: dict[Path, _Read] = {}
        self._known: dict[tuple[Path, str], _Known] = {}
        self._looking: asyncio.Task[None] | None = None

    def known(self, path: Path, roots: Sequence[Path], max_files: int) -> list[Lines]:
        """Return what is known of the files beside `path`, and look again where that is old."""
        known = self._known.get((path.parent, path.suffix))
        if (known is None or time.monotonic() - known.at > OLD_S) and (
            self._looking is None or self._looking.done()
        ):
            self._looking = asyncio.create_task(self._look(path, roots, max_files))
        return _beside(path, known)

    def look(self, path: Path, roots: Sequence[Path], max_files: int) -> list[Lines]:
        """Find and read `max_files` files beside `path` at most, the nearest first; return them.

        They are those of the same kind, by the ending of their names.
        """
        key = path.parent, path.suffix
        if max_files == 0 or not path.suffix:
            return []
        with self._lock:
            root = next((root for root in roots if path.is_relative_to(root)), None)
            found = _files(root or top(path), path.suffix)
            near = sorted(found, key=lambda file: _distance(file, path))
            files: dict[Path, Lines] = {}
            chars = MAX_CHARS
            for file in near:
                if len(files) == max_files or chars < 0:
                    break
                if not self._leave_out(file, roots) and (lines := self._lines(file)) is not None:
                    files[file] = lines
                    chars -= len(lines.text)
            self._known[key] = _Known(time.monotonic(), files)
            if len(self._read) > FORGOTTEN * max_files:
                self._read = {file: read for file, read in self._read.items() if file in files}
        return _beside(path, self._known[key])

    async def _look(self, path: Path, roots: Sequence[Path], max_files: int) -> None:
        try:
            await asyncio.to_thread(self.look, path, roots, max_files)
        except OSError as exc:
            log.warning("%s: the files beside it cannot be read: %s", path, exc)

    def _lines(self, file: Path) -> Lines | None:
        """Return the lines of a file; None where it cannot be read or is too long."""
        try:
            info = file.stat()
            if info.st_size > MAX_FILE_BYTES:
                return None
            state = info.st_mtime_ns, info.st_size
            if (read := self._read.get(file)) is None or read.state != state:
                read = self._read[file] = _Read(state, Lines(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError):
            return None
        return read.lines


def beside(path: Path, max_files: int) -> list[Lines]:
    """Return the files of the project of a file that no editor has open."""
    return Project(Ignores().leave_out).look(path, [top(path)], max_files)


def top(path: Path) -> Path:
    """Return the topmost folder of the project of a file, or its own folder."""
    return next(
        (folder for folder in path.parents if any((folder / mark).exists() for mark in MARKS)),
        path.parent,
    )


def _beside(path: Path, known: _Known | None) -> list[Lines]:
    return [lines for file, lines in known.files.items() if file != path] if known else []


def _files(root: Path, suffix: str) -> Iterator[Path]:
    """Yield the files below a folder that end in `suffix` and are the project's own."""
    ignored = _ignored(root)
    names = 0
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in FOREIGN
            and not ignored.match_file(f"{(here / name).relative_to(root).as_posix()}/")
        )
        for name in sorted(files):
            if name.endswith(suffix):
                file = here / name
                if not ignored.match_file(file.relative_to(root).as_posix()):
                    yield file
        names += len(folders) + len(files)
        if names > MAX_NAMES:
            return


def _ignored(root: Path) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines((root / ".gitignore").read_text("utf-8").splitlines())
    except (OSError, ValueError):
        return GitIgnoreSpec.from_lines([])


def _distance(file: Path, path: Path) -> int:
    """Return how many folders lie between two files."""
    common = len(os.path.commonpath([file.parent, path.parent]).split(os.sep))
    return len(file.parent.parts) + len(path.parent.parts) - 2 * common
