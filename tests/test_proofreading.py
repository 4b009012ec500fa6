import pytest

from sampler.train.errors_in_prose import Mistake, Spoilt
from sampler.train.proofreading import measure, mended, spoilt

CLEAN = [
    "The value that was stored before is kept in a file.",
    "If you need more control, pass a function here.",
    "This class describes what a command expects.",
] * 10


def one(clean, kind, wrong_at, wrong):
    start = clean.index(wrong_at)
    mistake = Mistake(kind, start, start + len(wrong_at), wrong)
    text = clean[:start] + wrong + clean[start + len(wrong_at) :]
    return Spoilt(clean, text, (mistake,))


CASES = [
    one("a number of it", "typing", "number", "nubmer"),
    one("a number of it", "typing", "number", "numbber"),
    one("a number", "doubled", "number", "number number"),
    one("a number of it", "doubled", "a", "a a"),
    one("so it is", "spacing", " ", "  "),
    one("so it is", "spacing", " ", ""),
    # What stands before ends as the word does.
    one("the value that", "doubled", "value", "value value"),
    one("nothing at all", "doubled", "at", "at at"),
    one("in the end", "missing", "the ", ""),
    one("The end", "casing", "The", "the"),
    one("it is.", "agreement", "is", "are"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)
def test_a_mistake_is_mended_where_the_clean_text_stands_again(case):
    assert mended(case, case.clean) == [True]
    assert mended(case, case.text) == [False]
    assert mended(case, "") == [False]


@pytest.mark.parametrize(
    ("written", "flags"),
    [
        ("a number of things is here", [True, True]),
        ("a nubmer of things is here", [False, True]),
        ("a number of things are here", [True, False]),
        # Something else is touched far away: both are mended all the same.
        ("One number of things is here", [False, True]),
        ("a number of things is here now", [True, True]),
        ("a numbers of things is here", [False, True]),
    ],
)
def test_each_mistake_of_a_sentence_is_told_apart(written, flags):
    clean = "a number of things is here"
    both = Spoilt(
        clean,
        "a nubmer of things are here",
        (Mistake("typing", 2, 8, "nubmer"), Mistake("agreement", 19, 21, "are")),
    )
    assert mended(both, written) == flags


def test_one_who_changes_nothing_mends_nothing_and_touches_nothing():
    wrong = spoilt(CLEAN, seed=0)
    got = measure(lambda text: text, CLEAN, wrong)
    assert (got.mended.mean, got.restored.mean, got.touched.mean) == (0, 0, 0)


def test_one_who_knows_it_all_mends_all_and_touches_nothing():
    wrong = spoilt(CLEAN, seed=0)
    known = {each.text: each.clean for each in wrong}
    got = measure(lambda text: known.get(text, text), CLEAN, wrong)
    assert (got.mended.mean, got.restored.mean, got.touched.mean) == (100, 100, 0)
    assert set(got.by_kind) <= {"typing", "spacing", "casing", "agreement", "doubled", "missing"}
    assert all(share.mean == 100 for share in got.by_kind.values())


def test_one_who_writes_something_else_touches_everything():
    got = measure(lambda text: "something else", CLEAN, spoilt(CLEAN, seed=0))
    assert (got.mended.mean, got.touched.mean) == (0, 100)


def test_sentences_without_room_for_a_mistake_fall_out_and_the_seed_fixes_the_rest():
    assert spoilt(["12 + 3", ""], seed=0) == []
    assert spoilt(CLEAN, seed=1) == spoilt(CLEAN, seed=1) != spoilt(CLEAN, seed=2)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="0 clean sentences and 0 with mistakes"):
        measure(lambda text: text, [], [])
