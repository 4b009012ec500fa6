"""Which line of a batch is asked next, and which is asked again. Pure: nothing is sent or awaited.

Up to `room` lines are in flight. A line whose model failed or died may only have kept bad company:
it is asked again with nothing else of the batch in flight, and what fails then is its own fault.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable

ATTEMPTS = 3  # of a line whose model fails or dies


class Queue:
    """The lines that have no end yet, the lowest first."""

    def __init__(self, lines: Iterable[int], room: int) -> None:
        self._waiting = sorted(lines)  # a heap
        self._suspects: deque[int] = deque()
        self._flying: set[int] = set()
        self._failures: Counter[int] = Counter()
        self._limit = self._room = room
        self._refused = False

    @property
    def left(self) -> bool:
        """Tell whether any line has no end yet."""
        return bool(self._waiting or self._suspects or self._flying)

    @property
    def suspects(self) -> bool:
        """Tell whether the next line is one whose model failed or died."""
        return bool(self._suspects)

    def next(self) -> int | None:
        """Return the line to ask now; None where one in flight has to end first, or time pass."""
        alone = any(self._failures[line] for line in self._flying)
        if self._refused or alone or len(self._flying) >= self._room:
            return None
        if self._suspects:
            line = None if self._flying else self._suspects.popleft()
        else:
            line = heapq.heappop(self._waiting) if self._waiting else None
        if line is not None:
            self._flying.add(line)
        return line

    def ended(self, line: int) -> None:
        """Forget a line that has its result or its failure."""
        self._flying.remove(line)
        self._room = min(self._limit, self._room + 1)
        self._refused = False

    def busy(self, line: int) -> None:
        """Keep a line that the daemon has no place for, until one in flight has ended."""
        self._flying.remove(line)
        if self._failures[line]:
            self._suspects.appendleft(line)
        else:
            heapq.heappush(self._waiting, line)
        self._room = max(1, len(self._flying))
        self._refused = True

    def time_passed(self) -> None:
        """Try again, where others fill the daemon's queue and nothing of the batch is in flight."""
        self._refused = False

    def failed(self, line: int) -> bool:
        """Take a line whose model failed or died; False where it must not be asked again."""
        self._failures[line] += 1
        if self._failures[line] == ATTEMPTS:
            self.ended(line)
            return False
        self._flying.remove(line)
        self._suspects.append(line)
        self._refused = False
        return True
