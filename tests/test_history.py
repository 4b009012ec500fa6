"""What was edited last, from the states of a document."""

from itertools import pairwise

import pytest

from dgemma_lsp.follow import Replaced
from dgemma_lsp.history import LONGEST, History

URI = "file:///a.py"


def last(*states: str) -> Replaced | None:
    history = History()
    history.opened(URI, states[0])
    for one, other in pairwise(states):
        assert one != other
        history.changed(URI, other)
    return history.last(URI)


def typed(before: str, word: str, after: str) -> list[str]:
    return [before + word[:n] + after for n in range(len(word) + 1)]


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(["a = old\n", "a = new\n"], id="at once"),
        pytest.param(["a = old\n", *typed("a = ", "new", "\n")], id="removed, then typed"),
        pytest.param(
            ["a = old\n", "a = ol\n", "a = o\n", *typed("a = ", "new", "\n")], id="key by key"
        ),
        pytest.param(["a = old\n", "a = newold\n", "a = new\n"], id="typed, then removed"),
        pytest.param(["b = old\n", "a = old\n", "a = new\n"], id="behind another edit"),
    ],
)
def test_a_word_is_replaced_however_it_is_typed(states: list[str]) -> None:
    assert last(*states) == Replaced(4, "old", "new")


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(["a = old\n"], id="none yet"),
        pytest.param(["a = old\n", "a = new\n", "a = old\n"], id="taken back"),
        pytest.param(["a = \n", *typed("a = ", "new", "\n")[1:]], id="a new word"),
        pytest.param(["a = old\n", "a = new\n", "a = new\nb\n"], id="another edit since"),
        pytest.param(["a = old\n", f"a = {LONGEST * 'n'}n\n"], id="more than a word"),
    ],
)
def test_an_edit_that_is_another_or_none_replaces_no_word(states: list[str]) -> None:
    assert last(*states) is None


def test_the_same_replacement_at_several_places_is_counted_from_the_first() -> None:
    states = ["old\nold\nold\n", "old\nnewer\nold\n", "old\nnewer\nnewer\n"]
    assert last(*states) == Replaced(4, "old", "newer", 2)


def test_an_edit_above_moves_the_place_of_an_earlier_one() -> None:
    states = ["\nold\nold\n", "\nnew\nold\n", "##\nnew\nold\n", "##\nnew\nnew\n"]
    assert last(*states) == Replaced(3, "old", "new", 2)


def test_a_closed_document_has_no_edits() -> None:
    history = History()
    history.changed(URI, "old")
    history.changed(URI, "new")
    assert history.last(URI) == Replaced(0, "old", "new")
    history.closed(URI)
    assert history.last(URI) is None


OTHER = "file:///b.py"
RENAMED = Replaced(0, "old", "new")


def two_documents() -> History:
    history = History()
    history.opened(URI, "old\n")
    history.opened(OTHER, "a\nold\n")
    history.changed(URI, "new\n")
    return history


def test_the_last_edit_of_another_document_is_known() -> None:
    history = two_documents()
    assert history.elsewhere(OTHER) == (URI, "new\n", RENAMED)
    assert history.elsewhere(URI) is None


def test_an_edit_of_its_own_ends_what_follows_from_another_document() -> None:
    history = two_documents()
    history.changed(OTHER, "ab\nold\n")
    assert history.elsewhere(OTHER) is None


def test_the_same_replacement_does_not_end_it() -> None:
    history = two_documents()
    history.changed(OTHER, "a\nnew\n")
    assert history.elsewhere(OTHER) == (URI, "new\n", RENAMED)
