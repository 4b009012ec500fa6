"""What stands elsewhere behind the same words."""

import pytest
import torch
from transformers import AutoTokenizer

from sampler.load import NANO
from sampler.lookup import AGREEING, continuations, copies
from sampler.prompts import Prompts

END = 9  # a line's end; every other token is a word
VOCAB = 40
LINE_ENDS = (torch.arange(VOCAB) == END).long()


def found(ids, *, count=4, longest=8, allowed=None):
    return continuations(ids, count=count, longest=longest, line_ends=LINE_ENDS, allowed=allowed)


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts(AutoTokenizer.from_pretrained(NANO))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], []),
        ([1], []),
        ([1, 2, 3], []),
        # what followed before, up to the end of its line
        ([1, 2, 3, END, 5, 1], [[2, 3]]),
        # the place that agrees longest comes first, however far back it is
        ([7, 1, 2, END, 8, 1, 3, END, 7, 1], [[2], [3]]),
        # of equals the latest, and each text once
        ([5, 1, 2, END, 6, 1, 3, END, 7, 1, 2, END, 8, 1], [[2], [3]]),
        # behind a line's end, the next line
        ([1, END, 2, 3, END, 4, END], [[4], [2, 3]]),
        # a line's end that comes first belongs to what follows
        ([1, END, 2, END, 3, 1], [[END, 2]]),
    ],
)
def test_rests_of_lines_are_found_behind_the_same_tokens(ids, expected):
    assert found(ids) == expected


def test_no_more_are_given_than_asked_for():
    ids = [1, 2, END, 1, 3, END, 1, 4, END, 1]
    assert found(ids, count=2) == [[4], [3]]
    assert found(ids, count=0) == []


def test_a_rest_is_cut_at_what_fits():
    assert found([1, 2, 3, 4, 5, 1], longest=2) == [[2, 3]]


def test_a_rest_begins_with_what_is_allowed():
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[3] = True
    assert found([1, 2, END, 1, 3, END, 1], allowed=allowed) == [[3]]


def test_agreement_beyond_the_measure_counts_no_more():
    line = list(range(10, 10 + AGREEING + 4))
    older, newer = [2, *line, 30], [3, *line[4:], 31]
    assert found([*older, *newer, 2, *line])[0][0] == 31


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ('    """Tell.\n\n    go(1)\n    """\n    go(2)\n    go(', ["2)"]),
        ('    go(2)\n    """Tell.\n\n    go(1)\n    go(', ["1)"]),
        # A text that begins in mid-docstring is read from its end.
        ('    go(1)\n    """\n    go(2)\n    go(', ["2)"]),
        ("    x = f('''y''')\n    go(2)\n    go(", ["2)"]),
        # What a remark says of another place is not said here.
        ("x = 1\n# of one\nx = 2\n", ["x = 2"]),
    ],
)
def test_code_is_not_copied_out_of_docstrings_nor_into_them(
    prompts: Prompts, prefix: str, expected: list[str]
) -> None:
    prompt = prompts.completion(prefix, "", prefix_tokens=500, suffix_tokens=8, language="python")
    found = copies(prompts, prompt, count=8, longest=8)
    texts = [prompts.decode(ids)[len(prompt.healed) :].strip() for ids in found]
    assert [text for text in texts if text in {"1)", "2)", "x = 1", "x = 2"}] == expected
