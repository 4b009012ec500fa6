"""The encoded texts that are kept between requests, and which of them serves a new one. No model.

Between two keystrokes a prompt changes at its end, so nearly all of it is encoded already. A text
that serves a request is on loan until it comes back; the least recently used go first.
"""

from collections.abc import Callable, Sequence

from sampler.kv import KV

# Shorter common beginnings are not worth a copy of their keys and values.
WORTH_COPYING = 16


class PrefixCache:
    """Encoded texts within `budget` bytes; `new_kv` makes an empty one."""

    def __init__(self, new_kv: Callable[[], KV], budget: int) -> None:
        self.budget = budget
        self._new_kv = new_kv
        self._kept: list[KV] = []  # least recently used first
        self._lent: list[KV] = []

    @property
    def nbytes(self) -> int:
        """What the texts that are not on loan take."""
        return sum(kv.nbytes for kv in self._kept)

    @property
    def lent(self) -> int:
        """How many texts are on loan."""
        return len(self._lent)

    def acquire(self, ids: Sequence[int]) -> KV:
        """Lend a text that begins like `ids`, cut to what they have in common.

        At least the last id is left to encode, for what it predicts is not kept. A text of which
        most is wanted is taken as it is; of another one, or one on loan, the beginning is copied.
        """
        kv = self._serve(list(ids))
        self._lent.append(kv)
        return kv

    def release(self, kv: KV) -> None:
        """Take a text back and keep it, as far as the budget goes."""
        self._lent = [other for other in self._lent if other is not kv]
        if kv.length == 0:
            return
        self._kept = [other for other in self._kept if not _begins(kv.ids, other.ids)]
        self._kept.append(kv)
        while self._kept and self.nbytes > self.budget:
            del self._kept[0]

    def drop(self, kv: KV) -> None:
        """Take a text back and forget it: what it holds cannot be trusted."""
        self._lent = [other for other in self._lent if other is not kv]

    def _serve(self, ids: list[int]) -> KV:
        best, common = None, 0
        for kv in [*self._lent, *self._kept]:
            shared = min(common_length(kv.ids, ids), len(ids) - 1)
            if shared >= max(common, 1):
                best, common = kv, shared
        if best is None:
            return self._new_kv()
        lent = any(kv is best for kv in self._lent)
        if not lent and 2 * common >= best.length:
            self._kept = [kv for kv in self._kept if kv is not best]
            best.crop(common)
            return best
        return best.copy(common) if common >= WORTH_COPYING else self._new_kv()


def common_length(a: list[int], b: list[int]) -> int:
    """Return how many ids two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    # Equal slices are compared in C; halving finds the first difference in a few of them.
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _begins(ids: list[int], beginning: list[int]) -> bool:
    return ids[: len(beginning)] == beginning
