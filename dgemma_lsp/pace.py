"""How long to wait for the next key before the model is asked: key times -> seconds. Pure.

Who types so fast that an answer would come after the next key is waited for, at most as long as
between two keys. Who begins to type, or types slowly, is not. The wait counts from the last key, so
one that the editor has made already is not made again.
"""

from collections import deque
from itertools import pairwise
from statistics import median

KEYS = 9  # that are remembered
PAUSE_S = 1.0  # without a key for so long, and what comes next is another rhythm
LATENCY_S = 0.25  # an answer's, until some have come


class Pace:
    """The rhythm of one person's keys, and of the model's answers."""

    def __init__(self) -> None:
        self._keys: deque[float] = deque(maxlen=KEYS)
        self._answers: deque[float] = deque(maxlen=KEYS)

    def key(self, now: float) -> None:
        """Take note of a change of a document."""
        if self._keys and now - self._keys[-1] >= PAUSE_S:
            self._keys.clear()
        self._keys.append(now)

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        self._answers.append(seconds)

    def wait_s(self, now: float, longest_s: float) -> float:
        """Return for how long a key may still come that is worth waiting for."""
        gaps = [later - earlier for earlier, later in pairwise(self._keys)]
        if len(gaps) < 2:
            return 0.0
        typical = median(gaps)
        if typical >= (median(self._answers) if self._answers else LATENCY_S):
            return 0.0
        return max(0.0, min(typical, longest_s) - (now - self._keys[-1]))
