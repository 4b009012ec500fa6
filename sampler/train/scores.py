"""What is counted of texts that were written, and how sure the counts are. No model, no files."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import combinations
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from sampler.benchmarks.report import Estimate

RESAMPLES = 2000
_Z = NormalDist().inv_cdf(0.975)


def share(flags: Sequence[float]) -> Estimate:
    """Return the percentage of true cases, each 0 or 1 or the mean over its seeds (Wilson).

    A case counts once however many seeds it has: its answers are no independent ones.
    """
    n, p = len(flags), fmean(flags)
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * ((p * (1 - p) + _Z**2 / (4 * n)) / n) ** 0.5 / (1 + _Z**2 / n)
    return Estimate(100 * p, 100 * max(0.0, middle - half), 100 * min(1.0, middle + half))


def mean(values: Sequence[float], scale: float = 1.0) -> Estimate:
    """Return the mean over cases, times `scale`, with the interval of a bootstrap over them."""
    array = scale * np.asarray(values)
    drawn = np.random.default_rng(0).integers(0, len(array), (RESAMPLES, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), (2.5, 97.5))
    return Estimate(float(array.mean()), float(low), float(high))


def rouge_l(expected: str, written: str) -> float:
    """Return the F measure of the longest common subsequence of words, from 0 to 1."""
    found: float = _rouge().score(expected, written)["rougeL"].fmeasure
    return found


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # a training run has no need of it

    return RougeScorer(["rougeL"])


def variety(texts: Sequence[str]) -> float:
    """Return how unlike each other texts are on average, from 0 (all equal) to 1; 0 for one."""
    pairs = list(combinations(texts, 2))
    alike = [SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs]
    return 1 - fmean(alike) if alike else 0.0
