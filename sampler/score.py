"""What the causal side thinks of whole texts behind a prefix, as a loop. Nothing is written here.

Exact: each text's number is the sum over its own tokens, whatever others it is read beside.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sampler.denoise import numbers, prefill
from sampler.events import Weighed
from sampler.params import InvalidParameter
from sampler.work import Loop, Score

# One pass reads so much at most, so that whoever types waits for no more than that.
ROWS = 16
TOKENS = 512


def score(prompt: Sequence[int], texts: Sequence[Sequence[int]], device: torch.device) -> Loop:
    """Read each of `texts` behind `prompt`; ends with one `Weighed`.

    Raises InvalidParameter for no text, and for an empty one.
    """
    if not texts or not all(texts):
        raise InvalidParameter("there is nothing to score in an empty text; leave it out")
    yield from prefill(prompt)
    sums = [0.0] * len(texts)
    for rows in passes([len(text) for text in texts]):
        longest = max(len(texts[row]) for row in rows)
        padded = [[*texts[row], *[0] * (longest - len(texts[row]))] for row in rows]
        log_probs: Tensor = yield Score(torch.tensor(padded, device=device), keep=False)
        for row, log_p in zip(rows, numbers(log_probs), strict=True):
            sums[row] = float(log_p[: len(texts[row])].double().sum())
    yield Weighed(sums)


def passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield which texts are read together: of like lengths, so that little is filled up."""
    rows: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows and (len(rows) == ROWS or (len(rows) + 1) * lengths[index] > TOKENS):
            yield rows
            rows = []
        rows.append(index)
    if rows:
        yield rows
