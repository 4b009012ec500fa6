"""What was edited last, from the states of a document."""

from itertools import pairwise

import pytest

from dgemma_lsp.follow import Replaced
from dgemma_lsp.history import FRESH, LONGEST, History
from dgemma_lsp.signature import Signature

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


# -- signatures ----------------------------------------------------------------------------------

HEAD, BODY = "def f(", "):\n    pass\n\n\nf(1, 2)\n"


def signed(*states: str) -> tuple[str, str] | None:
    """Between which parameters the signature changed, by names."""
    history = History()
    history.opened(URI, states[0])
    for state in states[1:]:
        history.changed(URI, state)
    found = history.signed()
    return found and (names_of(found.old), names_of(found.new))


def names_of(signature: Signature) -> str:
    return " ".join(one.name for one in signature.parameters)


def of(*parameters: str) -> list[str]:
    return [HEAD + one + BODY for one in parameters]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(of("a, b", "a"), ("a b", "a"), id="at once"),
        pytest.param(of("a", "a,", "a, b", "a, bc"), ("a", "a bc"), id="key by key"),
        pytest.param(
            [*of("a, b", "x, b", "x, bc"), HEAD + "x, bc" + BODY + "x = 1\n"],
            ("a b", "x bc"),
            id="at two places",
        ),
        pytest.param(
            [*of("a, b", "a"), HEAD + "a" + BODY.replace("f(1, 2)", "f(1)")],
            ("a b", "a"),
            id="then at a call",
        ),
        pytest.param(of("a, b", "a", "a, b"), None, id="taken back"),
        pytest.param(of("a", "a: int"), None, id="only a type"),
        pytest.param(of("a", "a, b="), None, id="not written yet"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_a_signature_is_remembered_as_it_was_before_it_was_edited(
    states: list[str], expected: tuple[str, str] | None
) -> None:
    assert signed(*(states or [""])) == expected


def test_a_signature_brings_the_documents_as_they_were_also_those_opened_later() -> None:
    history = History()
    history.opened(URI, HEAD + "a, b" + BODY)
    history.opened("b", "old b")
    history.changed(URI, HEAD + "a" + BODY)
    assert history.signed()
    history.opened("c", "old c")
    history.changed("c", "new c")
    found = history.signed()
    assert found and found.texts == {URI: HEAD + "a, b" + BODY, "b": "old b", "c": "old c"}
    assert history.text(URI) == HEAD + "a" + BODY


def test_a_signature_is_forgotten_with_its_document_and_after_many_edits() -> None:
    history = History()
    for states in (of("a, b", "a"), of("a, b", "a")):
        history.opened(URI, states[0])
        history.changed(URI, states[1])
        assert history.signed()
        history.opened(URI, states[0])
        assert history.signed() is None
        history.changed(URI, states[1])
        assert history.signed()
        history.closed(URI)
        assert history.signed() is None
    history.opened(URI, of("a, b")[0])
    history.changed(URI, of("a")[0])
    for number in range(FRESH):
        history.changed(URI, of("a")[0] + "x" * number + "y")
        assert history.signed()
    history.changed(URI, of("a")[0])
    assert history.signed() is None
