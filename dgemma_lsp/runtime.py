"""The user's runtime folder: who may own it, the lock of the one daemon, the endpoint file.

It knows no message and opens no socket.
"""

import asyncio
import os
import stat
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct

from dgemma_lsp.config import Paths
from dgemma_lsp.errors import UserError

HANDOVER_S = 15.0
_POLL_S = 0.05


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where the chat endpoint listens and the bearer token that it asks for."""

    port: int
    token: str
    pid: int


def prepare_folder(folder: Path) -> None:
    """Create the runtime folder, 0700; raises UserError where others could reach into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info, above = folder.lstat(), folder.parent.stat()
    except OSError as exc:
        raise UserError(f"{folder}: cannot be used as runtime folder: {exc.strerror}") from exc
    if not stat.S_ISDIR(info.st_mode):
        raise UserError(f"{folder}: the runtime folder must be a folder, not a link or a file")
    if info.st_uid != os.getuid():
        raise UserError(
            f"{folder}: belongs to user {info.st_uid}, not to you ({os.getuid()}): remove it, or "
            "point XDG_RUNTIME_DIR to a folder of your own"
        )
    # Whoever owns the folder above could put another one in this one's place.
    if above.st_uid not in (0, os.getuid()):
        raise UserError(
            f"{folder.parent}: belongs to user {above.st_uid}, not to you ({os.getuid()}): point "
            "XDG_RUNTIME_DIR to a folder of your own"
        )
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o077:
        raise UserError(
            f"{folder}: others may reach into it (mode {mode:04o}): run `chmod 700 {folder}`"
        )


@asynccontextmanager
async def only_daemon(paths: Paths) -> AsyncIterator[None]:
    """Hold the lock of the one daemon of this user; raises UserError where another one has it.

    A daemon that goes down removes its socket first and the lock last: one that holds the lock
    without a socket is worth waiting for.
    """
    lock = FileLock(paths.lock, mode=0o600, thread_local=False)
    give_up = time.monotonic() + HANDOVER_S
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout as exc:
            if paths.socket.exists() or time.monotonic() > give_up:
                raise UserError(
                    f"another daemon runs already (it holds {paths.lock}): end it with "
                    "`dgemma stop`, or use it"
                ) from exc
        except OSError as exc:
            raise UserError(f"{paths.lock}: cannot be locked: {exc.strerror}") from exc
        await asyncio.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()


def write_private(path: Path, value: Struct) -> None:
    """Put a file there in one step, 0600 from its first moment; raises UserError if it cannot."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(value))
        os.replace(temporary, path)
    except OSError as exc:
        raise UserError(f"{path}: cannot be written: {exc.strerror}") from exc
