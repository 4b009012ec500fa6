"""How good a proofreader is: what it mends of mistakes made on purpose, and what else it touches.

A proofreader is any function from text to text; there is no model here.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

import numpy as np

from sampler.benchmarks.report import Estimate
from sampler.train import scores
from sampler.train.errors_in_prose import KINDS, Mistake, Spoilt, spoil

Proofreader = Callable[[str], str]

# So many mistakes a sentence, as often as each number stands here.
MISTAKES = (1, 1, 1, 2, 2, 3)

_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Proofread:
    """Shares in percent: `mended` of all mistakes, by `kind` too; `restored` of the sentences with
    mistakes, word for word; `touched` of the clean ones, which should be none.
    """

    mended: Estimate
    by_kind: Mapping[str, Estimate]
    restored: Estimate
    touched: Estimate


def spoilt(sentences: Sequence[str], seed: int) -> list[Spoilt]:
    """Return each sentence with one to three mistakes; those in which none can be made fall out."""
    rng = np.random.default_rng(seed)
    made = [spoil(rng, sentence, int(rng.choice(MISTAKES))) for sentence in sentences]
    return [one for one in made if one.mistakes]


def measure(proofread: Proofreader, clean: Sequence[str], wrong: Sequence[Spoilt]) -> Proofread:
    """Have sentences proofread, clean ones and others; raises ValueError where either is none."""
    if not clean or not wrong:
        raise ValueError(f"{len(clean)} clean sentences and {len(wrong)} with mistakes: give both")
    shares: list[float] = []
    by_kind: dict[str, list[bool]] = defaultdict(list)
    restored = []
    for spoilt in wrong:
        written = proofread(spoilt.text)
        flags = mended(spoilt, written)
        shares += flags
        for mistake, flag in zip(spoilt.mistakes, flags, strict=True):
            by_kind[mistake.kind].append(flag)
        restored.append(written == spoilt.clean)
    touched = [proofread(sentence) != sentence for sentence in clean]
    return Proofread(
        mended=scores.share(shares),
        by_kind={kind: scores.share(by_kind[kind]) for kind in KINDS if by_kind[kind]},
        restored=scores.share(restored),
        touched=scores.share(touched),
    )


def mended(spoilt: Spoilt, written: str) -> list[bool]:
    """Tell of each mistake whether `written` has there what the clean text has.

    A mistake is not mended where the word or the space beside it has been changed: who writes a
    word twice may have written either of them.
    """
    clean = _PIECE.findall(spoilt.clean)
    matcher = SequenceMatcher(None, clean, _PIECE.findall(written), autojunk=False)
    changed = [(start, end) for tag, start, end, *_ in matcher.get_opcodes() if tag != "equal"]
    ends = list(accumulate(map(len, clean)))

    def untouched(mistake: Mistake) -> bool:
        first, last = bisect_right(ends, mistake.start), bisect_left(ends, mistake.end)
        return all(end < first - 1 or start > last + 2 for start, end in changed)

    return [untouched(mistake) for mistake in spoilt.mistakes]
