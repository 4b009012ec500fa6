"""Makes the mistakes that people make while they write English: clean text in, spoilt text out.

Pure: every draw comes from the generator that is passed in. A mistake never undoes another one, so
that a text with mistakes differs from the clean one in as many places.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mistake:
    """What stood at [start, end) of the clean text, and what stands there instead."""

    kind: str
    start: int
    end: int
    wrong: str


@dataclass(frozen=True)
class Spoilt:
    """A clean text, and the same with mistakes, which are in the order of the text."""

    clean: str
    text: str
    mistakes: tuple[Mistake, ...]


# Letters beside each other on a keyboard are hit for one another.
_NEIGHBOURS = {
    **{"a": "sqz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht"},
    **{"h": "gjy", "i": "uok", "j": "hku", "k": "jli", "l": "ko", "m": "nj", "n": "bmh"},
    **{"o": "ipl", "p": "o", "q": "wa", "r": "etf", "s": "adw", "t": "ryg", "u": "yij"},
    **{"v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa"},
}

_OTHER_FORM = {
    **{"is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has"},
    **{"does": "do", "do": "does", "this": "these", "these": "this", "that": "those"},
    **{"a": "an", "an": "a", "its": "it's", "their": "there", "there": "their", "your": "you're"},
    **{"then": "than", "than": "then", "to": "too", "too": "to", "loose": "lose", "lose": "loose"},
}

# Verbs whose ending tells one from many and that are no nouns in the same form.
_VERBS = (
    *("allow", "become", "contain", "create", "describe", "exist", "expect", "give", "happen"),
    *("include", "keep", "know", "make", "need", "provide", "require", "return", "seem", "take"),
    *("tell", "use", "want", "write"),
)
_OTHER_FORM |= {verb: f"{verb}s" for verb in _VERBS} | {f"{verb}s": verb for verb in _VERBS}

# Short words that are left out without the eye missing them.
_LEFT_OUT = frozenset(
    (
        *("a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "from", "with"),
        *("is", "are", "was", "be", "has", "have", "that", "it", "and", "or", "as", "not"),
    )
)

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")

Maker = Callable[[np.random.Generator, str, int, int], Mistake | None]


def typing(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return a word mistyped: letters swapped, left out, doubled, or a neighbour hit."""
    word = text[start:end]
    if len(word) < 4 or not word.isalpha():
        return None
    at = int(rng.integers(1, len(word) - 1))  # the first letter is seldom wrong
    way = rng.integers(4)
    if way == 0:
        wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif way == 1:
        wrong = word[:at] + word[at + 1 :]
    elif way == 2:
        wrong = word[:at] + word[at] + word[at:]
    else:
        near = _NEIGHBOURS[word[at].lower()]
        wrong = word[:at] + near[int(rng.integers(len(near)))] + word[at + 1 :]
    return Mistake("typing", start, end, wrong) if wrong != word else None


def spacing(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return the space behind a word left out, doubled, or put before the mark that follows."""
    behind = text[end : end + 2]
    if behind[:1] in (",", ".", ";", ":") and behind[1:] == " ":
        wrong = f" {behind[0]} " if rng.random() < 0.5 else behind[0]
        return Mistake("spacing", end, end + 2, wrong)
    if behind[:1] == " " and behind[1:].isalpha():
        return Mistake("spacing", end, end + 1, "" if rng.random() < 0.5 else "  ")
    return None


def casing(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return a word with the case of its first letter turned; words all in capitals stay."""
    word = text[start:end]
    if word.isupper() and word != "I":
        return None
    wrong = word[0].swapcase() + word[1:]
    return Mistake("casing", start, end, wrong)


def agreement(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return the word in the form that does not agree with the others, or one that sounds alike."""
    word = text[start:end]
    other = _OTHER_FORM.get(word.lower())
    if other is None:
        return None
    wrong = other.capitalize() if word[0].isupper() else other
    return Mistake("agreement", start, end, wrong)


def doubled(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return the word written twice."""
    word = text[start:end]
    again = word if word == "I" else word.lower()
    return Mistake("doubled", start, end, f"{word} {again}")


def missing(rng: np.random.Generator, text: str, start: int, end: int) -> Mistake | None:
    """Return a short word left out, with the space behind it."""
    if text[start:end] not in _LEFT_OUT or text[end : end + 1] != " ":
        return None
    return Mistake("missing", start, end + 1, "")


# How often each happens among all.
KINDS: Mapping[str, tuple[Maker, float]] = {
    "typing": (typing, 0.40),
    "spacing": (spacing, 0.12),
    "casing": (casing, 0.12),
    "agreement": (agreement, 0.16),
    "doubled": (doubled, 0.08),
    "missing": (missing, 0.12),
}


def spoil(rng: np.random.Generator, text: str, count: int) -> Spoilt:
    """Return the text with `count` mistakes at different places, or fewer where they do not fit.

    No two of them are in neighbouring words: what is wrong can always be told apart.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    free = set(range(len(words)))
    made: list[Mistake] = []
    for _ in range(count):
        if (found := _one(rng, text, words, free)) is None:
            break
        place, mistake = found
        free -= {place - 1, place, place + 1}
        made.append(mistake)
    return _spoilt(text, sorted(made, key=lambda mistake: mistake.start))


def _one(
    rng: np.random.Generator, text: str, words: Sequence[tuple[int, int]], free: Set[int]
) -> tuple[int, Mistake] | None:
    """Return a mistake in one of the `free` words, and in which; None where none can be made.

    The kind is drawn before the place: else what fits anywhere would drive out what seldom fits.
    """
    names = list(KINDS)
    shares = np.array([share for _, share in KINDS.values()])
    for kind in rng.choice(names, len(names), replace=False, p=shares / shares.sum()):
        for place in rng.permutation(sorted(free)).tolist():
            if mistake := KINDS[kind][0](rng, text, *words[place]):
                return place, mistake
    return None


def _spoilt(clean: str, mistakes: Sequence[Mistake]) -> Spoilt:
    parts, at = [], 0
    for mistake in mistakes:
        parts += [clean[at : mistake.start], mistake.wrong]
        at = mistake.end
    return Spoilt(clean, "".join([*parts, clean[at:]]), tuple(mistakes))
