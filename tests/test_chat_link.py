"""The terminal's link, over the real endpoint of the real daemon and a scripted model process."""

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from command import Command, dgemma

from dgemma_lsp import wire
from dgemma_lsp.chat_copy import ConversationCopy
from dgemma_lsp.chat_link import ChatLink, read_endpoint
from dgemma_lsp.errors import DaemonUnavailable, NotFound, Unauthorized
from dgemma_lsp.runtime import write_private
from dgemma_lsp.wire_chat import (
    About,
    ListConversations,
    NewConversation,
    SendTurn,
    StopAnswer,
    Taken,
    TurnEnded,
)

__all__ = ["dgemma"]


@pytest.fixture
def link(dgemma: Command) -> Iterator[ChatLink]:
    with dgemma.real_daemon(), closing(ChatLink(dgemma.paths, lambda: None)) as link:
        yield link


def begun(link: ChatLink) -> ConversationCopy:
    (about,) = link.ask(lambda id: NewConversation(id=id))
    assert isinstance(about, About)
    copy = ConversationCopy(about.conversation.conversation)
    link.watch(copy)
    return copy


def say(link: ChatLink, copy: ConversationCopy, text: str, once: str = "") -> Taken:
    (taken,) = link.ask(lambda id: SendTurn(id=id, conversation=copy.key, text=text, once=once))
    assert isinstance(taken, Taken)
    return taken


def until_ended(link: ChatLink) -> list[wire.Block]:
    blocks = []
    for message in link.told():
        if isinstance(message, wire.Block):
            blocks.append(message)
        if isinstance(message, TurnEnded):
            break
    return blocks


def test_what_is_watched_is_told_and_copied(link: ChatLink) -> None:
    copy = begun(link)
    say(link, copy, "/echo a\n/echo b")
    assert [block.text for block in until_ended(link)] == ["a", "b"]
    assert [turn.text for turn in copy.path] == ["/echo a\n/echo b", "ab"]


def test_another_conversation_is_watched_instead(link: ChatLink) -> None:
    one, other = begun(link), begun(link)
    say(link, one, "/echo one")
    say(link, other, "/echo other")
    assert [block.text for block in until_ended(link)] == ["other"]
    assert one.path == []
    link.watch(one)
    while one.path[-1].state == "writing":
        next(link.told())
    assert [turn.text for turn in one.path] == ["/echo one", "one"]


def test_a_connection_that_broke_is_opened_again_and_nothing_is_told_twice(
    link: ChatLink,
) -> None:
    copy = begun(link)
    say(link, copy, "/echo a\n/echo b\n/hang")
    told = link.told()
    while not isinstance(next(told), wire.Block):
        pass
    assert link._socket is not None
    link._socket.close()
    link.ask(lambda id: StopAnswer(id=id, conversation=copy.key))
    until_ended(link)
    assert (copy.path[-1].text, copy.path[-1].state) == ("ab", "stopped")


def test_a_question_whose_answer_was_lost_with_the_connection_is_taken_once(
    link: ChatLink,
) -> None:
    copy = begun(link)
    taken = say(link, copy, "/echo a", once="x")
    assert link._socket is not None
    link._socket.close()
    again = say(link, copy, "/echo a", once="x")
    assert (again.question, again.answer) == (taken.question, taken.answer) == (1, 2)


def test_what_the_daemon_refuses_is_raised(link: ChatLink) -> None:
    with pytest.raises(NotFound, match="'gone'"):
        link.watch(ConversationCopy("gone"))
    with pytest.raises(NotFound, match="'gone'"):
        link.ask(lambda id: SendTurn(id=id, conversation="gone", text="x"))
    assert len(link.ask(lambda id: ListConversations(id=id))) == 1


def test_a_wrong_token_is_refused(dgemma: Command) -> None:
    with dgemma.real_daemon():
        real = read_endpoint(dgemma.paths)
        write_private(dgemma.paths.endpoint, msgspec.structs.replace(real, token="wrong"))
        with pytest.raises(Unauthorized, match="401"):
            ChatLink(dgemma.paths, lambda: None).greet()


def test_without_a_daemon_there_is_no_endpoint(dgemma: Command) -> None:
    with pytest.raises(DaemonUnavailable, match=r"endpoint\.json"):
        read_endpoint(dgemma.paths)
