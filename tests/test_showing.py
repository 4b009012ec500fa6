"""From the model's answer to the texts that are shown."""

import pytest

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.showing import worth_showing
from dgemma_lsp.wire import Timings


@pytest.mark.parametrize(
    ("texts", "confidences", "count", "expected"),
    [
        pytest.param(["b = (", "b = 1"], [-0.1, -0.2], 1, ["b = 1"], id="a spare one parses"),
        pytest.param(["b = (", "b = 1"], [-0.1, -9.0], 1, [], id="... but is not sure enough"),
        pytest.param(["b = 1", "c = 2"], [-0.1, -0.2], 1, ["b = 1"], id="no more than asked for"),
        pytest.param(["b = 1", "b = 1", "c = 2"], [-0.1] * 3, 3, ["b = 1", "c = 2"], id="once"),
    ],
)
def test_the_best_texts_that_keep_the_code_whole_are_shown(
    texts: list[str], confidences: list[float], count: int, expected: list[str]
) -> None:
    answer = Completion(
        texts=texts,
        reason="settled",
        timings=Timings(),
        steps=1,
        stable=True,
        confidences=dict(enumerate(confidences)),
    )
    before, after = "def f(a):\n    ", "\n    return a\n"
    found = worth_showing(answer, before, after, Options(), language="python", count=count)
    assert found == expected
