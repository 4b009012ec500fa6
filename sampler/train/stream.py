"""Documents -> one stream of tokens, and what is known of the tokens. No files, no model."""

import random
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from sampler.train import tokenizer
from sampler.train.corpus import Document

# BPE dropout (arXiv 1910.13267) on some documents: a cursor in mid-word cuts tokens elsewhere.
DROPOUT, DROPOUT_SHARE = 0.1, 0.1


def line_breaks(tok: PreTrainedTokenizerFast) -> NDArray[np.bool_]:
    """Return which tokens begin with a line break, [V]."""
    pieces = tok.convert_ids_to_tokens(list(range(len(tok))))
    return np.array([piece.startswith(("Ċ", "čĊ")) for piece in pieces])


def mixed(
    stream: NDArray[np.uint16], other: NDArray[np.uint16], share: float
) -> NDArray[np.uint16]:
    """Return `stream` and behind it `other`, again and again, until that has about `share` of all.

    So a window that begins anywhere is of `other` with that probability. `share` is below 1.
    """
    times = round(len(stream) * share / (1 - share) / len(other))
    return np.concatenate([stream, *[other] * times])


def tokenize(
    tok: PreTrainedTokenizerFast, documents: Iterable[Document], *, dropout_share: float = 0.0
) -> NDArray[np.uint16]:
    """Return one stream of all documents, each as BOS text EOS."""
    bpe, chooser = tok.backend_tokenizer.model, random.Random(1)
    parts = []
    for document in documents:
        bpe.dropout = DROPOUT if chooser.random() < dropout_share else None
        ids = tok.backend_tokenizer.encode(document.text).ids
        parts.append(np.array([tokenizer.BOS, *ids, tokenizer.EOS], np.uint16))
    bpe.dropout = None
    return np.concatenate(parts)
