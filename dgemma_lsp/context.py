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

    A single line longer than its budget is cut inside. Raises ValueError for an offset outside the
    text.
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
    earliest = offset - budget
    if earliest <= 0:
        return 0
    border = text.find("\n", earliest - 1, offset) + 1
    return border if 0 < border < offset else earliest


def _suffix_end(text: str, offset: int, budget: int) -> int:
    latest = offset + budget
    if latest >= len(text):
        return len(text)
    border = text.rfind("\n", offset, latest) + 1
    return border if border > 0 else latest
