"""What of a document the model reads: text and cursor -> prefix and suffix. No I/O, no protocol.

Offsets and budgets count characters (code points). Positions in an editor's own units never come
here: the language server converts them first.
"""

import re
from typing import NamedTuple

# The line ends of the Language Server Protocol. `str.splitlines` also splits at form feeds and
# other separators, which editors count as ordinary characters of a line.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


class Window(NamedTuple):
    """The text on both sides of the cursor that fits the budget."""

    prefix: str
    suffix: str


def window(text: str, offset: int, *, prefix_chars: int, suffix_chars: int) -> Window:
    """Return what lies around `offset`, cut at line borders where it does not fit.

    Both cuts stay where they are while somebody types, and then move by a quarter of their budget:
    what the model has read of the text can be used again. A line longer than that is cut inside.
    So at least half a budget is used. Raises ValueError for an offset outside the text.
    """
    if not 0 <= offset <= len(text):
        raise ValueError(f"offset {offset} lies outside a text of {len(text)} characters")
    return Window(
        text[_prefix_start(text, offset, prefix_chars) : offset],
        text[offset : _suffix_end(text, offset, suffix_chars)],
    )


def split_lines(text: str) -> tuple[str, ...]:
    """Split at the line ends that editors count, and at no others; the ends are kept."""
    return tuple(_LINE.findall(text))


def for_model(text: str) -> str:
    r"""Return the text as the model was taught to read it: `\n` at line ends, valid Unicode.

    An editor may send half of a surrogate pair, which no encoder takes; it becomes U+FFFD.
    """
    valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return valid.replace("\r\n", "\n")


def _prefix_start(text: str, offset: int, budget: int) -> int:
    if offset <= budget:
        return 0
    jump = _jump(budget)
    start = _round_up(offset - budget, jump)
    return text.find("\n", start - 1, start - 1 + jump) + 1 or start


def _suffix_end(text: str, offset: int, budget: int) -> int:
    if len(text) - offset <= budget:
        return len(text)
    jump = _jump(budget)
    end = len(text) - _round_up(len(text) - offset - budget, jump)
    return text.rfind("\n", end - jump, end) + 1 or end


def _jump(budget: int) -> int:
    return max(1, budget // 4)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
