"""What of an answer is shown, and why nothing is."""

import pytest

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.quiet import Reason
from dgemma_lsp.verdict import why_nothing, worth_showing
from dgemma_lsp.wire import Reason as End
from dgemma_lsp.wire import Timings

BEFORE, AFTER = "def f(a):\n    ", "\n    return a\n"


def answer(*texts: str, end: End = "settled", sure: tuple[float, ...] = ()) -> Completion:
    return Completion(
        texts=list(texts),
        reason=end,
        timings=Timings(),
        steps=4,
        stable=True,
        confidences=dict(enumerate(sure or [-0.5] * len(texts))),
    )


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        pytest.param(answer("b", "c", "b", ""), 3, ["b", "c"], id="each once"),
        pytest.param(answer("b", "c"), 1, ["b"], id="no more than asked for"),
        pytest.param(answer("b", sure=(-9.0,)), 1, [], id="not what the model is not sure of"),
        pytest.param(answer("b = (", "b"), 1, ["b"], id="a spare one that parses"),
        pytest.param(answer("b = (", "b", sure=(-0.1, -9.0)), 1, [], id="... if it is sure enough"),
        pytest.param(answer("b", "c", sure=(-9.0, -0.1)), 1, [], id="none for a better one"),
    ],
)
def test_the_best_that_keep_the_code_whole_are_shown(
    given: Completion, count: int, expected: list[str]
) -> None:
    found = worth_showing(given, BEFORE, AFTER, Options(), language="python", count=count)
    assert found == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer("b", sure=(-9.0,)), "not-confident"),
        (answer("return a"), "repeats"),
        (answer("b = ("), "breaks"),
        (answer(" ", end="deadline"), "deadline"),
        (answer("\n    "), "empty"),
    ],
)
def test_nothing_is_shown_for_one_reason(given: Completion, why: Reason) -> None:
    assert worth_showing(given, BEFORE, AFTER, Options(), language="python", count=1) == []
    assert why_nothing(given, BEFORE, AFTER, Options(), language="python") == why
