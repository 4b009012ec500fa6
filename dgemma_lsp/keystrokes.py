"""What a person types between two states of a text, and when: pure, and the seed fixes it all.

The pieces come out of a diff, so they are real edits in their real order of lines; in which order
and how fast they were typed nobody recorded. The times are a model: about 52 words a minute, the
mean of the 168,000 people of Dhakal et al., "Observations on Typing from 136 Million Keystrokes"
(CHI 2018), as bursts inside words with pauses before words and longer ones before lines. How the
time is spread over these, and how often a wrong letter is typed and taken back, is our choice.
"""

import random
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from msgspec import Struct

from dgemma_lsp.edits import between

# A person looks for the next place before the first key there.
JUMP_S = 1.5
# Medians and spreads, of the logarithm, of the gap before a key.
IN_WORD, BEFORE_WORD, BEFORE_LINE = (0.15, 0.35), (0.32, 0.5), (1.2, 0.7)
ERROR = 0.03  # of the letters

# Of a longer piece the beginning is typed.
LONGEST = 400
# So much text that stood elsewhere before was moved there.
MOVED = 16
# Replaced lines that are so alike are changed word by word, others are written anew.
ALIKE = 0.5

_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Piece(Struct, frozen=True, kw_only=True):
    """What was typed in one go: `text` between `before` and `after`, in place of `removed`."""

    file: str
    before: str
    removed: str
    text: str
    after: str


class Key(NamedTuple):
    """What is typed after `gap_s`, and the wrong letter, if any, that is taken back before it."""

    gap_s: float
    text: str
    wrong: str


def pieces(file: str, old: str, new: str) -> Iterator[Piece]:
    """Return what a person types to make `new` of `old`, from the top to the bottom.

    Edits without a word to type, text that was moved, and a change that was made before are made
    but not typed.
    """
    made: set[tuple[str, str]] = set()
    for start, end, new_start, new_end in _edits(old, new):
        piece = _at_line_end(
            Piece(
                file=file,
                before=new[:new_start],
                removed=old[start:end],
                text=new[new_start:new_end],
                after=old[end:],
            )
        )
        words = piece.text.strip()
        was_moved = len(words) >= MOVED and words in old
        is_new = not was_moved and (piece.removed, piece.text) not in made
        made.add((piece.removed, piece.text))
        if len(words) > 1 and is_new:
            yield Piece(
                file=file,
                before=piece.before,
                removed=piece.removed,
                text=piece.text[:LONGEST],
                after=piece.after,
            )


def drawn(by_file: Iterable[Iterable[Piece]], characters: int, seed: int) -> list[Piece]:
    """Return whole files' pieces, the files in random order, until so many characters are typed."""
    files = [list(found) for found in by_file]
    random.Random(seed).shuffle(files)
    taken: list[Piece] = []
    for piece in (piece for file in files for piece in file):
        if sum(len(one.text) for one in taken) >= characters:
            break
        taken.append(piece)
    return taken


def key(seed: int, piece: int, text: str, at: int) -> Key:
    """Return the key by which `text[at:]` is begun; the same one, whatever was done before."""
    chooser = random.Random(f"{seed}:{piece}:{at}")
    typed = _with_indentation(text, at)
    median, spread = _gap(text[at - 1] if at else "\n", text[at])
    wrong = ""
    if text[at].isalpha() and chooser.random() < ERROR:
        wrong = chooser.choice(_LETTERS.replace(text[at], ""))
    return Key(median * chooser.lognormvariate(0, spread), typed, wrong)


def _edits(old: str, new: str) -> Iterator[tuple[int, int, int, int]]:
    """Return start and end of what goes, and start and end in `new` of what comes instead."""
    was, now = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for tag, *bounds in _differences(was, now):
        start, end, new_start, new_end = bounds
        removed, added = old[start:end], new[new_start:new_end]
        parts, others = _TOKENS.findall(removed), _TOKENS.findall(added)
        matcher = SequenceMatcher(None, parts, others, autojunk=False)
        if tag == "replace" and matcher.ratio() >= ALIKE:
            for _, first, last, new_first, new_last in _differences(parts, others):
                yield start + first, start + last, new_start + new_first, new_start + new_last
        else:
            edit = between(removed, added)
            first = start + edit.start
            new_first = new_start + edit.start
            yield first, first + edit.removed, new_first, new_first + edit.added


def _differences(was: list[str], now: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Return what differs, in characters instead of parts."""
    for tag, start, end, new_start, new_end in SequenceMatcher(
        None, was, now, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            old_at, new_at = len("".join(was[:start])), len("".join(now[:new_start]))
            old_size, new_size = len("".join(was[start:end])), len("".join(now[new_start:new_end]))
            yield tag, old_at, old_at + old_size, new_at, new_at + new_size


def _at_line_end(piece: Piece) -> Piece:
    """Return whole new lines as they are typed: from the end of the line before them."""
    if not (piece.text.endswith("\n") and piece.before.endswith("\n")) or piece.removed:
        return piece
    return Piece(
        file=piece.file,
        before=piece.before[:-1],
        removed="",
        text="\n" + piece.text[:-1],
        after="\n" + piece.after,
    )


def _with_indentation(text: str, at: int) -> str:
    """Return the character, and behind a line end the spaces, which editors write by themselves."""
    if text[at] != "\n":
        return text[at]
    rest = text[at + 1 :]
    return "\n" + rest[: len(rest) - len(rest.lstrip(" "))]


def _gap(last: str, next: str) -> tuple[float, float]:
    if last == "\n":
        return BEFORE_LINE
    is_inside = (last.isalnum() or last == "_") and (next.isalnum() or next == "_")
    return IN_WORD if is_inside or next.isspace() else BEFORE_WORD
