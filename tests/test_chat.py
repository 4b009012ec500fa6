import pytest

from dgemma_lsp.chat import prepare
from dgemma_lsp.errors import InvalidRequest
from dgemma_lsp.wire import Turn


def turns(*words: str) -> list[Turn]:
    """`s:text`, `u:text` and `a:text` are turns of the system, the user and the assistant."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [Turn(role=roles[word[0]], content=word[2:]) for word in words]


@pytest.mark.parametrize(
    ("sent", "system", "expected"),
    [
        (["u:hi"], "", ["u:hi"]),
        (["u:hi"], "  ", ["u:hi"]),
        (["u:hi"], "be brief", ["s:be brief", "u:hi"]),
        (["s:be long", "u:hi"], "be brief", ["s:be long", "u:hi"]),
        (["u:1", "a:2", "u:3"], "", ["u:1", "a:2", "u:3"]),
    ],
)
def test_the_configured_system_turn_comes_first_where_none_was_sent(
    sent: list[str], system: str, expected: list[str]
) -> None:
    conversation = prepare(turns(*sent), system=system, history_chars=1000)
    assert conversation.turns == turns(*expected)
    assert conversation.notice == ""


@pytest.mark.parametrize(
    ("history_chars", "kept"),
    [
        (1000, ["u:aaaa", "a:bbbb", "u:cccc", "a:dddd", "u:eeee"]),
        (20, ["u:aaaa", "a:bbbb", "u:cccc", "a:dddd", "u:eeee"]),
        (19, ["u:cccc", "a:dddd", "u:eeee"]),  # b would answer a question that is gone
        (12, ["u:cccc", "a:dddd", "u:eeee"]),
        (11, ["u:eeee"]),
        (4, ["u:eeee"]),
        (1, ["u:eeee"]),  # the question itself is never cut
    ],
)
def test_a_long_history_is_cut_at_its_oldest_turns(history_chars: int, kept: list[str]) -> None:
    sent = turns("u:aaaa", "a:bbbb", "u:cccc", "a:dddd", "u:eeee")
    conversation = prepare(sent, system="", history_chars=history_chars)
    assert conversation.turns == turns(*kept)
    cut = len(sent) - len(kept)
    assert (f"the oldest {cut} of 5 turns" in conversation.notice) is (cut > 0)


def test_the_system_turn_counts_in_the_budget_and_is_kept() -> None:
    sent = turns("s:ssss", "u:aaaa", "a:bbbb", "u:cccc")
    assert prepare(sent, system="", history_chars=16).turns == sent
    assert prepare(sent, system="", history_chars=15).turns == turns("s:ssss", "u:cccc")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([], "the last turn must be the user's; it is missing"),
        (["s:x"], "the last turn must be the user's; it is the system's"),
        (["u:x", "a:y"], "the last turn must be the user's; it is the assistant's"),
        (["u:x", "a: ", "u:y"], r"messages\[1\]: the assistant's content is empty"),
        (["u:"], r"messages\[0\]: the user's content is empty"),
        (["u:x", "s:y", "u:z"], r"messages\[1\]: a system turn can only be the first"),
    ],
)
def test_turns_that_make_no_conversation_are_refused_with_their_place(
    sent: list[str], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        prepare(turns(*sent), system="", history_chars=1000)
