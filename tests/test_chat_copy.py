import pytest

from dgemma_lsp.chat_copy import ConversationCopy
from dgemma_lsp.wire import Block, Done, Draft, Response
from dgemma_lsp.wire_chat import About, CaughtUp, KeptTurn, Summary, TurnEnded, TurnTold


def about(head: int) -> About:
    return About(
        id="w",
        conversation=Summary(
            conversation="k", title="", system=None, head=head, turns=2, created=0, updated=0
        ),
    )


def told(turn: int, parent: int, text: str = "", blocks: int = 0) -> TurnTold:
    role = "user" if turn % 2 else "assistant"
    return TurnTold(
        id="w", turn=KeptTurn(turn=turn, role=role, text=text, parent=parent, blocks=blocks)
    )


def block(turn: int, number: int, text: str) -> Block:
    return Block(id="w", turn=turn, block=number, text=text)


def copied(*messages: Response) -> ConversationCopy:
    copy = ConversationCopy("k")
    for message in messages:
        copy.take(message)
    return copy


def test_an_answer_grows_by_its_blocks_each_taken_once() -> None:
    copy = copied(about(2), told(1, 0, "why"), told(2, 1, "a", blocks=1))
    taken = [copy.take(block(2, number, text)) for number, text in [(0, "a"), (1, "b"), (1, "b")]]
    assert taken == [False, True, False]
    assert [turn.text for turn in copy.path] == ["why", "ab"]
    assert copy.seen == (2, 2)


def test_a_turn_ends_as_it_is_told() -> None:
    copy = copied(told(2, 1))
    assert copy.take(TurnEnded(id="w", turn=2, state="stopped", reason="cancelled"))
    assert (copy.turns[2].state, copy.turns[2].reason) == ("stopped", "cancelled")


def test_a_path_goes_back_from_the_head_as_far_as_the_turns_are_there() -> None:
    copy = copied(about(8), told(3, 2), told(4, 3), told(7, 4), told(8, 7), told(5, 2))
    assert [turn.turn for turn in copy.path] == [3, 4, 7, 8]


@pytest.mark.parametrize(
    "message",
    [
        block(9, 0, "x"),
        TurnEnded(id="w", turn=9, state="done"),
        Draft(id="w", turn=9, block=0, step=1, text="x"),
        CaughtUp(id="w"),
        Done(id="w", reason="deleted"),
    ],
)
def test_what_is_about_nothing_here_is_left_out(message: Response) -> None:
    copy = copied(about(2), told(2, 1))
    assert not copy.take(message)
    assert list(copy.turns) == [2]


def test_an_empty_copy_has_seen_nothing() -> None:
    assert ConversationCopy("k").seen == (0, 0)
    assert ConversationCopy("k").path == []
