import pytest

from dgemma_lsp.audience import EVERYBODY, Audience, Watcher
from dgemma_lsp.wire import Block, Draft, Response
from dgemma_lsp.wire_chat import TurnEnded

BLOCK = Block(id=EVERYBODY, turn=2, block=0, text="x")
DRAFT = Draft(id=EVERYBODY, turn=2, block=0, step=1, text="x")
ENDED = TurnEnded(id=EVERYBODY, turn=2, state="done")


def watching(
    audience: Audience, session: int, id: str, key: str, drafts: bool = True
) -> list[Response]:
    heard: list[Response] = []
    audience.add((session, id), Watcher(id, key, drafts, heard.append))
    return heard


@pytest.mark.parametrize("message", [BLOCK, DRAFT, ENDED])
def test_all_who_watch_a_conversation_are_told_under_their_own_ids(message: Block) -> None:
    audience = Audience()
    one, other = watching(audience, 1, "a", "k"), watching(audience, 2, "b", "k")
    elsewhere = watching(audience, 2, "c", "another")
    audience.tell("k", message)
    assert [heard.id for heard in [*one, *other]] == ["a", "b"]
    assert elsewhere == []


def test_drafts_are_told_to_those_who_want_them() -> None:
    audience = Audience()
    heard = watching(audience, 1, "a", "k", drafts=False)
    audience.tell("k", DRAFT)
    audience.tell("k", BLOCK)
    assert [type(message) for message in heard] == [Block]


def test_who_went_away_is_told_nothing() -> None:
    audience = Audience()
    heard = watching(audience, 1, "a", "k")
    audience.remove((1, "a"))
    audience.remove((1, "a"))
    audience.tell("k", BLOCK)
    assert heard == []
    assert len(audience) == 0


def test_watches_are_found_by_session_and_by_conversation() -> None:
    audience = Audience()
    for session, id, key in [(1, "a", "k"), (1, "b", "l"), (2, "a", "k")]:
        watching(audience, session, id, key)
    assert audience.of_session(1) == [(1, "a"), (1, "b")]
    assert audience.of_conversation("k") == [(1, "a"), (2, "a")]
