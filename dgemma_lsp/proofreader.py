"""English proofread: sentences in, findings out, the model asked about what is not known yet.

It knows no editor and no file. What may be wrong comes from `corrections`, what is told from
`verdicts`; here verdicts are kept by sentence, so that after a change only what changed is asked.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count

from msgspec import Struct

from dgemma_lsp import corrections, english, familiar, passages, verdicts, wire
from dgemma_lsp.corrections import Correction
from dgemma_lsp.passages import Sentence

KEPT = 50_000  # sentences whose verdicts are remembered
MOST = 80  # changes of one sentence that the model is asked about

Score = Callable[[wire.Score], Awaitable[list[float]]]

Key = tuple[str, int]  # a sentence, and what was asked about it

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
    """A sentence and what might be wrong in it; equal ones have equal keys."""

    sentence: Sentence
    proposed: tuple[Correction, ...]
    key: Key


class Proofreader:
    """Proofreads documents; `score` asks the model, None leaves it to the rules."""

    def __init__(self, score: Score | None) -> None:
        self._score = score
        self._told: OrderedDict[Key, list[Correction]] = OrderedDict()

    def doubts(self, text: str, language: str, own: Sequence[str]) -> list[Doubt]:
        """Return every sentence in which something might be wrong.

        It takes seconds where a document is long, and may be run in a thread.
        """
        found = passages.sentences(text, language)
        known = familiar.words(text, passages.without(text, found, language), own)
        return [doubt for one in found if (doubt := self._doubt(one, known)).proposed]

    def findings(self, doubts: Sequence[Doubt], off: Collection[str] = ()) -> list[Finding]:
        """Return what is wrong by the rules that are not `off`, as far as it is known already."""
        return [
            finding(doubt.sentence, one)
            for doubt in doubts
            for one in self._told.get(doubt.key, ())
            if one.rule not in off
        ]

    def unknown(self, doubts: Sequence[Doubt], near: int = 0) -> list[Doubt]:
        """Return those to ask about, each once, what stands next to the place `near` first."""
        ranked = sorted(doubts, key=lambda doubt: abs(doubt.sentence.places[0] - near))
        return list({one.key: one for one in ranked if one.key not in self._told}.values())

    async def ask(self, doubt: Doubt) -> None:
        """Ask the model about a sentence that is unknown; raises DgemmaError."""
        assert self._score is not None
        text = doubt.sentence.text
        texts = [text, *(one.applied(text) for one in doubt.proposed)]
        log_probs = await self._score(wire.Score(id=f"proofread-{next(_ids)}", texts=texts))
        gains = verdicts.gains(log_probs)
        self._keep(doubt.key, verdicts.judge(doubt.proposed, gains, self._bounds))

    @property
    def _bounds(self) -> verdicts.Bounds:
        every = verdicts.bounds()
        return every.alone if self._score is None else every.model

    def _doubt(self, sentence: Sentence, known: set[str]) -> Doubt:
        every = corrections.propose(sentence, english.load(), known)
        proposed = tuple(verdicts.worth_asking(every, self._bounds)[:MOST])
        key = sentence.text, hash(proposed)
        if self._score is None and proposed:
            self._keep(key, verdicts.judge(proposed, [0.0] * len(proposed), self._bounds))
        return Doubt(sentence, proposed, key)

    def _keep(self, key: Key, told: list[Correction]) -> None:
        self._told[key] = told
        while len(self._told) > KEPT:
            self._told.popitem(last=False)


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
