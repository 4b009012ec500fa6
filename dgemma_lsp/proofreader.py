"""English proofread: sentences in, findings out, the model asked about what is not known yet.

It knows no editor and no file. What may be wrong comes from `corrections`, what is told from
`verdicts`; here verdicts are kept by sentence, so that after a change only what changed is asked.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp import corrections, english, familiar, passages, verdicts, wire
from dgemma_lsp.corrections import Correction
from dgemma_lsp.passages import Sentence

KEPT = 50_000  # sentences whose verdicts are remembered
MOST = 80  # changes of one sentence that the model is asked about

Score = Callable[[wire.Score], Awaitable[list[float]]]

Doubted = tuple[str, tuple[Correction, ...]]  # a sentence, and what was asked about it

MESSAGES = {
    "spelling": "Misspelt",
    "spacing": "Spacing",
    "casing": "Capital or small letter",
    "repeated": "Written twice",
    "agreement": "Does not agree",
    "article": "Article",
    "confused": "Another word is meant",
}

_ids = count(1)


class Finding(Struct, frozen=True):
    """Something wrong at [start, end) of a document, and what should stand there.

    `fault` is what stands there, with its surroundings in `sentence`.
    """

    start: int
    end: int
    text: str
    rule: str
    message: str
    fault: str
    sentence: str


class Doubt(Struct, frozen=True):
    """A sentence and what might be wrong in it."""

    sentence: Sentence
    proposed: tuple[Correction, ...]


class Proofreader:
    """Proofreads documents; `score` asks the model, None leaves it to the rules."""

    def __init__(self, score: Score | None) -> None:
        self._score = score
        self._gains: OrderedDict[Doubted, list[float]] = OrderedDict()

    def doubts(self, text: str, language: str, own: Sequence[str]) -> list[Doubt]:
        """Return every sentence in which something might be wrong. It takes long: a second a MB."""
        found = passages.sentences(text, language)
        known = familiar.words(text, passages.without(text, found, language), own)
        return [doubt for one in found if (doubt := self._doubt(one, known)).proposed]

    def findings(self, doubts: Sequence[Doubt], off: Collection[str] = ()) -> list[Finding]:
        """Return what is wrong by the rules that are not `off`, as far as it is known already."""
        bounds = replace(self._bounds, least=verdicts.without(self._bounds.least, off))
        found = []
        for doubt in doubts:
            gains = self._known(doubt)
            if gains is not None:
                told = verdicts.judge(doubt.proposed, gains, bounds)
                found += [finding(doubt.sentence, one) for one in told]
        return found

    async def ask(self, doubts: Sequence[Doubt], near: int = 0) -> bool:
        """Ask the model about the sentence next to the place `near` that is not known yet.

        Returns False where nothing was left to ask. Raises DgemmaError.
        """
        unknown = [doubt for doubt in doubts if self._known(doubt) is None]
        if not unknown or self._score is None:
            return False
        doubt = min(unknown, key=lambda doubt: abs(doubt.sentence.places[0] - near))
        text = doubt.sentence.text
        texts = [text, *(one.applied(text) for one in doubt.proposed)]
        told = await self._score(wire.Score(id=f"proofread-{next(_ids)}", texts=texts))
        self._gains[_key(doubt)] = verdicts.gains(told)
        while len(self._gains) > KEPT:
            self._gains.popitem(last=False)
        return True

    @property
    def _bounds(self) -> verdicts.Bounds:
        every = verdicts.bounds()
        return every.alone if self._score is None else every.model

    def _doubt(self, sentence: Sentence, known: set[str]) -> Doubt:
        proposed = corrections.propose(sentence, english.load(), known)
        return Doubt(sentence, tuple(verdicts.worth_asking(proposed, self._bounds)[:MOST]))

    def _known(self, doubt: Doubt) -> list[float] | None:
        if self._score is None:
            return [0.0] * len(doubt.proposed)
        return self._gains.get(_key(doubt))


def finding(sentence: Sentence, one: Correction) -> Finding:
    """Return a correction as it is told of a document."""
    start, end = sentence.place(one.start, one.end)
    fault = sentence.text[one.start : one.end]
    message = MESSAGES[one.rule]
    if one.rule in ("spacing", "repeated"):
        around = slice(max(0, one.start - 12), one.end + 12)
        fault = f"{fault}|{sentence.text[around]}"
    else:
        message = f"{message}: “{one.text}”?"
    return Finding(
        start=start,
        end=end,
        text=one.text,
        rule=one.rule,
        message=message,
        fault=fault,
        sentence=sentence.text,
    )


def _key(doubt: Doubt) -> Doubted:
    return doubt.sentence.text, doubt.proposed
