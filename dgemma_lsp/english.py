"""The words of English and of programming, how frequent each is, and which are spelt alike.

The words are a library's and those of `words.txt`, which `python -m sampler.train.proofreading
words` gathers from documentation. It takes half a second to load and is wanted only by who
proofreads. It knows no sentence.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources

from spellchecker import SpellChecker

# So often would a word that documentation has once stand in the texts that the library counted.
DOCUMENTATION_WEIGHT = 300
# So frequent a word is one without its capital letter too, such as none and may.
EVERYDAY = 150_000


class English:
    """What is known of words; `frequency` by word in lower case, `names` by the same."""

    def __init__(self, checker: SpellChecker, written: Mapping[str, int]) -> None:
        self._checker = checker
        self.frequency: dict[str, int] = dict(checker.word_frequency.dictionary)
        self.names: dict[str, str] = {}
        for word, count in written.items():
            lower = word.lower()
            if word != lower and self.frequency.get(lower, 0) < EVERYDAY:
                self.names[lower] = word
            self.frequency[lower] = self.frequency.get(lower, 0) + DOCUMENTATION_WEIGHT * count
        self.near = lru_cache(100_000)(self._near)

    def knows(self, word: str) -> bool:
        """Tell whether this is a word, whatever its case; of a possessive, its owner."""
        lower = word.lower().replace("’", "'")
        return lower in self.frequency or lower.removesuffix("'s") in self.frequency

    def how_frequent(self, word: str) -> int:
        """Return a word's frequency, 1 for an unknown one."""
        return self.frequency.get(word.lower().replace("’", "'"), 1)

    def _near(self, word: str) -> tuple[str, ...]:
        """Return the known words that one slip away are `word`, the most frequent first."""
        found = {w for w in self._checker.edit_distance_1(word) if w in self.frequency} - {word}
        return tuple(sorted(found, key=lambda w: (-self.frequency[w], w)))


@cache
def load() -> English:
    """Return English; the first call reads it."""
    text = resources.files("dgemma_lsp").joinpath("words.txt").read_text(encoding="utf-8")
    return English(SpellChecker("en"), dict(_counted(text.splitlines())))


def _counted(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        word, count = line.split()
        yield word, int(count)
