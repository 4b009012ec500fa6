"""Who may use the page: links that open it once, and the sessions that they are exchanged for.

It knows no request and no cookie. Of a session its hash is kept, on disk too, and the port: a page
that was open when the daemon ended goes on with the next one.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from dgemma_lsp import runtime

LINK_S = 60.0
MOST_SESSIONS = 20  # the oldest gives way


class Kept(Struct, frozen=True, kw_only=True):
    """What outlives the daemon: where the page was, and the hashes of those who may enter."""

    port: int = 0
    sessions: list[str] = []


class PageKeys:
    """The links that wait to be opened, and the sessions; `file` is in the runtime folder."""

    def __init__(self, file: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._now = now
        self._links: dict[str, float] = {}  # hash -> until when
        self._kept = _read(file)

    @property
    def port(self) -> int:
        """Where the page was last, 0 where that is not known."""
        return self._kept.port

    def stand_at(self, port: int) -> None:
        """Keep where the page is, for those who may enter; raises UserError where that cannot be.

        Where nobody has opened the page a daemon leaves nothing behind.
        """
        self._kept = Kept(port=port, sessions=self._kept.sessions)
        if self._kept.sessions:
            self._keep(self._kept)

    def new_link(self) -> str:
        """Return a key that opens the page once, within LINK_S."""
        key = secrets.token_urlsafe(24)
        self._links[_hash(key)] = self._now() + LINK_S
        return key

    def enter(self, key: str) -> str | None:
        """Return the session that a link is exchanged for; None where it was used, or is old."""
        until = self._links.pop(_hash(key), 0.0)
        if self._now() >= until:
            return None
        session = secrets.token_urlsafe(32)
        sessions = [*self._kept.sessions, _hash(session)][-MOST_SESSIONS:]
        self._keep(Kept(port=self._kept.port, sessions=sessions))
        return session

    def knows(self, session: str) -> bool:
        """Tell whether this session was given."""
        return _hash(session) in self._kept.sessions

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        runtime.write_private(self._file, kept)


def _read(file: Path) -> Kept:
    """Return what is kept, nothing where there is no file or a broken one: `dgemma open` mends."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return Kept()


def _hash(key: str) -> str:
    """Return what is compared: finding a hash by its beginning tells nothing of the key."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
