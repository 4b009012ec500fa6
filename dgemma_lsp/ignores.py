"""Which files completion leaves out: gitignore patterns of the workspace and of the options.

The patterns are read by `pathspec`; here is only where they lie and when they are read again.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

NAME = ".dgemmaignore"

log = logging.getLogger(__name__)


class _Read(NamedTuple):
    state: tuple[int, int]  # of the file when it was read
    spec: GitIgnoreSpec


_NONE = GitIgnoreSpec.from_lines([])
_ALL = GitIgnoreSpec.from_lines(["*"])


class Ignores:
    """The `.dgemmaignore` files of the workspace's folders; each is read anew when it changes."""

    def __init__(self) -> None:
        self._read: dict[Path, _Read] = {}

    def leave_out(self, path: Path | None, roots: Sequence[Path]) -> bool:
        """Tell whether a folder that holds the file leaves it out."""
        if path is None:
            return False
        return any(
            self._patterns(root / NAME).match_file(path.relative_to(root))
            for root in roots
            if path.is_relative_to(root)
        )

    def _patterns(self, file: Path) -> GitIgnoreSpec:
        try:
            info = file.stat()
            state = (info.st_mtime_ns, info.st_size)
            if (read := self._read.get(file)) is None or read.state != state:
                lines = file.read_text(encoding="utf-8").splitlines()
                read = self._read[file] = _Read(state, GitIgnoreSpec.from_lines(lines))
            return read.spec
        except FileNotFoundError:
            return _NONE
        except (OSError, ValueError) as exc:
            # Rather nothing than a file that was meant to be left out.
            log.error("%s: cannot be read, so all files below are left out: %s", file, exc)
            return _ALL


def match(patterns: Sequence[str], path: Path | None, roots: Sequence[Path]) -> bool:
    """Tell whether the options leave a file out; patterns are relative to the workspace's folders.

    Outside of them, and without any, they are relative to the root of the file system.
    """
    if path is None or not patterns:
        return False
    inside = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError as exc:
        log.error("editor.files_off: %s: it leaves no file out", exc)
        return False
    return any(spec.match_file(name) for name in inside or [path.relative_to(path.anchor)])
