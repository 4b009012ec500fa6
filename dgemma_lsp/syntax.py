"""Whether code still parses with a text at the cursor. Pure; knows Python, and of others nothing.

Parsed is the statement without indentation around the cursor, with what stands in it: a person's
file need not be without mistakes elsewhere, and a key must not wait for a long file.
"""

import ast
import re
import warnings
from collections.abc import Sequence
from itertools import islice

# Longer statements take longer to parse than a person should wait for their texts.
LONGEST_CHARS = 40_000

# A line that begins a statement without indentation. What goes on with one begins like it.
_BEGINS = re.compile(r"(?!(?:else|elif|except|finally)\b)[A-Za-z_@]")


def fitting(
    texts: Sequence[str], before: str, after: str, language: str, *, count: int
) -> list[str]:
    """Return the first `count` texts with which the code between `before` and `after` parses.

    Where it parses with none of them, they are left out if they would break what parses without
    them, and stay if it does not parse anyway: somebody is in the middle of writing it.
    """
    unjudged = list(texts[:count])
    if language != "python" or not texts:
        return unjudged
    above, below = _statement_above(before), _statement_below(after)
    if len(above) + len(below) > LONGEST_CHARS:
        return unjudged
    good = (text for text in texts if parses(above + text + below))
    if found := list(islice(good, count)):
        return found
    return [] if parses(above + below) else unjudged


def parses(text: str) -> bool:
    """Tell whether this is a Python file without a syntax error."""
    return tree(text) is not None


def tree(text: str) -> ast.Module | None:
    """Return the syntax tree of a Python file; None where it has a syntax error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in somebody's strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _statement_above(before: str) -> str:
    """Return the text from the beginning of the cursor's statement, or of the one above it."""
    start = before.rfind("\n") + 1
    while start > 0:
        end = start - 1
        start = before.rfind("\n", 0, end) + 1
        if _BEGINS.match(before, start, end) and not _is_decorated(before, start):
            break
    return before[start:]


def _is_decorated(text: str, start: int) -> bool:
    above = text.rfind("\n", 0, max(0, start - 1)) + 1
    return start > 0 and text.startswith("@", above)


def _statement_below(after: str) -> str:
    """Return the text up to the next statement that begins behind the cursor's line."""
    at = after.find("\n") + 1
    while at > 0:
        if _BEGINS.match(after, at):
            return after[:at]
        at = after.find("\n", at) + 1
    return after
