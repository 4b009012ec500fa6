from collections import Counter

import numpy as np
import pytest

from sampler.train import errors_in_prose as errors

SENTENCES = [
    "The current state of the database is kept in a file, and it is read when it starts.",
    "If you need more control over the output, pass a function here.",
    "This class describes what a command expects from its arguments.",
    "It returns the value that was stored before, or nothing at all.",
]


def made(maker, text, word, draws=200):
    """All that a maker makes of a word in a text, as whole texts."""
    start = text.index(word)
    rng = np.random.default_rng(0)
    found = [maker(rng, text, start, start + len(word)) for _ in range(draws)]
    return {text[: m.start] + m.wrong + text[m.end :] for m in found if m is not None}


@pytest.mark.parametrize(
    ("maker", "text", "word", "wrong"),
    [
        (errors.typing, "of it", "of", set()),
        (errors.spacing, "so it is", "so", {"soit is", "so  it is"}),
        (errors.spacing, "so, it", "so", {"so , it", "so,it"}),
        (errors.spacing, "so. It", "so", {"so . It", "so.It"}),
        (errors.spacing, "so.", "so", set()),
        (errors.spacing, "so (it", "so", set()),
        (errors.casing, "The end", "The", {"the end"}),
        (errors.casing, "the end", "end", {"the End"}),
        (errors.casing, "as I do", "I", {"as i do"}),
        (errors.casing, "an URL", "URL", set()),
        (errors.agreement, "it is so", "is", {"it are so"}),
        (errors.agreement, "This is", "This", {"These is"}),
        (errors.agreement, "a house", "a", {"an house"}),
        (errors.agreement, "it returns", "returns", {"it return"}),
        (errors.agreement, "a house", "house", set()),
        (errors.doubled, "The end", "The", {"The the end"}),
        (errors.doubled, "as I do", "I", {"as I I do"}),
        (errors.missing, "in the end", "the", {"in end"}),
        (errors.missing, "in the end", "end", set()),
        (errors.missing, "look at.", "at", set()),
        (errors.missing, "The end", "The", set()),
    ],
)
def test_a_mistake_of_each_kind(maker, text, word, wrong):
    got = made(maker, text, word)
    assert got == wrong


def test_a_mistyped_word_is_one_slip_away():
    got = made(errors.typing, "number", "number")
    assert {"nubmer", "numer", "nummber", "nunber"} <= got
    assert all(5 <= len(word) <= 7 and word[0] == "n" and word != "number" for word in got)


def every(count, seeds=60):
    for seed in range(seeds):
        for sentence in SENTENCES:
            yield errors.spoil(np.random.default_rng(seed), sentence, count)


def test_what_is_spoilt_differs_from_the_clean_text_by_its_mistakes_alone():
    for spoilt in every(3):
        text, at = "", 0
        for mistake in spoilt.mistakes:
            assert mistake.start >= at
            assert spoilt.clean[mistake.start : mistake.end] != mistake.wrong
            text += spoilt.clean[at : mistake.start] + mistake.wrong
            at = mistake.end
        assert text + spoilt.clean[at:] == spoilt.text != spoilt.clean
        assert len(spoilt.mistakes) == 3


def test_kinds_come_about_as_often_as_they_should():
    kinds = Counter(mistake.kind for spoilt in every(1) for mistake in spoilt.mistakes)
    assert kinds.keys() == errors.KINDS.keys()
    for kind, (_, share) in errors.KINDS.items():
        assert kinds[kind] / kinds.total() == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize(
    ("text", "count", "least", "most"),
    [("", 3, 0, 0), ("12 + 3", 3, 0, 0), ("Stop", 3, 1, 1), ("It is so", 9, 1, 2), ("It", 0, 0, 0)],
)
def test_no_more_mistakes_are_made_than_fit(text, count, least, most):
    spoilt = errors.spoil(np.random.default_rng(0), text, count)
    assert least <= len(spoilt.mistakes) <= most
    assert (spoilt.text == text) == (not spoilt.mistakes)


def test_the_same_generator_makes_the_same_mistakes():
    first, again = (list(every(2, seeds=5)) for _ in range(2))
    assert first == again
    assert len({spoilt.text for spoilt in first}) > len(SENTENCES)
