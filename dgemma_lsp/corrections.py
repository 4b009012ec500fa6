"""Pure: a sentence -> what might be wrong in it, and what might stand there instead.

It proposes freely and judges nothing: most proposals are wrong. What is told of them is decided by
`verdicts`, from how much more probable the sentence becomes.
"""

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from math import log

from msgspec import Struct

from dgemma_lsp.english import English
from dgemma_lsp.passages import Sentence

NEAR = 6  # words spelt alike that are proposed for one
RARE = 60_000  # words less frequent than this may be slips for others ...
MORE_FREQUENT = 30  # ... that are so many times more frequent
COMMON = 30_000
SEEN = 3_000
EVERYDAY = 1_000_000  # no name is made of words like these


class Correction(Struct, frozen=True):
    """`text` instead of [start, end) of a sentence.

    `kind` is what bounds are kept for; `odds` says in nats how much more frequent the new word is.
    """

    kind: str
    start: int
    end: int
    text: str
    odds: float = 0.0

    @property
    def rule(self) -> str:
        """What a person calls it and may turn off."""
        return self.kind.partition(".")[0]

    def applied(self, sentence: str) -> str:
        """Return the sentence with this change."""
        return sentence[: self.start] + self.text + sentence[self.end :]


RULES = {
    "spelling": "a misspelt word",
    "spacing": "a space too many or too few",
    "casing": "a capital letter where none belongs, or none where one does",
    "repeated": "a word written twice",
    "agreement": "a form that does not agree with the words around it",
    "article": "a for an, or an for a",
    "confused": "a word that sounds or looks like the right one",
}

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

_CONFUSED = (
    ("its", "it's"),
    ("there", "their", "they're"),
    ("your", "you're"),
    ("then", "than"),
    ("to", "too"),
    ("loose", "lose"),
    ("affect", "effect"),
    ("accept", "except"),
    ("of", "off"),
    ("were", "where", "we're"),
    ("whose", "who's"),
    ("weather", "whether"),
    ("quiet", "quite"),
    ("passed", "past"),
    ("lead", "led"),
    ("advice", "advise"),
    ("principal", "principle"),
    ("complement", "compliment"),
    ("know", "now", "no"),
    ("threw", "through"),
    ("by", "buy"),
    ("here", "hear"),
    ("choose", "chose"),
    ("it", "is", "if", "in"),
    ("of", "or", "on"),
    ("form", "from"),
    ("the", "they", "then"),
    ("and", "an", "any"),
    ("for", "or"),
    ("at", "as"),
    ("be", "by"),
    ("you", "your"),
    ("this", "his"),
    ("use", "used"),
    ("not", "now", "note"),
)
_FORMS = (
    ("is", "are", "be"),
    ("was", "were"),
    ("has", "have", "had"),
    ("does", "do"),
    ("doesn't", "don't"),
    ("isn't", "aren't"),
    ("wasn't", "weren't"),
    ("hasn't", "haven't"),
    ("this", "these"),
    ("that", "those"),
    ("goes", "go"),
)


def _alternatives(groups: tuple[tuple[str, ...], ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for word in group:
            found[word] = (*found.get(word, ()), *(other for other in group if other != word))
    return found


_ALIKE = _alternatives(_CONFUSED)
_INFLECTED = _alternatives(_FORMS)
_OF_MANY, _OF_ONE = {"these", "those", "they", "we"}, {"this", "he", "she", "it"}
_FOR_MANY = {
    **{"is": "are", "was": "were", "has": "have", "does": "do"},
    **{"isn't": "aren't", "wasn't": "weren't", "hasn't": "haven't", "doesn't": "don't"},
}
# The other forms stand there in questions and wishes too: "does it have", "as it were".
_FOR_ONE = {"are": "is", "aren't": "isn't"}
_NO_SUBJECT_BEHIND = {
    *("of", "in", "on", "to", "for", "with", "by", "from", "like", "about", "than", "as", "at"),
    *(
        "and",
        "or",
        "but",
        "except",
        "behind",
        "under",
        "over",
        "before",
        "after",
        "around",
        "between",
        "without",
    ),
}
_BEGINNINGS = ("un", "re", "sub", "non", "multi", "pre", "de", "auto", "meta", "super", "over")
_TWICE_AT_EASE = {"that", "had", "very", "many", "so", "no", "is", "really", "bye", "far", "more"}
_VOWEL_SOUND = re.compile(
    r"(?!one\b|once\b|uni(?!n|m|d)|eu|u[bcfhjkqrst][aeiou])[aeiou]|hour|hono|honest|heir", re.I
)
_SPELT_OUT_WITH_VOWEL = "AEFHILMNORSX"


def propose(sentence: Sentence, english: English, familiar: Collection[str]) -> list[Correction]:
    """Return what might be put right; `familiar` words are the document's own, see `familiar`."""
    words = [
        match
        for match in _WORD.finditer(sentence.text)
        if not sentence.overlaps_fixed(*match.span())
    ]
    strange = sum(not english.knows(w[0]) for w in words)
    if len(words) < 3 or strange > len(words) / 2:
        return []  # another language, or none
    capitals = sum(w[0][0].isupper() for w in words[1:])
    title = len(words) > 3 and capitals > 0.4 * len(words)
    found = list(_spaces(sentence, english))
    for number, match in enumerate(words):
        found += _spelling(match, english, familiar, first=number == 0)
        if not title:
            found += _casing(sentence, match, english, familiar)
        found += _forms(match, english)
    last = ""
    for one, other in pairwise(words):
        between = sentence.text[one.end() : other.start()]
        if between.isspace():
            found += _pairs(one, other, english)
            found += _verb(last, one, other)
        last = one[0].lower() if between.isspace() else ""
    return list(dict.fromkeys(found))


def _like(word: str, text: str) -> str:
    """Return `text` with a capital where `word` has one."""
    return text[0].upper() + text[1:] if word[0].isupper() else text


def _odds(english: English, new: str, old: str) -> float:
    return log(english.how_frequent(new) / english.how_frequent(old))


def _spelling(
    match: re.Match[str], english: English, familiar: Collection[str], *, first: bool
) -> Iterator[Correction]:
    word, lower = match[0], match[0].lower()
    if not lower.isascii() or lower in familiar or len(lower) < 2:
        return
    start, end = match.span()
    if not english.knows(word):
        stem = lower.removesuffix("'s").removesuffix("’s")
        tail = lower[len(stem) :]
        if word[0].isupper() and not first and stem not in familiar:
            kind = "spelling.name"
        else:
            kind = "spelling.unknown"
        if _is_built(stem, english):
            return
        for near in english.near(stem)[:NEAR]:
            text = english.names.get(near, near) + tail
            yield Correction(kind, start, end, _like(word, text), _odds(english, near, stem))
        yield from _run_together(word, start, end, english)
        return
    if english.how_frequent(lower) < RARE and len(lower) > 2:
        for near in english.near(lower)[:2]:
            if english.how_frequent(near) > MORE_FREQUENT * english.how_frequent(lower):
                text = _like(word, english.names.get(near, near))
                yield Correction("spelling.other", start, end, text, _odds(english, near, lower))


def _is_built(word: str, english: English) -> bool:
    """Tell whether a word is one with a usual ending or beginning, which no list has all of."""
    if word.endswith("s") and not word.endswith("ss") and english.knows(word[:-1]):
        return True
    rests = [word[len(first) :] for first in _BEGINNINGS if word.startswith(first)]
    return any(len(rest) > 3 and english.how_frequent(rest) > SEEN for rest in rests)


def _run_together(word: str, start: int, end: int, english: English) -> Iterator[Correction]:
    """Propose two words for one that is none."""
    splits = []
    for at in range(1, len(word)):
        left, right = word[:at], word[at:]
        if (len(left) == 1 and left.lower() not in ("a", "i")) or (
            len(right) == 1 and right != "a"
        ):
            continue
        rarer = min(english.how_frequent(left), english.how_frequent(right))
        if rarer > COMMON and right[0].islower():
            splits.append((rarer, left, right))
    for rarer, left, right in sorted(splits, reverse=True)[:2]:
        yield Correction("spacing.joined", start, end, f"{left} {right}", log(rarer))


def _casing(
    sentence: Sentence, match: re.Match[str], english: English, familiar: Collection[str]
) -> Iterator[Correction]:
    word, start, end = match[0], *match.span()
    lower = word.lower()
    if word == "i":
        yield Correction("casing.i", start, end, "I")
    elif start == 0:
        if sentence.opens and word[0].islower() and english.knows(word):
            yield Correction("casing.start", start, end, word[0].upper() + word[1:])
    elif word[0].isupper() and word != "I":
        # Behind a colon, a dash or a bracket a sentence may begin.
        begins = sentence.text[:start].rstrip(" \"'(“‘")[-1:] in (":", ".", "!", "?", "-", "–", "—")
        small = english.knows(word) and not (lower in english.names or word in familiar)
        if small and not begins and (word[1:].islower() or len(word) == 1):
            kind = "casing.everyday" if english.how_frequent(lower) > EVERYDAY else "casing.inner"
            yield Correction(kind, start, end, lower)
    elif lower in english.names:
        yield Correction("casing.name", start, end, english.names[lower])


def _forms(match: re.Match[str], english: English) -> Iterator[Correction]:
    """Propose other forms of a word, and words that are taken for it."""
    word, start, end = match[0], *match.span()
    lower = word.lower().replace("’", "'")
    for other in _INFLECTED.get(lower, ()):
        yield Correction("agreement.small", start, end, _like(word, other))
    for other in _ALIKE.get(lower, ()):
        if other not in _INFLECTED.get(lower, ()):
            yield Correction("confused", start, end, _like(word, other))
    if len(lower) < 3 or "'" in lower or lower in _ALIKE or lower in _INFLECTED:
        return
    if english.how_frequent(lower) < 1000:
        return
    for other in _numbers(lower):
        if english.how_frequent(other) > 1000:
            yield Correction("agreement.ending", start, end, _like(word, other))


def _numbers(word: str) -> Iterator[str]:
    """Yield the word with the ending s where it has none, and without where it has it."""
    if word.endswith("ies") and len(word) > 4:
        yield word[:-3] + "y"
    elif word.endswith(("ses", "xes", "zes", "ches", "shes")):
        yield word[:-2]
        yield word[:-1]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        yield word[:-1]
    elif word.endswith("y") and word[-2] not in "aeiou":
        yield word[:-1] + "ies"
    elif word.endswith(("s", "x", "z", "ch", "sh")):
        yield word + "es"
    else:
        yield word + "s"


def _pairs(one: re.Match[str], other: re.Match[str], english: English) -> Iterator[Correction]:
    """Propose what two neighbours suggest."""
    first, second = one[0].lower(), other[0].lower()
    if first == second and first not in _TWICE_AT_EASE:
        yield Correction("repeated", one.end(), other.end(), "")
    elif first == second:
        yield Correction("repeated.usual", one.end(), other.end(), "")
    if first in ("a", "an"):
        vowel = bool(_VOWEL_SOUND.match(second))
        if other[0].isupper() and len(other[0]) <= 4 and other[0].upper() == other[0]:
            vowel = other[0][0] in _SPELT_OUT_WITH_VOWEL
        right = "an" if vowel else "a"
        if right != first:
            yield Correction("article", one.start(), one.end(), _like(one[0], right))
    whole = first + second
    rarer = min(english.how_frequent(first), english.how_frequent(second))
    if rarer < RARE and len(whole) > 4 and english.how_frequent(whole) > COMMON:
        yield Correction("spacing.split", one.start(), other.end(), _like(one[0], whole))


def _verb(last: str, one: re.Match[str], other: re.Match[str]) -> Iterator[Correction]:
    """Propose the verb's other form right behind a word that is its subject, if it is one.

    Behind a preposition it is none: "one of these is", "things like this are".
    """
    subject, verb = one[0].lower(), other[0].lower().replace("’", "'")
    if last in _NO_SUBJECT_BEHIND:
        return
    right = None
    if subject in _OF_MANY:
        right = _FOR_MANY.get(verb)
    elif subject in _OF_ONE:
        right = _FOR_ONE.get(verb)
    if right:
        yield Correction("agreement.verb", *other.span(), _like(other[0], right))


_MANY_SPACES = re.compile(r"(?<=[\w,;:)])[ \t]{2,3}(?=[\w(`])")
_BEFORE_MARK = re.compile(r"(?<=[\w)`])[ \t]+(?=[,;.!?](?:\s|$))")
_AFTER_MARK = re.compile(r"(?<=[a-z)`])([,;:.])(?=[A-Za-z`(][a-z`]*)")


def _spaces(sentence: Sentence, english: English) -> Iterator[Correction]:
    text = sentence.text
    for match in _MANY_SPACES.finditer(text):
        if not sentence.overlaps_fixed(*match.span()):
            yield Correction("spacing.many", *match.span(), " ")
    for match in _BEFORE_MARK.finditer(text):
        if not sentence.overlaps_fixed(*match.span()):
            yield Correction("spacing.before", *match.span(), "")
    for match in _AFTER_MARK.finditer(text):
        left = re.findall(r"\w*$", text[: match.start()])[0]
        right = re.findall(r"^\w*", text[match.end() :])[0]
        if not (english.knows(left) and english.knows(right)):
            continue
        if match[1] == ".":
            sentence_ends = right[0].isupper() and len(right) > 1
            kind = "spacing.after" if sentence_ends else "spacing.stop"
        elif sentence.overlaps_fixed(*match.span()):
            continue
        else:
            kind = "spacing.after"
        yield Correction(kind, match.start(), match.end(), f"{match[1]} ")
