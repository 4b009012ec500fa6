"""Texts for a hole that the causal side writes, one token after another. Nothing is denoised here.

One is written freely. A model that reads from left to right does not know what stands behind the
hole: where that tells how the first line had better begin, or which name it had better use, more
texts are written that do.
"""

from collections.abc import Container, Generator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, NamedTuple

from torch import Tensor

from sampler import autoregress
from sampler.events import Draft
from sampler.work import Predict, Prefill

# A line that is begun is gone on with for so many tokens.
LINE_TOKENS = 16

# So many texts are written that mention what had better be used.
MENTIONS = 2


@dataclass(frozen=True)
class Causal:
    """At most `max_tokens` tokens and `max_lines` lines (0: all) are written causally too.

    `line_ends` [V] is how many line ends a token holds. Each of `beginnings` is gone on with to the
    end of its line besides. One of `mentions` is put where it is likeliest into the first lines
    that are written so, MENTIONS times, and gone on with.
    """

    max_tokens: int
    max_lines: int
    line_ends: Tensor
    beginnings: Sequence[Sequence[int]] = ()
    mentions: Sequence[Sequence[int]] = ()


class Text(NamedTuple):
    """A text, the first `given` tokens of which were given."""

    ids: list[int]
    given: int = 0


class _Line(NamedTuple):
    """What was written behind a beginning."""

    beginning: Sequence[int]
    rest: autoregress.Written

    def text(self, ends: Container[int]) -> list[int]:
        """Return the line without its end."""
        return [*self.beginning, *middle(self.rest.ids, ends)]


def write(
    prompt: Sequence[int],
    causal: Causal,
    longest: int,
    allowed: Tensor | None,
    eos_token_ids: Sequence[int],
) -> Generator[Predict | Prefill, Any, list[Text]]:
    """Write texts behind the prompt, which stands encoded alone again behind each.

    What is written freely has `longest` tokens at most and begins with what is `allowed` [V]; it is
    cut at each of its line ends.
    """
    ends = {*eos_token_ids, *causal.line_ends.nonzero().flatten().tolist()}
    watched = [ids[0] for ids in causal.mentions]
    free = yield from _freely(causal, longest, allowed, eos_token_ids, watched)
    yield Prefill(prompt)
    texts = [Text(ids) for ids in _cut(middle(free.ids, eos_token_ids), causal.line_ends)]
    lines = [_Line([], free)]
    for beginning in causal.beginnings:
        lines.append((yield from _go_on(beginning, ends, watched)))
        yield Prefill(prompt)
        texts.append(Text(lines[-1].text(ends), given=len(beginning)))
    for beginning in _mentioning(lines, causal.mentions, ends):
        line = yield from _go_on(beginning, ends, ())
        yield Prefill(prompt)
        texts.append(Text(line.text(ends)))
    return texts


def middle(ids: Sequence[int], ends: Container[int]) -> list[int]:
    """Return the ids up to the first end."""
    end = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return list(ids[:end])


def _mentioning(
    lines: Sequence[_Line], mentions: Sequence[Sequence[int]], ends: Container[int]
) -> list[list[int]]:
    """Return the likeliest beginnings of lines that end with a mention, MENTIONS at most.

    A mention is put in the place of a token, not of the first one of all.
    """
    found: list[tuple[float, list[int]]] = []
    for beginning, rest in lines:
        log_p = 0.0  # of the tokens before the place
        for at, token in enumerate(rest.ids):
            before = [*beginning, *rest.ids[:at]]
            others = zip(rest.watched[at], mentions, strict=True)
            if before:
                found += [(log_p + x, [*before, *ids]) for x, ids in others if ids[0] != token]
            if token in ends and before:
                break
            log_p += rest.log_probs[at]
    return [ids for _, ids in nlargest(MENTIONS, found, key=lambda one: one[0])]


def _freely(
    causal: Causal,
    longest: int,
    allowed: Tensor | None,
    eos_token_ids: Sequence[int],
    watched: Sequence[int],
) -> Generator[Predict, Tensor, autoregress.Written]:
    line_ends = causal.line_ends.tolist()

    def enough(ids: list[int]) -> bool:
        return bool(0 < causal.max_lines <= sum(line_ends[token] for token in ids))

    tokens = min(causal.max_tokens, longest)
    writing = autoregress.write(tokens, eos_token_ids, allowed, enough, watched=watched)
    return (yield from _work_of(writing))


def _go_on(
    beginning: Sequence[int], ends: Container[int], watched: Sequence[int]
) -> Generator[Predict, Tensor, _Line]:
    """Write the rest of a line that is begun, up to one of `ends`."""

    def enough(ids: list[int]) -> bool:
        return bool(ids) and ids[-1] in ends

    writing = autoregress.write(LINE_TOKENS, (), None, enough, beginning, watched)
    return _Line(beginning, (yield from _work_of(writing)))


def _cut(ids: list[int], line_ends: Tensor) -> list[list[int]]:
    """Return a text cut at each of its line ends, shortest first."""
    ends = line_ends.tolist()
    cuts = [at for at, token in enumerate(ids) if at and ends[token]]
    return [ids[:cut] for cut in cuts] + ([ids] if ids and len(ids) - 1 not in cuts else [])


def _work_of(
    writing: Generator[Predict | Draft, Tensor | None, autoregress.Written],
) -> Generator[Predict, Tensor, autoregress.Written]:
    """Have the work of writing done without telling of it; returns what was written."""
    result: Tensor | None = None
    while True:
        try:
            item = writing.send(result)
        except StopIteration as stop:
            written: autoregress.Written = stop.value
            return written
        result = None if isinstance(item, Draft) else (yield item)
