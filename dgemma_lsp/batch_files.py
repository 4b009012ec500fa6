"""The files of a batch: its input, its journal, and what is made of the journal in the end.

Every result is appended to OUT.partial as it comes. When all are there, they are written to OUT in
the order of the input, failures to the side file, and the journal goes. So OUT is whole wherever it
stands without a journal, and a kill at any moment costs no more than was in flight. Nobody is asked
anything here.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec
from msgspec import Struct

from dgemma_lsp import wire
from dgemma_lsp.batch_lines import Failure, Result
from dgemma_lsp.errors import UserError

SYNC_S = 1.0  # a power cut costs no more than so many seconds of results
_ANEW = "`--restart` begins anew"


class Header(Struct, frozen=True, kw_only=True):
    """The journal's first line: what its results are results of."""

    batch: int = 1
    input: str  # SHA-256
    model: str
    sampling: wire.Sampling


class _Record(Struct):
    """As much as has to be known of a journal's line."""

    line: int
    error: str | None = None


class _Span(NamedTuple):
    """Where the line lies in the journal, in bytes."""

    start: int
    size: int


def read(source: Path) -> tuple[bytes, str]:
    """Return the input and its SHA-256; raises UserError where it cannot be read."""
    if source.is_dir():
        raise UserError(f"{source}: is a folder; name a file of JSON lines")
    try:
        data = source.read_bytes()
    except FileNotFoundError as exc:
        raise UserError(f"{source}: no such file") from exc
    except (OSError, ValueError) as exc:
        raise UserError(f"{source}: cannot be read: {exc}") from exc
    return data, hashlib.sha256(data).hexdigest()


class Places:
    """Where the output, its side file and the journal lie.

    Raises UserError where the output cannot lie there, or the input lies at one of them.
    """

    def __init__(self, source: Path, out: Path) -> None:
        if out.is_dir():
            raise UserError(f"{out}: is a folder; name a file")
        out = out.resolve() if out.is_symlink() else out  # what it points to is replaced in the end
        self.out = out
        self.errors = out.with_name(f"{out.name.removesuffix('.jsonl')}.errors.jsonl")
        self.journal = out.with_name(f"{out.name}.partial")
        for place in (self.out, self.errors, self.journal):
            if place.exists() and not place.is_file():
                raise UserError(f"{place}: is no regular file; name another output")
            if place.exists() and place.samefile(source):
                raise UserError(f"{place}: is the input itself; name another output")
            if place.exists() and not os.access(place, os.W_OK):
                raise UserError(f"{place}: cannot be written: Permission denied")


class Journal:
    """The results so far; held open, and locked against another run, inside a `with` block."""

    def __init__(self, places: Places, *, restart: bool) -> None:
        self.places = places
        self._restart = restart
        self._spans: dict[int, _Span] = {}
        self._failed: set[int] = set()
        self._size = 0
        self._synced = 0.0

    def __enter__(self) -> "Journal":
        """Raise UserError where it cannot be written, or the output is there already."""
        path = self.places.journal
        with _telling(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
        except BaseException:
            os.close(self._file)
            raise
        try:
            self._refuse_to_replace()
            self._find()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    @property
    def done(self) -> int:
        """How many lines have a result."""
        return len(self._spans) - len(self._failed)

    @property
    def failed(self) -> set[int]:
        """The lines that have none and will get none."""
        return self._failed

    def __len__(self) -> int:
        return len(self._spans)

    def __contains__(self, line: int) -> bool:
        return line in self._spans

    def begin(self, header: Header) -> None:
        """Go on where the journal ends, or begin it.

        Raises UserError where its results are those of something else.
        """
        first = msgspec.json.encode(header) + b"\n"
        with self.places.journal.open("rb") as file:
            found = file.readline()
        # A start that was killed leaves a piece of the first line, or an empty file.
        if self._restart or (not found.endswith(b"\n") and first.startswith(found)):
            self._restart = False
            self._cut(0)
            with _telling(self.places.journal):
                _write(self._file, first)
            self._size = len(first)
        elif found == first:
            self._cut(self._size)
        else:
            raise UserError(f"{self.places.journal}: {_difference(found, header)}; {_ANEW}")

    def add(self, record: Result | Failure) -> None:
        """Append what became of a line."""
        raw = msgspec.json.encode(record) + b"\n"
        with _telling(self.places.journal):
            _write(self._file, raw)
            if time.monotonic() > self._synced + SYNC_S:
                os.fsync(self._file)
                self._synced = time.monotonic()
        self._note(record.line, len(raw), failed=isinstance(record, Failure))

    def finish(self) -> None:
        """Write the output and the side file in the order of the input; the journal goes."""
        places = self.places
        good = [line for line in sorted(self._spans) if line not in self._failed]
        if self._failed:
            self._write_out(places.errors, sorted(self._failed))
        else:
            with contextlib.suppress(FileNotFoundError):  # left by what this run replaces
                os.unlink(places.errors)
        self._write_out(places.out, good)
        with _telling(places.out):
            folder = os.open(places.out.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            os.unlink(places.journal)

    def _write_out(self, path: Path, lines: Iterable[int]) -> None:
        unfinished = path.with_name(f".{path.name}.new")
        with _telling(path):
            file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                for line in lines:
                    span = self._spans[line]
                    _write(file, os.pread(self._file, span.size, span.start))
                os.fsync(file)
            finally:
                os.close(file)
            os.replace(unfinished, path)

    def _find(self) -> None:
        """Find the whole lines, up to the first one that is torn."""
        if self._restart:
            return
        with self.places.journal.open("rb") as file:
            self._size = len(file.readline())
            for raw in file:
                try:
                    record = msgspec.json.decode(raw, type=_Record)
                except msgspec.DecodeError:
                    return
                if not raw.endswith(b"\n"):
                    return
                self._note(record.line, len(raw), failed=record.error is not None)

    def _cut(self, size: int) -> None:
        with _telling(self.places.journal):
            os.ftruncate(self._file, size)

    def _note(self, line: int, size: int, *, failed: bool) -> None:
        self._spans[line] = _Span(self._size, size)
        self._size += size
        if failed:
            self._failed.add(line)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UserError(f"{self.places.journal}: another `dgemma batch` writes it") from exc
        if not os.fstat(self._file).st_nlink:
            raise UserError(f"{self.places.out}: another `dgemma batch` has just ended; try again")

    def _refuse_to_replace(self) -> None:
        if self._restart or os.fstat(self._file).st_size:
            return
        for place in (self.places.out, self.places.errors):
            if place.exists():
                raise UserError(f"{place}: exists already; name another output, or {_ANEW}")

    def _close(self) -> None:
        """Let go of the journal; one that was never begun leaves no file."""
        if not os.fstat(self._file).st_size:
            with contextlib.suppress(OSError):
                os.unlink(self.places.journal)
        os.close(self._file)


def _difference(found: bytes, header: Header) -> str:
    """Tell what another run began the journal with."""
    try:
        other = msgspec.json.decode(found, type=Header)
    except msgspec.DecodeError:
        return "is no journal of a batch"
    if other.input != header.input:
        return "was begun with other input, which has changed since"
    if other.model != header.model:
        return f"was begun with the model {other.model}, and now {header.model} answers"
    if other.sampling != header.sampling:
        was, now = (msgspec.json.encode(each.sampling).decode() for each in (other, header))
        return f"was begun with the options {was}, not {now}"
    return f"was begun by another version of this program ({other.batch})"


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UserError(f"{path}: cannot be written: {exc.strerror}") from exc
