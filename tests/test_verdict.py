"""What of an answer is shown, and why nothing is."""

import pytest

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.quiet import Reason
from dgemma_lsp.verdict import why_nothing, worth_showing
from dgemma_lsp.wire import Reason as End
from dgemma_lsp.wire import Timings


def answer(*texts: str, end: End = "settled", confidence: float = -0.5) -> Completion:
    return Completion(
        texts=list(texts),
        reason=end,
        timings=Timings(),
        steps=4,
        stable=True,
        confidences=dict.fromkeys(range(len(texts)), confidence),
    )


def test_what_may_be_shown_is_shown_once_the_best_first() -> None:
    assert worth_showing(answer("1", "2", "1", ""), "a = ", "\n", Options()) == ["1", "2"]


def test_what_the_model_is_not_sure_of_is_not_shown() -> None:
    assert worth_showing(answer("1", confidence=-9), "a = ", "\n", Options()) == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer("1", confidence=-9), "not-confident"),
        (answer("a"), "repeats"),
        (answer(" ", end="deadline"), "deadline"),
        (answer("\n    "), "empty"),
    ],
)
def test_nothing_is_shown_for_one_reason(given: Completion, why: Reason) -> None:
    assert why_nothing(given, Options()) == why
