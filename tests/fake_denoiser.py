"""A model without weights for tests of the engine: what it says follows from the text by adding up.

The next token behind a text is the sum of its ids, and position i of a canvas is that sum and i,
both modulo the vocabulary. Its keys are the ids themselves, so it notices a text whose keys and ids
have parted. The tokens `RAISES` and `NAN` in a prompt make it fail in these two ways.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sampler.epilogue import Reading
from sampler.forward import Span
from sampler.kv import KV, LayerShape

VOCAB = 16
RAISES, NAN = 98, 99  # never said by the model itself
CPU = torch.device("cpu")
SHAPE = LayerShape(heads=1, head_dim=1, dtype=torch.float32, device=CPU)


class Poisoned(Exception):
    """The pass met a text that makes it raise."""


class FakeDenoiser:
    """`passes` gets, for each pass, its side, its number of texts and its number of tokens."""

    vocab_size = VOCAB
    device = CPU

    def __init__(self) -> None:
        self.passes: list[tuple[str, int, int]] = []

    def new_kv(self) -> KV:
        return KV([SHAPE])

    def encode(self, spans: Sequence[Span], ids: Tensor) -> Tensor:
        """Return logits [T, V] as hidden states: sure of the sum of all ids up to there."""
        self._begin("encode", spans, ids)
        said, nan, at = [], [], 0
        for span in spans:
            for width in span.widths:
                total = sum(span.kv.ids)
                said += [total := total + token for token in ids[at : at + width].tolist()]
                nan += [NAN in span.kv.ids] * width
                at += width
        return _sure(said, nan)

    def decode(self, spans: Sequence[Span], ids: Tensor, soft: Tensor | None) -> Tensor:
        self._begin("decode", spans, ids)
        said, nan = [], []
        for span in spans:
            total = sum(span.kv.ids)
            for width in span.widths:
                said += range(total, total + width)
                nan += [NAN in span.kv.ids] * width
        return _sure(said, nan)

    def read(
        self, hidden: Tensor, temperature: Tensor, uniform: Tensor, forbidden: Tensor | None
    ) -> Reading:
        logits = hidden if forbidden is None else hidden.masked_fill(forbidden, -torch.inf)
        likely = logits.argmax(-1)
        return Reading(likely, likely, hidden.sum(-1) * 0, logits)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden

    def soften(self, probs: Tensor) -> Tensor:
        return probs[:, :1]

    def embed(self, ids: Tensor) -> Tensor:
        return ids[:, None].float()

    def _begin(self, side: str, spans: Sequence[Span], ids: Tensor) -> None:
        assert len(ids) == sum(span.tokens for span in spans)
        assert len({span.kv.keys[0].data_ptr() for span in spans}) == len(spans)
        self.passes.append((side, len(spans), len(ids)))
        at = 0
        for span in spans:
            kv = span.kv
            assert kv.keys[0][0, 0, : kv.length, 0].tolist() == kv.ids
            kv.reserve(span.tokens)
            kv.keys[0][0, 0, kv.length : kv.length + span.tokens, 0] = ids[at : at + span.tokens]
            at += span.tokens
        if any(RAISES in span.kv.ids for span in spans):
            raise Poisoned


def _sure(said: list[int], nan: list[bool]) -> Tensor:
    hidden = SURE[[token % VOCAB for token in said]]
    if any(nan):
        hidden[nan] = torch.nan
    return hidden


SURE = torch.eye(VOCAB) * 30.0
