"""Pure: which words of a document need no dictionary, because it uses them as its own."""

import re
from collections import Counter
from collections.abc import Sequence

OFTEN = 3  # who writes a word so often means it

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# Inside a sentence a capital letter belongs to a name.
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words(text: str, code: str, own: Sequence[str] = ()) -> set[str]:
    """Return what `text` repeats, the names in its `code` and one's `own` words, in lower case.

    What it repeatedly writes with a capital letter inside a sentence is there with it too.
    """
    counts = Counter(word.lower() for word in _WORD.findall(text))
    found = {word for word, count in counts.items() if count >= OFTEN}
    for word in set(_WORD.findall(code)):
        found.add(word.lower())
        found.update(part.lower() for part in _PART.findall(word))
    names = Counter(_NAME.findall(text))
    found |= {name for name, count in names.items() if count >= OFTEN}
    return found | {word.lower() for word in own}
