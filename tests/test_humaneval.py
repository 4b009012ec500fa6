import pytest

from sampler.train import humaneval, sandbox
from sampler.train.humaneval import MULTI, SINGLE


@pytest.mark.parametrize("indented", [True, False])
@pytest.mark.parametrize(("kind", "count"), [(SINGLE, 1033), (MULTI, 5815)])
def test_there_are_as_many_cases_as_were_published(kind, count, indented):
    every = humaneval.cases(kind, indented=indented)
    assert len(every) == count
    assert all(case.hole.filled(case.hole.middle) == case.hole.text for case in every)
    assert all(case.hole.middle.rstrip() == case.hole.middle != "" for case in every)


def test_the_first_task_is_cut_line_by_line():
    first = [case.hole for case in humaneval.cases(SINGLE, indented=True)[:3]]
    assert [hole.middle for hole in first] == [
        "for idx, elem in enumerate(numbers):",
        "for idx2, elem2 in enumerate(numbers):",
        "if idx != idx2:",
    ]
    assert all(hole.text[: hole.start].endswith("    ") for hole in first)


def test_the_published_cursor_is_at_the_start_of_the_line():
    case = humaneval.cases(SINGLE, indented=False)[0]
    assert case.hole.middle.startswith("    for idx, elem")
    assert case.hole.text[: case.hole.start].endswith('"""\n')


@pytest.mark.parametrize("kind", humaneval.KINDS)
def test_what_was_cut_out_passes_its_tests_and_nonsense_does_not(kind):
    drawn = humaneval.sample(kind, 5, seed=3, indented=True)
    good = [case.program(case.hole.middle) for case in drawn]
    bad = [case.program("raise ValueError") for case in drawn]
    passes = sandbox.passing([*good, *bad])
    assert all(passes[program] for program in good)
    assert not any(passes[program] for program in bad)


def test_a_sample_is_the_same_for_the_same_seed_and_never_more_than_there_is():
    few = humaneval.sample(SINGLE, 9, seed=1, indented=True)
    assert few == humaneval.sample(SINGLE, 9, seed=1, indented=True)
    assert few != humaneval.sample(SINGLE, 9, seed=2, indented=True)
    assert len(humaneval.sample(SINGLE, 9999, seed=1, indented=True)) == 1033
