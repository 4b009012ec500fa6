"""What stands elsewhere in a text behind its own last tokens: candidates for a hole. No model here.

Code repeats itself, and a copy costs no step: the causal side thinks of copies in the same pass in
which it thinks of what was denoised. (Prompt lookup, as in speculative decoding, but for choosing.)
"""

import re
from collections.abc import Sequence

from torch import Tensor

from sampler.prompts import CompletionPrompt, Prompts

# How a docstring or a comment begins.
REMARKS = ('"""', "'''", "#")
_QUOTES = re.compile(r"\"{3}|'{3}")
# More agreement than this tells nothing more of two places.
AGREEING = 16


def copies(
    prompts: Prompts, prompt: CompletionPrompt, *, count: int, longest: int
) -> list[list[int]]:
    """Return what of the text before a hole may be copied into it, `count` candidates at most.

    What another place says of itself in a docstring or comment is seldom true here, and the lines
    of a docstring are no code: only what has an even number of triple quotes between itself and
    the hole is copied.
    """
    found = continuations(
        prompt.prefix_ids,
        count=count,
        longest=longest,
        line_ends=prompts.line_ends,
        allowed=prompt.first,
    )
    like = "\0".join(_QUOTES.split(prompts.decode(prompt.prefix_ids))[::-2])
    texts = [prompts.decode(ids) for ids in found]
    return [
        ids
        for ids, text in zip(found, texts, strict=True)
        if not text.lstrip().startswith(REMARKS) and (text in like or _QUOTES.search(text))
    ]


def continuations(
    ids: Sequence[int], *, count: int, longest: int, line_ends: Tensor, allowed: Tensor | None
) -> list[list[int]]:
    """Return up to `count` different rests of lines that followed the last of `ids` before.

    Places that agree longest with the end of `ids` come first, of equals the latest. Each rest has
    `longest` tokens at most; `line_ends` [V] is how many line ends a token holds, and a rest stops
    before one that is not its first token. `allowed` [V] says what may come first, None: anything.
    """
    places = [at for at in range(1, len(ids)) if ids[at - 1] == ids[-1]]
    places.sort(key=lambda at: (-_agreement(ids, at), -at))
    ends = line_ends.tolist()
    found: dict[tuple[int, ...], None] = {}
    for at in places:
        if len(found) == count:
            break
        if allowed is None or bool(allowed[ids[at]]):
            rest = ids[at : at + longest]
            stop = next((i for i, token in enumerate(rest) if i and ends[token]), len(rest))
            found[tuple(rest[:stop])] = None
    return [list(rest) for rest in found]


def _agreement(ids: Sequence[int], at: int) -> int:
    """Return how many tokens before `at` are the last ones of `ids`, AGREEING at most."""
    most = min(at, AGREEING)
    return next((n for n in range(most) if ids[at - 1 - n] != ids[len(ids) - 1 - n]), most)
