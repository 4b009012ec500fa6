"""English to learn from: the sentences of docstrings, and drafts of them with mistakes. No model.

A draft is what a sentence reads like before it is mended; a share of them is the sentence itself,
so that a clean one is left as it is.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from sampler.train import tokenizer
from sampler.train.corpus import Document
from sampler.train.errors_in_prose import spoil
from sampler.train.syntax_tree import syntax_tree

# So many mistakes a draft, as often as each number stands here.
MISTAKES = (0, 0, 1, 1, 1, 2, 2, 3)
DRAFTS = 2
LONGEST = 96  # in tokens

_CODE = re.compile(r">>>|::|^[.:*+-]|[{}\\<>=|]|__", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[a-z\d)'\"`][.!?]) (?=[A-Z])")


@dataclass(frozen=True)
class Prose:
    """A stream of sentences in tokens, and drafts of some of them.

    `tokens` is one stream, each document BOS text EOS. Of draft d, `sentence` [D, 2] holds where
    its clean sentence begins and ends in `tokens`, `draft` [D, LONGEST] its own tokens, filled up
    with EOS. The drafts are in the order of their sentences.
    """

    tokens: NDArray[np.uint16]
    sentence: NDArray[np.int64]
    draft: NDArray[np.uint16]


def paragraphs(source: str) -> Iterator[str]:
    """Yield the paragraphs of a file's docstrings that are English sentences, each as one line."""
    tree = syntax_tree(source)
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                text = " ".join(paragraph.split())
                if _is_english(paragraph, text):
                    yield text


def _is_english(paragraph: str, text: str) -> bool:
    """Tell sentences from code, tables and lists of parameters."""
    if _CODE.search(paragraph) or not text[:1].isupper() or not text.endswith("."):
        return False
    letters = sum(character.isalpha() or character == " " for character in text)
    return text.count(" ") >= 4 and letters > 0.9 * len(text)


def read(
    tok: PreTrainedTokenizerFast, documents: Iterable[Document], rng: np.random.Generator
) -> Prose:
    """Cut the English out of Python files, each paragraph once, and write drafts of it."""
    tokens: list[int] = []
    sentences: list[tuple[int, int]] = []
    drafts: list[list[int]] = []
    seen: set[str] = set()

    def encoded(text: str) -> list[int]:
        ids: list[int] = tok.backend_tokenizer.encode(text).ids
        return ids

    for document in documents:
        found = [text for text in paragraphs(document.text) if text not in seen]
        seen.update(found)
        if not found:
            continue
        tokens.append(tokenizer.BOS)
        for text in found:
            lead = "" if tokens[-1] == tokenizer.BOS else "\n\n"
            for sentence in _SENTENCE.split(text):
                begin = len(tokens)
                tokens += encoded(lead + sentence)
                for _ in range(DRAFTS):
                    wrong = spoil(rng, sentence, int(rng.choice(MISTAKES))).text
                    draft = encoded(lead + wrong)
                    if max(len(draft), len(tokens) - begin) < LONGEST:
                        sentences.append((begin, len(tokens)))
                        drafts.append(draft + [tokenizer.EOS] * (LONGEST - len(draft)))
                lead = " "
        tokens.append(tokenizer.EOS)
    return Prose(
        np.array(tokens, np.uint16),
        np.array(sentences, np.int64).reshape(-1, 2),
        np.array(drafts, np.uint16).reshape(-1, LONGEST),
    )
