"""The file with the outcomes of suggestions: JSON lines that never leave the machine.

Several language servers write to it at once, each line in one go. It is bounded: a file that has
grown to its limit becomes the old one, and the old one before it is gone.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from dgemma_lsp.outcomes import Line

LIMIT_BYTES = 2 * 1024 * 1024

log = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class OutcomeLog:
    """The log at `path`, and the older half of it beside."""

    def __init__(self, path: Path, limit: int = LIMIT_BYTES) -> None:
        self.path = path
        self._limit = limit

    @property
    def older(self) -> Path:
        """The file that was full."""
        return self.path.with_suffix(".old.jsonl")

    def append(self, lines: Iterable[Line]) -> None:
        """Write the lines; where that cannot be, completion goes on and the reason is logged."""
        written = b"".join(_encoder.encode(line) + b"\n" for line in lines)
        if not written:
            return
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "ab", buffering=0) as file:
                file.write(written)
                full = file.tell() >= self._limit
            if full:
                self._turn()
        except OSError as exc:
            log.warning("outcomes are not recorded: %s: %s", self.path, exc.strerror)

    def read(self) -> list[Line]:
        """Return all lines, the oldest first; what is no line of this version is left out."""
        lines: list[Line] = []
        for path in (self.older, self.path):
            try:
                written = path.read_bytes()
            except FileNotFoundError:
                continue
            for line in written.splitlines():
                try:
                    lines.append(_decoder.decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    log.info("%s: no outcome: %r", path, line[:80])
        return lines

    def _turn(self) -> None:
        """Make the file the old one, unless another process has just done so."""
        try:
            with FileLock(self.path.with_suffix(".lock"), mode=0o600, timeout=0):
                if self.path.stat().st_size >= self._limit:
                    os.replace(self.path, self.older)
        except (Timeout, FileNotFoundError):
            pass
