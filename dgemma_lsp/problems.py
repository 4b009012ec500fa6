"""What other language servers find wrong near a cursor, as a few lines for the model. Pure.

A problem is known by the line that it was found in, not by the number: lines above it come and go
until an editor tells of the problems again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dgemma_lsp.context import split_lines

NEAR = 30  # lines above and below the cursor
READ = 10_000  # characters, in which those lines are looked for
LONGEST = 120  # characters of a message
QUOTED = 60  # characters of its line


class Problem(NamedTuple):
    """What is said of a line."""

    line: str
    message: str


class Problems:
    """What the editor told last of each document."""

    def __init__(self) -> None:
        self._of: dict[str, Sequence[Problem]] = {}

    def told(self, uri: str, problems: Sequence[Problem]) -> None:
        """Take note of all that is wrong in a document now."""
        self._of[uri] = problems

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self._of.pop(uri, None)

    def near(self, uri: str, before: str, after: str, chars: int) -> str:
        """Return lines that tell what is wrong around a cursor, so many characters at most."""
        return near(self._of.get(uri, ()), before, after, chars)


def near(problems: Sequence[Problem], before: str, after: str, chars: int) -> str:
    """Return lines that tell of the problems near the cursor, those nearest to it if not of all.

    They stand in the order of the text. What is said of the cursor's own line is left out: it is
    not finished, and nobody would want that repeated.
    """
    above, below = split_lines(before[-READ:]), split_lines(after[:READ])
    upper = above[-NEAR:] if before.endswith(("\n", "\r")) else above[-NEAR - 1 : -1]
    here = [*upper, *below[1 : NEAR + 1]]
    centre = len(upper)
    numbers: dict[str, list[int]] = {}
    for number, line in enumerate(here):
        numbers.setdefault(line.strip(), []).append(number)
    found = sorted(
        {
            (min(numbers[problem.line], key=lambda at: abs(at - centre)), _told(problem))
            for problem in problems
            if problem.line in numbers
        },
        key=lambda one: (abs(one[0] - centre), one),
    )
    fit: list[tuple[int, str]] = []
    for number, told in found:
        chars -= len(told) + 1
        if chars < 0:
            break
        fit.append((number, told))
    return "\n".join(told for _, told in sorted(fit))


def problem(line: str, message: str) -> Problem | None:
    """Return what is said of a line, in one line; None where nothing is said of anything."""
    message = " ".join(message.split())
    line = line.strip()
    return Problem(line, message) if line and message else None


def _told(problem: Problem) -> str:
    return f"{_cut(problem.message, LONGEST)}: {_cut(problem.line, QUOTED)}"


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 3]}..."
