"""Pure: which words of a document need no dictionary, because it uses them as its own."""

import re
from collections import Counter
from collections.abc import Sequence

OFTEN = 3  # who writes a word so often means it

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words(text: str, code: str, own: Sequence[str] = ()) -> set[str]:
    """Return them in lower case: what `text` repeats, the names in its `code`, and one's `own`."""
    counts = Counter(word.lower() for word in _WORD.findall(text))
    found = {word for word, count in counts.items() if count >= OFTEN}
    for word in set(_WORD.findall(code)):
        found.add(word.lower())
        found.update(part.lower() for part in _PART.findall(word))
    return found | {word.lower() for word in own}
