"""What happened between two states of a text, and where a piece of it went. Pure; offsets count
characters.
"""

from typing import NamedTuple


class Edit(NamedTuple):
    """From `start` on, `removed` characters gave way to `added` ones."""

    start: int
    removed: int
    added: int


class Span(NamedTuple):
    """A piece of a text, from `start` up to `end`."""

    start: int
    end: int


def between(old: str, new: str) -> Edit:
    """Return the one edit that makes `new` of `old`: what both begin and end with is left out."""
    start = common_start(old, new)
    same_end = common_end(old[start:], new[start:])
    return Edit(start, len(old) - start - same_end, len(new) - start - same_end)


def follow(span: Span, edit: Edit) -> Span:
    """Return where the piece stands after the edit; what was written into it belongs to it."""
    edit_end, grown = edit.start + edit.removed, edit.added - edit.removed
    if edit_end <= span.start:
        return Span(span.start + grown, span.end + grown)
    if edit.start >= span.end:
        return span
    return Span(min(span.start, edit.start), max(span.end, edit_end) + grown)


def common_start(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    # By halves: slices are compared at the speed of memory, characters are not.
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_end(one: str, other: str) -> int:
    """Return how many characters both end with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low
