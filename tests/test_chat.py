import pytest

from dgemma_lsp.chat import NANO_NOTE, Conversation, model_notice, prepare, shorten
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


@pytest.mark.parametrize(
    ("read", "left"),
    [
        (["u:aaaa", "a:bbbb", "u:cccc", "a:dddd", "u:eeee"], ["u:eeee"]),
        (["s:aa", "u:aaaa", "a:bb", "u:cc", "a:dd", "u:eeee"], ["s:aa", "u:eeee"]),
        (["u:aaaaaaaa", "a:b", "u:c", "a:d", "u:e"], ["u:c", "a:d", "u:e"]),
        (["u:a", "a:b", "u:cccccccc"], ["u:cccccccc"]),
        (["s:aa", "u:eeee"], None),
        (["u:eeee"], None),
    ],
)
def test_what_the_model_does_not_hold_is_cut_to_about_half(
    read: list[str], left: list[str] | None
) -> None:
    said = [*turns("u:old", "a:old"), *turns(*[word for word in read if word[0] != "s"])]
    shorter = shorten(said, Conversation(turns(*read)))
    if left is None:
        assert shorter is None
        return
    assert shorter is not None
    assert shorter.turns == turns(*left)
    cut = len(said) - sum(word[0] != "s" for word in left)
    assert shorter.notice == (
        f"the oldest {cut} of {len(said)} turns were cut: the model holds no more"
    )


@pytest.mark.parametrize(
    ("model", "answered", "notice"),
    [
        ("nano", set(), NANO_NOTE),
        ("nano", {"nano"}, ""),
        ("nano", {"other"}, NANO_NOTE),
        ("other", set(), ""),
    ],
)
def test_nano_is_told_of_where_it_has_not_answered_before(
    model: str, answered: set[str], notice: str
) -> None:
    assert model_notice(model, answered) == notice
