"""The application's proofreader: its words gathered, its bounds calibrated, its worth measured.

    python -m sampler.train.proofreader words --packages DIR       writes dgemma_lsp/words.txt
    python -m sampler.train.proofreader calibrate --packages DIR   writes dgemma_lsp/bounds.json
    python -m sampler.train.proofreader measure --packages DIR     on prose of held-out packages

Words and bounds come from the packages that nano learns from, never from those that are held out.
No daemon and no socket: the engine is stepped here.
"""

import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from rich.console import Console

import dgemma_lsp
from dgemma_lsp import corrections, english, familiar, passages, verdicts, wire
from dgemma_lsp.answers import Answers
from dgemma_lsp.config import Config
from dgemma_lsp.corrections import Correction
from dgemma_lsp.passages import Sentence
from dgemma_lsp.verdicts import AllBounds, Bounds
from sampler import compiled
from sampler.benchmarks import report
from sampler.benchmarks.report import Row, Section, Value
from sampler.cache import PrefixCache
from sampler.engine import Engine, Failed
from sampler.events import Weighed
from sampler.load import LoadedModel, load
from sampler.train import corpus, proofreading
from sampler.train.corpus import Document
from sampler.train.errors_in_prose import Spoilt

HOME = Path(dgemma_lsp.__file__).parent
TOUCHED = 0.016  # of clean sentences; other texts are a little different
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
PACKAGES = 16  # to calibrate on
PACKAGES_WITH_WORD = 3
LEAST_COUNT = 8
MARGIN = 2.0  # in nats, above all that was seen of a kind that is not worth it
NAMED = 0.9  # of a word's places, from which on its capital letters belong to it

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")

Judge = Callable[[Sequence[str]], list[float]]


class Weigher:
    """Log probabilities of texts, as the daemon's model process tells them."""

    def __init__(self, model: LoadedModel) -> None:
        denoiser = compiled.forward(model.model)
        cache = PrefixCache(denoiser.new_kv, 2**20)
        self._engine = Engine(denoiser, cache, rows=32, queue=1, positions=model.max_positions)
        self._answers = Answers(model, denoiser, Config())

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Return the log probability of each text."""
        answer = self._answers.answer(wire.Score(id="s", texts=list(texts)))
        self._engine.submit("s", answer.request)
        told: list[float] = []
        while not self._engine.idle:
            for _, event in self._engine.step():
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Weighed):
                    told = event.log_probs
        return told


@dataclass(frozen=True)
class Read:
    """A sentence somewhere, the words that its document has for its own, and it with mistakes."""

    clean: Sentence
    familiar: set[str]
    spoilt: Spoilt


@dataclass(frozen=True)
class Gains:
    """What may be changed in a sentence, and what each change gains."""

    proposed: list[Correction]
    gains: list[float]


# -- sentences -----------------------------------------------------------------------------------


def language_of(name: str) -> str:
    """Return the language of a file by the end of its name."""
    return {".rst": "rst", ".md": "markdown", ".txt": "rst"}.get(Path(name).suffix, "python")


def gather(documents: Iterable[Document], count: int, seed: int, each: int = 4) -> list[Read]:
    """Return `count` sentences at most, `each` at most of one document, spoilt by the seed."""
    rng = random.Random(seed)
    every: list[tuple[Sentence, set[str]]] = []
    seen: set[str] = set()
    for document in documents:
        if len(every) >= count:
            break
        language = language_of(document.name)
        there = passages.sentences(document.text, language)
        found = [one for one in there if one.text not in seen and _is_whole(one)]
        if found:
            seen.update(one.text for one in found)
            code = passages.without(document.text, there, language)
            known = familiar.words(document.text, code)
            every += [(one, known) for one in rng.sample(found, min(each, len(found)))]
    rng.shuffle(every)
    every = every[:count]
    reads = []
    for at, (one, known) in enumerate(every):
        for spoilt in proofreading.spoilt([one.text], seed + at):
            # Code, links and quoted words are to be left as they are, mistakes and all.
            if not any(one.overlaps_fixed(m.start, m.end) for m in spoilt.mistakes):
                reads.append(Read(one, known, spoilt))
    return reads


def _is_whole(one: Sentence) -> bool:
    letters = sum(character.isalpha() or character == " " for character in one.text)
    return (
        one.opens
        and one.text[0].isupper()
        and one.text.endswith(".")
        and one.text.count(" ") >= 4
        and letters > 0.85 * len(one.text)
    )


def training(packages: Path, seed: int) -> list[Document]:
    """Return documents of some packages that nano learns from, in random order."""
    rng = random.Random(seed)
    some = rng.sample([source.package for source in corpus.SOURCES], PACKAGES)
    found = [
        document
        for package in some
        for document in corpus.read_folder(package, corpus.package_folder(package, packages))
    ]
    return rng.sample(found, len(found))


def held_out(packages: Path, prose: Sequence[Path]) -> list[Document]:
    """Return the held-out packages' sources, and every text file below the `prose` folders."""
    files = [file for folder in prose for file in sorted(folder.rglob("*.*"))]
    more = [
        Document(file.name, file.read_text(encoding="utf-8"))
        for file in files
        if file.suffix in (".rst", ".md")
    ]
    return [*corpus.held_out_documents(packages), *more]


# -- proofreading --------------------------------------------------------------------------------


def weigh(text: str, known: set[str], weigher: Weigher | None, kinds: Bounds | None) -> Gains:
    """Return what may be changed in a sentence, and what each change gains."""
    sentence = Sentence(text, tuple(range(len(text))), True, passages.fixed(text))
    proposed = corrections.propose(sentence, english.load(), known)
    if kinds is not None:
        proposed = verdicts.worth_asking(proposed, kinds)
    if not proposed:
        return Gains([], [])
    if weigher is None:
        return Gains(proposed, [0.0] * len(proposed))
    told = weigher([text, *(one.applied(text) for one in proposed)])
    return Gains(proposed, verdicts.gains(told))


# -- calibration ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """The best proposals of a sentence: (kind, total, whether it puts a mistake right)."""

    leading: list[tuple[str, float, bool]]


def _leading(weighed: Gains, weight: float, right: Sequence[bool]) -> Case:
    total = [
        gain + weight * one.odds for one, gain in zip(weighed.proposed, weighed.gains, strict=True)
    ]
    taken: list[Correction] = []
    found = []
    for at in sorted(range(len(total)), key=lambda at: -total[at]):
        one = weighed.proposed[at]
        # Of a word's proposals of one kind the best is the one that would be told.
        rivals = (o for o in taken if o.kind == one.kind)
        if not any(o.start <= one.end and o.end >= one.start for o in rivals):
            taken.append(one)
            found.append((one.kind, total[at], right[at]))
    return Case(found)


def choose(
    clean: Sequence[Gains],
    wrong: Sequence[tuple[Gains, list[bool]]],
    weights: Sequence[float],
) -> tuple[Bounds, int]:
    """Return the bounds that mend most while TOUCHED of the clean sentences are touched at most."""
    best: tuple[Bounds, int] | None = None
    for weight in weights:
        at_rest = [_leading(one, weight, [False] * len(one.proposed)).leading for one in clean]
        spoilt = [_leading(one, weight, right).leading for one, right in wrong]
        low, high = 0.1, 1000.0
        for _ in range(30):
            price = (low * high) ** 0.5
            least = _least(at_rest, spoilt, price)
            touched = sum(
                any(t > least.get(k, verdicts.NEVER) for k, t, _ in one) for one in at_rest
            )
            if touched <= TOUCHED * len(clean):
                high = price
            else:
                low = price
        least = _least(at_rest, spoilt, high)
        mended = sum(
            (1 if right else -1)
            for one in spoilt
            for kind, total, right in one
            if total > least.get(kind, verdicts.NEVER)
        )
        if best is None or mended > best[1]:
            best = Bounds(weight, {k: round(v, 3) for k, v in sorted(least.items())}), mended
    assert best is not None
    return best


def _least(
    clean: Sequence[Sequence[tuple[str, float, bool]]],
    wrong: Sequence[Sequence[tuple[str, float, bool]]],
    price: float,
) -> dict[str, float]:
    """Return the bounds where a clean sentence touched costs `price` mended mistakes."""
    events: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in clean:
        highest: dict[str, float] = {}
        for kind, total, _ in one:
            highest[kind] = max(total, highest.get(kind, total))
        for kind, total in highest.items():
            events[kind].append((total, -price))
    for one in wrong:
        for kind, total, right in one:
            events[kind].append((total, 1.0 if right else -1.0))
    least = {}
    for kind, of_kind in events.items():
        of_kind.sort(reverse=True)
        worth, best, bound = 0.0, 0.0, of_kind[0][0] + MARGIN
        for at, (total, value) in enumerate(of_kind):
            worth += value
            following = of_kind[at + 1][0] if at + 1 < len(of_kind) else total - 2
            if worth > best and following < total:
                best, bound = worth, (total + max(following, total - 2)) / 2
        least[kind] = bound
    return least


def right_ones(spoilt: Spoilt, proposed: Sequence[Correction]) -> list[bool]:
    """Tell of each proposal whether it puts a mistake right."""
    return [any(proofreading.mended(spoilt, one.applied(spoilt.text))) for one in proposed]


# -- commands ------------------------------------------------------------------------------------

packages_option = click.option(
    "--packages", type=click.Path(exists=True, path_type=Path), required=True
)


@click.group()
def proofreader() -> None:
    """Words, bounds and worth of the proofreader."""


@proofreader.command()
@packages_option
def words(packages: Path) -> None:
    """Gather the words of documentation, most of which no dictionary has."""
    counts: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    homes: dict[str, set[str]] = defaultdict(set)
    for document in corpus.training_documents(packages):
        package = document.name.split("/")[0]
        for one in passages.sentences(document.text, "python"):
            for match in _WORD.finditer(one.text):
                if one.overlaps_fixed(*match.span()):
                    continue
                word = match[0]
                counts[word.lower()] += 1
                homes[word.lower()].add(package)
                if match.start():
                    forms[word.lower()][word] += 1
    with (HOME / "words.txt").open("w", encoding="utf-8") as file:
        for word, count in sorted(counts.items()):
            if count >= LEAST_COUNT and len(homes[word]) >= PACKAGES_WITH_WORD:
                file.write(f"{_written(word, forms[word])} {count}\n")


def _written(word: str, forms: Counter[str]) -> str:
    """Return a word with the capital letters that belong to it."""
    if not forms:
        return word
    form, count = forms.most_common(1)[0]
    return form if count >= NAMED * forms.total() else word


@proofreader.command()
@packages_option
@click.option("--model", default="nano", show_default=True)
@click.option("--sentences", default=600, show_default=True)
@click.option("--seed", default=1, show_default=True)
def calibrate(packages: Path, model: str, sentences: int, seed: int) -> None:
    """Choose the bounds on documentation of packages that are not held out."""
    reads = gather(training(packages, seed), sentences, seed)
    found = []
    for weigher in (Weigher(load(model)), None):
        clean, wrong = [], []
        for number, read in enumerate(reads):
            clean.append(weigh(read.clean.text, read.familiar, weigher, None))
            spoilt = weigh(read.spoilt.text, read.familiar, weigher, None)
            wrong.append((spoilt, right_ones(read.spoilt, spoilt.proposed)))
            if weigher and number % 100 == 0:
                print(number, "of", len(reads), file=sys.stderr, flush=True)
        bounds, mended = choose(clean, wrong, WEIGHTS if weigher else (1.0,))
        print(f"{bounds} mends {mended} of {sum(len(r.spoilt.mistakes) for r in reads)}")
        found.append(bounds)
    (HOME / "bounds.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(AllBounds(*found)), indent=1) + b"\n"
    )


@proofreader.command()
@packages_option
@click.option("--prose", type=click.Path(exists=True, path_type=Path), multiple=True)
@click.option("--model", default="nano", show_default=True)
@click.option("--sentences", default=600, show_default=True)
@click.option("--seed", default=2, show_default=True)
def measure(packages: Path, prose: Sequence[Path], model: str, sentences: int, seed: int) -> None:
    """Count what is mended, and what else is touched, in prose of held-out packages."""
    reads = gather(held_out(packages, prose), sentences, seed, each=200)
    bounds = verdicts.bounds()
    rows: list[Row] = []
    for name, weigher, own in (
        ("rules and model", Weigher(load(model)), bounds.model),
        ("rules alone", None, bounds.alone),
    ):
        known = {read.clean.text: read.familiar for read in reads}
        known |= {read.spoilt.text: read.familiar for read in reads}

        def proofread(text: str, weigher: Weigher | None = weigher, own: Bounds = own) -> str:
            weighed = weigh(text, known[text], weigher, own)  # noqa: B023
            return verdicts.mend(text, verdicts.judge(weighed.proposed, weighed.gains, own))

        told = proofreading.measure(
            proofread, [read.clean.text for read in reads], [read.spoilt for read in reads]
        )
        row: dict[str, Value] = {"proofreader": name, "mended": told.mended, **told.by_kind}
        rows.append(row | {"restored": told.restored, "clean touched": told.touched})
    section = Section("proofreading", f"{len(reads)} sentences of held-out packages", rows)
    report.show(section, Console(width=None if sys.stdout.isatty() else 180))


if __name__ == "__main__":
    proofreader()
