"""What stands at like places elsewhere in a project: candidates for a hole. Pure; reads no file.

Code repeats itself, most of all within one project. A place is like the cursor's as far as the text
on both its sides is the same, character by character. What stands there costs the model no step: it
is weighed together with what the model writes. Code is not copied out of docstrings, nor into them.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

from dgemma_lsp.wire import Copy

# So many characters next to a place find it, so many tell at once that it is much like the cursor,
# and agreement beyond so many tells nothing more.
KEY, MUCH, MOST = 5, 16, 60
# Of the places that one key finds in a text so many are looked at, of all only so many closely.
PLACES, CLOSELY = 100, 150
# So far from the cursor its own line and those around it are looked for.
NEAR = 4_000
# Of the cursor's own document, so many characters on each side.
OWN = 60_000
# What these words head has no docstring.
_BLOCK = re.compile(r"(?:async |case|elif|else|except|finally|for|if|match|try|while|with)\b")
# Behind an odd number of these a string of several lines goes on, which most often is a docstring.
_QUOTES = ('"""', "'''")


class Lines:
    """A text's lines that are not blank, found by what stands right before and behind them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = list(_spans(text))
        self._quotes = sorted(at.start() for mark in _QUOTES for at in re.finditer(mark, text))
        self._behind: dict[str, list[int]] = defaultdict(list)
        self._before: dict[str, list[int]] = defaultdict(list)
        self._beginning: dict[str, list[int]] = defaultdict(list)
        last = ""
        for number, (start, end) in enumerate(self.spans):
            line = text[start:end]
            self._behind[last[-KEY:]].append(number)
            self._beginning[line[:KEY]].append(number)
            if number:
                self._before[line[:KEY]].append(number - 1)
            last = line

    @property
    def quotes(self) -> int:
        """How many strings of several lines begin or end in the text."""
        return len(self._quotes)

    def like(self, place: "Place", quotes: int) -> Iterator[int]:
        """Yield the numbers of the lines that may stand at the place.

        They are in a docstring if the place is, before which there are so many `quotes`.
        """
        if len(place.typed) >= KEY:
            found = self._beginning.get(place.typed[:KEY], [])[-PLACES:]
        else:
            behind = self._behind.get(place.last[-KEY:], []) if place.last else []
            before = self._before.get(place.next[:KEY], []) if place.next else []
            found = [*behind[-PLACES:], *before[-PLACES:]]
        for number in dict.fromkeys(found):
            start, end = self.spans[number]
            if (
                (bisect_left(self._quotes, start) - quotes) % 2 == 0
                and (place.describes or not self.text.startswith(_QUOTES, start))
                and self.text.startswith(place.typed, start)
                and self.text[start:end].endswith(place.rest)
            ):
                yield number

    def is_much_like(self, place: "Place", number: int) -> bool:
        """Tell whether a line agrees well on one side with the place."""
        start, end = self.spans[number]
        behind = start + len(place.typed) - len(place.behind)
        return (behind >= 0 and self.text.startswith(place.behind, behind)) or (
            self.text.startswith(place.ahead, end - len(place.rest))
        )


class Place(NamedTuple):
    """A cursor: the text on both sides, what of it is on the cursor's line, and the lines around.

    `behind` and `ahead` are the characters next to it. `typed` has no indentation; `last` and
    `next` are the nearest lines that are not blank.
    """

    before: str
    after: str
    behind: str
    ahead: str
    typed: str
    rest: str
    last: str
    next: str

    @property
    def describes(self) -> bool:
        """Whether a docstring may stand here, which it does not first in a loop or a branch."""
        return not (self.last.endswith(":") and _BLOCK.match(self.last))


def place(before: str, after: str) -> Place:
    """Return the place between two texts."""
    above, _, typed = before[-NEAR:].rpartition("\n")
    rest, _, below = after[:NEAR].partition("\n")
    last = above.rstrip().rpartition("\n")[2].strip()
    following = below.lstrip().partition("\n")[0].rstrip()
    behind, ahead = before[-MUCH:], after[:MUCH]
    return Place(before, after, behind, ahead, typed.lstrip(), rest.rstrip(), last, following)


def copies(
    others: Iterable[Lines], before: str, after: str, *, count: int, max_lines: int
) -> list[Copy]:
    """Return `count` different texts at most that may stand between two texts of a document.

    Those that agree most with their surroundings come first. `others` are other documents; of this
    one, what lies near is looked through too, and wins where all else is equal.
    """
    here = place(before, after)
    above, below = _own(_last_lines(before)), _own(_next_lines(after))
    much: list[tuple[Lines, int]] = []
    little: list[tuple[Lines, int]] = []
    own = ((above, above.quotes + _quotes(here.typed)), (below, _quotes(here.rest)))
    for lines, quoted in (*own, *zip(others, repeat(_quotes(before)), strict=False)):
        for number in lines.like(here, quoted):
            (much if lines.is_much_like(here, number) else little).append((lines, number))
    found: dict[str, Copy] = {}
    for lines, number in [*much, *little][:CLOSELY]:
        for copy in _copies(lines, number, here, max_lines):
            best = found.get(copy.text)
            if best is None or best.agreement < copy.agreement:
                found[copy.text] = copy
    return sorted(found.values(), key=lambda copy: -copy.agreement)[:count]


def _copies(lines: Lines, number: int, here: Place, max_lines: int) -> Iterator[Copy]:
    """Yield what one line may be copied as: the line, and those from it to a like end."""
    text, spans = lines.text, lines.spans
    start, end = spans[number]
    start += len(here.typed)
    before = _common_end(here.before, text[max(0, start - MOST) : start])
    end -= len(here.rest)
    if end > start:
        after = _common_beginning(here.after, text[end : end + MOST])
        yield Copy(text=text[start:end], before=before, after=after)
    if before < KEY or here.rest or not here.ahead.strip():
        return
    for _, end in spans[number + 1 : number + max_lines]:
        if text.startswith(here.ahead, end):
            after = _common_beginning(here.after, text[end : end + MOST])
            yield Copy(text=text[start:end], before=before, after=after)
            return


def _last_lines(before: str) -> str:
    """Return the last whole lines above the cursor's; while one types there they are the same."""
    above = before[: before.rfind("\n") + 1]
    return above[above.find("\n", max(0, len(above) - OWN)) :] if len(above) > OWN else above


def _next_lines(after: str) -> str:
    """Return the next whole lines below the cursor's."""
    at = after.find("\n")
    return after[at : at + OWN] if at >= 0 else ""


@lru_cache(maxsize=8)
def _own(text: str) -> Lines:
    return Lines(text)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for line in text.split("\n"):
        inside = line.strip()
        if inside:
            start = at + len(line) - len(line.lstrip())
            yield start, start + len(inside)
        at += len(line) + 1


def _quotes(text: str) -> int:
    """Return how many strings of several lines begin or end in a text."""
    return sum(text.count(mark) for mark in _QUOTES)


def _common_end(one: str, other: str) -> int:
    """Return how many characters at their ends are the same, MOST at most."""
    most = min(len(one), len(other), MOST)
    return next((n for n in range(most) if one[-1 - n] != other[-1 - n]), most)


def _common_beginning(one: str, other: str) -> int:
    """Return how many characters at their beginnings are the same, MOST at most."""
    most = min(len(one), len(other), MOST)
    return next((n for n in range(most) if one[n] != other[n]), most)
