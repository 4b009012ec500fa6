"""What the causal side thinks of whole texts behind a prefix, as a loop. Nothing is written here.

Exact: each text's number is the sum over its own tokens, whatever others it is read beside. What
texts have in common with the first of them at their beginning is read once.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sampler.cache import common_length
from sampler.denoise import numbers, prefill
from sampler.events import Weighed
from sampler.params import InvalidParameter
from sampler.work import Loop, Score

# One pass reads so much at most, so that whoever types waits for no more than that.
ROWS = 8
TOKENS = 512


def score(prompt: Sequence[int], texts: Sequence[list[int]]) -> Loop:
    """Read each of `texts` behind `prompt`; ends with one `Weighed`.

    Raises InvalidParameter for no text, and for an empty one.
    """
    if not texts or not all(texts):
        raise InvalidParameter("there is nothing to score in an empty text; leave it out")
    yield from prefill(prompt)
    sums = [0.0] * len(texts)
    common, read = 0, 0.0  # of the first text so much is read, and so probable is that
    for shared, rows in passes(texts):
        if shared > common:
            log_probs: Tensor = yield Score([texts[0][common:shared]], keep=True)
            common, read = shared, read + _sum(numbers(log_probs))
        tails = [texts[row][common:] for row in rows]
        log_probs = yield Score(tails, keep=False)
        parts = torch.split(numbers(log_probs), [len(tail) for tail in tails])
        for row, part in zip(rows, parts, strict=True):
            sums[row] = read + _sum(part)
    yield Weighed(sums)


def passes(texts: Sequence[list[int]]) -> Iterator[tuple[int, list[int]]]:
    """Yield which texts are read together, and how much of the first one all of them begin with.

    At least one token of each is left to read.
    """
    shared = [min(common_length(text, texts[0]), len(text) - 1) for text in texts]
    rows: list[int] = []
    tokens = 0
    for row in sorted(range(len(texts)), key=shared.__getitem__):
        tail = len(texts[row]) - shared[rows[0] if rows else row]
        if rows and (len(rows) == ROWS or tokens + tail > TOKENS):
            yield shared[rows[0]], rows
            rows, tokens = [], 0
        rows.append(row)
        tokens += len(texts[row]) - shared[rows[0]]
    if rows:
        yield shared[rows[0]], rows


def _sum(log_p: Tensor) -> float:
    return float(log_p.double().sum())
