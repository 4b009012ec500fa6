"""Somebody types in a text: the document after every keystroke. Pure; the seed fixes it all.

A known stretch is typed again where it stood, with typing errors that are taken back, and now and
then a jump to an earlier word that is changed before the typing goes on.
"""

import random
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice

from sampler.params import InvalidParameter

# How likely a typing error and a jump are, before each key.
ERROR, JUMP = 0.04, 0.01
# A jump goes back so many characters at most, to a word of so many letters at least.
JUMP_BACK = 1500
_WORD = re.compile(r"[a-z]{4,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Key:
    """The document after a keystroke, and how many characters stand before the cursor."""

    text: str
    cursor: int

    @property
    def before(self) -> str:
        """What stands before the cursor."""
        return self.text[: self.cursor]

    @property
    def after(self) -> str:
        """What stands after the cursor."""
        return self.text[self.cursor :]

    def typed(self, letter: str) -> "Key":
        """Return what typing a letter gives."""
        return Key(self.before + letter + self.after, self.cursor + len(letter))

    def erased(self) -> "Key":
        """Return what the backspace key gives."""
        return Key(self.text[: self.cursor - 1] + self.after, self.cursor - 1)


def typing(text: str, begin: int, count: int, seed: int) -> list[Key]:
    """Return the documents after `count` keys, typed behind the first `begin` characters.

    What is typed is taken out of the text first. Raises InvalidParameter for too short a text.
    """
    if not 0 <= begin <= len(text) - count:
        raise InvalidParameter(
            f"{count} keys behind {begin} characters need a text of {begin + count}, "
            f"not {len(text)}"
        )
    start = Key(text[:begin] + text[begin + count :], begin)
    # Errors and jumps cost keys too, so the stretch is never typed to its end.
    return list(islice(_keys(start, text[begin : begin + count], random.Random(seed)), count))


def _keys(now: Key, stretch: str, chooser: random.Random) -> Iterator[Key]:
    for letter in stretch:
        if chooser.random() < ERROR:
            yield (wrong := now.typed(chooser.choice(_LETTERS)))
            yield wrong.erased()
        if chooser.random() < JUMP:
            now = yield from _correction(now, chooser)
        now = now.typed(letter)
        yield now


def _correction(now: Key, chooser: random.Random) -> Generator[Key, None, Key]:
    """Change the end of an earlier word, and return the document with the cursor back."""
    words = list(_WORD.finditer(now.before[-JUMP_BACK:-1]))
    if not words:
        return now
    away = len(now.before[:-JUMP_BACK]) + chooser.choice(words).end()
    there = Key(now.text, away)
    erased = chooser.randint(1, 3)
    for _ in range(erased):
        there = there.erased()
        yield there
    for _ in range(erased):
        there = there.typed(chooser.choice(_LETTERS))
        yield there
    return Key(there.text, now.cursor)
