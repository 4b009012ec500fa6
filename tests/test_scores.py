import pytest

from sampler.train import scores


@pytest.mark.parametrize(
    ("flags", "mean", "low", "high"),
    [
        # Bounds as in tables of Wilson's interval for 95 %.
        ([0] * 10, 0.0, 0.0, 27.75),
        ([1] * 10, 100.0, 72.25, 100.0),
        ([1] * 3 + [0] * 7, 30.0, 10.78, 60.32),
        # Three seeds of a case are one case.
        ([1 / 3] * 3 + [0] * 7, 10.0, 1.79, 40.42),
    ],
)
def test_a_share_has_wilsons_bounds_over_cases(flags, mean, low, high):
    got = scores.share(flags)
    assert (got.mean, got.low, got.high) == pytest.approx((mean, low, high), abs=0.01)


def test_a_mean_has_the_bounds_of_a_bootstrap_which_is_the_same_every_time():
    values = [0.0, 1.0] * 50
    got = scores.mean(values, 100)
    assert got.mean == 50
    # Twice the standard error of 5 points on either side.
    assert (got.low, got.high) == pytest.approx((40, 60), abs=1.5)
    assert got == scores.mean(values, 100)


def test_equal_values_leave_no_doubt():
    got = scores.mean([0.25] * 4)
    assert (got.mean, got.low, got.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("expected", "written", "score"),
    [
        ("return the sum", "return the sum", 1.0),
        ("return the sum", "", 0.0),
        ("a b c d", "a c", 2 / 3),
        ("a b", "b a", 0.5),
    ],
)
def test_rouge_l_is_the_longest_common_subsequence_of_words(expected, written, score):
    assert scores.rouge_l(expected, written) == pytest.approx(score)


@pytest.mark.parametrize(
    ("texts", "unlike"),
    [([], 0), (["x"], 0), (["x", "x"], 0), (["abcd", "efgh"], 1), (["ab", "ab", "cd"], 2 / 3)],
)
def test_variety_is_how_unlike_texts_are_pair_by_pair(texts, unlike):
    assert scores.variety(texts) == pytest.approx(unlike)
