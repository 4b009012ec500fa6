"""What is known of an answer while it is being written."""

import pytest

from dgemma_lsp.progress import Progress, printable
from dgemma_lsp.wire import Block, Draft


def test_drafts_replace_each_other_and_blocks_are_appended() -> None:
    progress = Progress()
    seen = []
    for message in (
        Draft(id="a", block=0, step=1, text="hx", stable=1),
        Draft(id="a", block=0, step=2, text="hey", stable=2),
        Block(id="a", block=0, text="hi ", steps=3),
        Draft(id="a", block=1, step=1, text="yo", stable=0),
        Block(id="a", block=1, text="you", steps=2),
    ):
        progress.take(message)
        seen.append((progress.text, progress.sure, progress.step))
    assert seen == [("hx", 1, 1), ("hey", 2, 2), ("hi ", 3, 3), ("hi yo", 3, 1), ("hi you", 6, 2)]


def test_only_the_first_candidate_is_followed() -> None:
    progress = Progress()
    progress.take(Block(id="a", block=0, text="one", candidate=0))
    progress.take(Draft(id="a", block=0, step=9, text="two", candidate=1))
    progress.take(Block(id="a", block=0, text="two", candidate=1))
    assert progress.text == "one"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("if x:\n\ty = 'größe 漢'", "if x:\n\ty = 'größe 漢'"),
        ("\x1b[2Jgone", "\ufffd[2Jgone"),
        ("a\rb\x07\x7f\x9b", "a\ufffdb\ufffd\ufffd\ufffd"),
    ],
)
def test_what_a_terminal_would_obey_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert len(shown) == len(text)
