"""What waits to be sent to one client, in a bounded space. Pure: the session does the sending.

A reader that keeps up gets everything. For one that lags, a newer draft takes the place of an older
draft of the same block; blocks and ends are never dropped. `full` tells that it lags too far.
"""

from collections.abc import Callable
from itertools import count

from dgemma_lsp.wire import Block, Draft, Response

LAGGING_BYTES = 64 * 1024
FULL_BYTES = 16 * 1024 * 1024

_Place = tuple[str, int, int, int]  # id, turn, candidate, block


class Outbox:
    """A queue of encoded messages that knows which of them are drafts."""

    def __init__(self, encode: Callable[[Response], str | bytes]) -> None:
        self._encode = encode
        self._frames: dict[int, tuple[str | bytes, _Place | None]] = {}
        self._drafts: dict[_Place, int] = {}  # block -> its newest draft that waits
        self._serial = count()
        self._size = 0

    @property
    def full(self) -> bool:
        """Tell whether more waits than any client that reads would leave."""
        return self._size > FULL_BYTES

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, message: Response) -> None:
        """Add a message; a draft that it makes out of date goes, where the reader lags."""
        serial = next(self._serial)
        place: _Place | None = None
        if isinstance(message, Draft | Block):
            place = (message.id, message.turn, message.candidate, message.block)
            if place in self._drafts and self._size > LAGGING_BYTES:
                self._remove(self._drafts[place])
            if isinstance(message, Draft):
                self._drafts[place] = serial
        frame = self._encode(message)
        self._frames[serial] = (frame, place)
        self._size += len(frame)

    def take(self) -> str | bytes:
        """Remove and return the oldest frame; there must be one."""
        return self._remove(next(iter(self._frames)))

    def _remove(self, serial: int) -> str | bytes:
        frame, place = self._frames.pop(serial)
        self._size -= len(frame)
        if place is not None and self._drafts.get(place) == serial:
            del self._drafts[place]
        return frame
