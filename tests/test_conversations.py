"""Kept conversations over the real daemon, both listeners, and a scripted model process."""

import re
from typing import Any

import msgspec
import pytest
from conversing import Conversing, begun
from live_daemon import TRANSPORTS, Client, configured, end, on_loopback, on_socket, paths, serving

from dgemma_lsp import conversations, wire
from dgemma_lsp.config import Chat as ChatOptions
from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Block, Cancel, Chat, Done, Failed
from dgemma_lsp.wire_chat import (
    About,
    Attachment,
    BranchConversation,
    ChangeConversation,
    ChatRequest,
    ChooseTurn,
    Conversations,
    DeleteConversation,
    EditTurn,
    ExportConversation,
    Exported,
    ListConversations,
    NewConversation,
    ReadTurns,
    Regenerate,
    SendTurn,
    StopAnswer,
    Taken,
    TurnTold,
    WatchConversation,
)

__all__ = ["paths"]


async def listed(client: Client, **values: Any) -> Conversations:
    found, _ = await client.ask(ListConversations(id="list", **values))
    assert isinstance(found, Conversations)
    return found


def read_by_model(answer: str) -> Chat:
    """What `/job` tells of the request that the model got."""
    job = wire.decode_request(answer)
    assert isinstance(job, Chat)
    return job


# Asking


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_is_answered_block_after_block(paths: Paths, transport: Any) -> None:
    async with serving(paths), transport(paths) as client:
        talk = await begun(client)
        answer = await talk.say("/drafts 2\n/echo שלום \n/echo 🦊")
    assert (answer.text, answer.blocks, answer.state, answer.reason) == (
        "שלום 🦊",
        2,
        "done",
        "eos",
    )
    assert talk.copy.repeated == []
    assert answer.usage is not None
    assert (answer.usage.tokens, answer.usage.steps, answer.usage.tokens_per_step) == (5, 2, 2.5)
    assert answer.usage.tokens_per_s > 0


async def test_the_model_reads_the_path_behind_the_system_prompt(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client, system="Be brief.")
        await talk.say("/echo one")
        answer = await talk.say("/job")
    assert [(turn.role, turn.content) for turn in read_by_model(answer.text).messages] == [
        ("system", "Be brief."),
        ("user", "/echo one"),
        ("assistant", "one"),
        ("user", "/job"),
    ]


async def test_what_is_said_next_reads_what_was_attached_before(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        file = Attachment(name="a.py", text="x = 1\n", language="python", first_line=4)
        await talk.say("/echo one", attachments=[file])
        answer = await talk.say("/job")
    first = read_by_model(answer.text).messages[0]
    assert first.content == "a.py, line 4:\n```python\nx = 1\n```\n\n/echo one"


async def test_a_long_conversation_loses_its_oldest_turns_and_that_is_told(paths: Paths) -> None:
    config = msgspec.structs.replace(configured(), chat=ChatOptions(history_chars=64))
    async with serving(paths, config), on_socket(paths) as client:
        talk = await begun(client)
        assert (await talk.say("/echo " + "x" * 40)).notices == []
        answer = await talk.say("/job")
    assert [turn.content for turn in read_by_model(answer.text).messages] == ["/job"]
    (notice,) = answer.notices
    assert "the oldest 2 of 3 turns were cut" in notice


async def test_what_the_model_does_not_hold_is_cut_until_it_does(paths: Paths) -> None:
    """The scripted model holds 200 characters: `/holds 200`."""
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        for _ in range(3):
            await talk.say("/echo " + "x" * 60)
        answer = await talk.say("/holds 200\n/echo fits")
        assert (answer.text, answer.state) == ("fits", "done")
        (notice,) = answer.notices
        assert notice.endswith("turns were cut: the model holds no more")
        answer = await talk.say("/holds 5\n/echo never")
    assert (answer.state, answer.reason) == ("failed", "too_large")
    assert answer.message == "it holds 5 characters"


async def test_a_failed_answer_keeps_its_blocks_and_is_not_read_where_it_has_none(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        half = await talk.say("/echo half\n/fail no luck")
        none = await talk.say("/fail again")
        answer = await talk.say("/job")
    assert (half.text, half.state, half.reason, half.message) == (
        *("half", "failed"),
        *("model_failed", "no luck"),
    )
    assert (none.text, none.state) == ("", "failed")
    contents = [turn.content for turn in read_by_model(answer.text).messages]
    assert contents == ["/echo half\n/fail no luck", "half", "/job"]


async def test_nano_says_once_in_a_conversation_that_it_is_a_code_model(paths: Paths) -> None:
    config = configured("nano")
    async with serving(paths, config), on_socket(paths) as client:
        talk = await begun(client)
        first, second = await talk.say("/echo one"), await talk.say("/echo two")
    assert (first.text, second.text) == ("one", "two")
    (notice,) = first.notices
    assert "code model" in notice
    assert "google/diffusiongemma-26B-A4B-it" in notice
    assert second.notices == []


async def test_the_same_once_is_taken_once(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        for _ in range(3):
            taken, done = await talk.ask(SendTurn, text="/echo one", once="a")
            assert taken == Taken(id=taken.id, conversation=talk.key, question=1, answer=2)
            assert end([done]) == "kept"
            await talk.until_answered()
        assert talk.copy.texts == ["/echo one", "one"]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("", "invalid_request", "the message is empty"),
        (" \n\t", "invalid_request", "the message is empty"),
        ("\x7fELF\x00", "invalid_request", r"no text: character 1 is U\+007F"),
        ("é" * 750_001, "too_large", "has 1500002 bytes: the limit is 1500000"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_a_line_and_nothing_is_kept(
    paths: Paths, text: str, code: str, told: str
) -> None:
    async with serving(paths), on_loopback(paths) as client:
        talk = await begun(client)
        (refusal,) = await talk.ask(SendTurn, text=text)
        assert isinstance(refusal, Failed)
        assert refusal.code == code
        assert re.search(told, refusal.message)
        assert "\n" not in refusal.message
        assert (await listed(client)).conversations[0].turns == 0


async def test_a_message_of_a_megabyte_is_kept_and_read(paths: Paths) -> None:
    text = "/echo " + "שלום 🦊 " * 75_000
    async with serving(paths), on_loopback(paths) as client:
        talk = await begun(client)
        answer = await talk.say(text)
        again = Conversing(client, talk.key)
        await again.ask(WatchConversation, follow=False)
        (question, *_) = [m for m in again.answers["1"] if isinstance(m, TurnTold)]
    assert len(text.encode()) > 1_000_000
    assert question.turn.text == text
    assert answer.text == text.removeprefix("/echo ")


# Other answers, other questions, branches


async def test_another_answer_stands_beside_the_first_and_has_a_seed_of_its_own(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        first = await talk.say("/job")
        await talk.ask(Regenerate)
        second = await talk.until_answered()
        await talk.ask(Regenerate, turn=first.turn)
        third = await talk.until_answered()
    seeds = [read_by_model(answer.text).sampling.seed for answer in (first, second, third)]
    assert seeds == [None, 1, 2]
    assert third.siblings == [2, 3, 4]
    assert [turn.turn for turn in talk.copy.path] == [1, 4]


async def test_a_question_put_differently_stands_beside_the_first(paths: Paths) -> None:
    file = Attachment(name="a.py", text="x")
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one", attachments=[file])
        await talk.say("/echo two")
        await talk.ask(EditTurn, turn=1, text="/job")
        answer = await talk.until_answered()
        assert talk.copy.turns[5].attachments == [file]
        assert [turn.turn for turn in talk.copy.path] == [5, 6]
        read = read_by_model(answer.text[answer.text.index("{") :])
        assert [turn.role for turn in read.messages] == ["user"]
        assert talk.copy.turns[5].siblings == [1, 5]

        await talk.ask(ChooseTurn, turn=1)
        assert talk.copy.texts[2:] == ["/echo two", "two"]
        await talk.ask(ChooseTurn, turn=6)
        assert [turn.turn for turn in talk.copy.path] == [5, 6]


async def test_a_client_that_lacks_a_path_is_told_it_when_it_is_chosen(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as one, on_socket(paths) as other:
        talk = await begun(one)
        await talk.say("/echo one")
        await talk.say("/echo two")
        await talk.ask(EditTurn, turn=1, text="/echo three")
        await talk.until_answered()
        late = Conversing(other, talk.key)
        await late.watch()
        assert sorted(late.copy.turns) == [5, 6]
        await talk.ask(ChooseTurn, turn=4)
        while late.copy.last < 6 or 4 not in late.copy.turns:
            await late.receive()
        assert late.copy.texts == ["/echo one", "one", "/echo two", "two"]


async def test_a_branch_is_a_conversation_of_its_own(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client, title="Numbers", system="Count.")
        await talk.say("/echo one")
        await talk.say("/echo two")
        about, _ = await talk.ask(BranchConversation, turn=2)
        assert isinstance(about, About)
        branch = Conversing(client, about.conversation.conversation)
        await talk.client.send(Cancel(id="watch"))
        await talk.client.until_end("watch")
        await branch.watch()
        await branch.say("/echo three")
        assert branch.copy.texts == ["/echo one", "one", "/echo three", "three"]
        assert (about.conversation.title, about.conversation.system) == ("Numbers", "Count.")
        found = await listed(client)
    assert [(each.turns, each.conversation) for each in found.conversations] == [
        (4, branch.key),
        (4, talk.key),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (Regenerate, {}, "there is no answer yet"),
        (Regenerate, {"turn": 1}, "no turn 1"),
        (EditTurn, {"turn": 7, "text": "x"}, "no turn 7"),
        (ChooseTurn, {"turn": 7}, "no turn 7"),
        (ReadTurns, {"turn": 7}, "no turn 7"),
        (BranchConversation, {"turn": 7}, "no turn 7"),
        (NewConversation, {"system": "\0"}, "the system prompt is no text"),
        (ChangeConversation, {"system": "x" * 100_001}, "the limit is 100000"),
    ],
)
async def test_what_is_not_there_is_told_with_its_number(
    paths: Paths, kind: type[ChatRequest], values: dict[str, Any], told: str
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        if kind is NewConversation:
            refusal = (await client.ask(NewConversation(id="x", **values)))[-1]
        else:
            refusal = (await talk.ask(kind, **values))[-1]
    assert isinstance(refusal, Failed)
    assert told in refusal.message


async def test_questions_are_edited_and_answers_made_anew_not_the_other_way_round(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one")
        (edited,) = await talk.ask(EditTurn, turn=2, text="x")
        (anew,) = await talk.ask(Regenerate, turn=1)
    assert end([edited]) == end([anew]) == "invalid_request"


MEANT: list[tuple[type[ChatRequest], dict[str, Any]]] = [
    (WatchConversation, {}),
    (ReadTurns, {"turn": 1}),
    (ChangeConversation, {"title": "x"}),
    (DeleteConversation, {}),
    (BranchConversation, {"turn": 1}),
    (ExportConversation, {}),
    (SendTurn, {"text": "x"}),
    (EditTurn, {"turn": 1, "text": "x"}),
    (Regenerate, {}),
    (ChooseTurn, {"turn": 1}),
]


@pytest.mark.parametrize(("kind", "values"), MEANT)
async def test_a_conversation_that_is_not_there_is_told_by_name(
    paths: Paths, kind: type[ChatRequest], values: dict[str, Any]
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = Conversing(client, "gone")
        (refusal,) = await talk.ask(kind, **values)
    assert end([refusal]) == "not_found"
    assert isinstance(refusal, Failed)
    assert "'gone'" in refusal.message


# The list, titles, system prompts, export, deletion


async def test_the_list_is_told_in_parts_those_changed_last_first(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        for title in "abc":
            await client.ask(NewConversation(id="new", title=title))
        first, second = await listed(client, limit=2), await listed(client, skip=2, limit=2)
    assert [each.title for each in first.conversations] == ["c", "b"]
    assert [each.title for each in second.conversations] == ["a"]
    assert (first.more, second.more) == (True, False)


async def test_a_conversation_is_named_by_its_first_question_unless_it_has_a_name(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one\n# more")
        assert talk.copy.about is not None
        assert talk.copy.about.title == "/echo one"
        about, _ = await talk.ask(ChangeConversation, title=" Ones\n and twos ")
        assert isinstance(about, About)
        assert about.conversation == talk.copy.about
        await talk.say("/echo two")
    assert talk.copy.about.title == "Ones and twos"


async def test_a_system_prompt_holds_from_the_next_answer_on(paths: Paths) -> None:
    config = msgspec.structs.replace(configured(), chat=ChatOptions(system="Configured."))
    async with serving(paths, config), on_socket(paths) as client:
        talk = await begun(client)
        heads = []
        for system in (None, "Be brief.", ""):
            await talk.ask(ChangeConversation, system=system)
            heads.append(read_by_model((await talk.say("/job")).text).messages[0].content)
    assert heads == ["Configured.", "Be brief.", "Configured."]


async def test_a_conversation_is_exported_whole(paths: Paths) -> None:
    async with serving(paths), on_loopback(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one")
        await talk.ask(Regenerate)
        await talk.until_answered()
        *pieces, done = await talk.ask(ExportConversation, format="json")
        text = "".join(piece.text for piece in pieces if isinstance(piece, Exported))
        markdown, _ = await talk.ask(ExportConversation)
    assert end([done]) == "reported"
    tree = msgspec.json.decode(text)
    assert [turn["text"] for turn in tree["turns"]] == ["/echo one", "one", "one"]
    assert isinstance(markdown, Exported)
    assert markdown.text == "# /echo one\n\n## You\n\n/echo one\n\n## fake\n\none\n"


async def test_what_is_too_long_to_export_at_once_is_refused(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "EXPORT_BYTES", 20)
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one")
        (refusal,) = await talk.ask(ExportConversation)
    assert isinstance(refusal, Failed)
    assert "read_turns" in refusal.message


async def test_a_conversation_that_is_deleted_stops_its_answer_and_ends_every_watch(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as one, on_loopback(paths) as other:
        talk = await begun(one)
        late = Conversing(other, talk.key)
        await late.watch()
        await talk.ask(SendTurn, text="/hang")
        assert end(await talk.ask(DeleteConversation)) == "kept"
        assert talk.answers["watch"][-1] == Done(id="watch", reason="deleted")
        while not late.ended("watch"):
            await late.receive()
        assert (await listed(one)).conversations == []
        await one.report_when(lambda report: report.running == 0)


# Several at once


async def test_two_clients_watch_one_conversation_and_both_are_told_all(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as one, on_loopback(paths) as other:
        talk = await begun(one)
        late = Conversing(other, talk.key)
        await late.watch(drafts=False)
        await talk.say("/drafts 3\n/echo one")
        await late.receive()
        assert await late.until_answered() == talk.copy.path[-1]
        await late.say("/echo two")
        while talk.copy.last < 4:
            await talk.receive()
        await talk.until_answered()
    assert talk.copy == late.copy
    assert not any(isinstance(message, wire.Draft) for message in late.answers["watch"])


async def test_several_conversations_are_answered_at_once_without_mixing(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as one, on_loopback(paths) as other:
        talks = [await begun(one), await begun(other)]
        await talks[0].ask(SendTurn, text="/echo a\n/hang")
        assert (await talks[1].say("/echo b")).text == "b"
        await talks[0].ask(StopAnswer)
        await talks[0].until_answered()
    assert [talk.copy.texts for talk in talks] == [["/echo a\n/hang", "a"], ["/echo b", "b"]]


WHILE_WRITING: list[tuple[type[ChatRequest], dict[str, Any]]] = [
    (SendTurn, {"text": "x"}),
    (EditTurn, {"turn": 1, "text": "x"}),
    (Regenerate, {}),
    (ChooseTurn, {"turn": 1}),
    (BranchConversation, {"turn": 1}),
]


@pytest.mark.parametrize(("kind", "values"), WHILE_WRITING)
async def test_one_answer_is_written_at_a_time(
    paths: Paths, kind: type[ChatRequest], values: dict[str, Any]
) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.ask(SendTurn, text="/hang")
        (refusal,) = await talk.ask(kind, **values)
        assert end([refusal]) == "busy"
        await talk.ask(StopAnswer)


# Stopping, resuming


async def test_a_stopped_answer_keeps_its_blocks_and_frees_the_model(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.ask(SendTurn, text="/echo half\n/drafts 1\n/hang")
        while not isinstance(await talk.receive(), Block):
            pass
        assert end(await talk.ask(StopAnswer)) == "kept"
        answer = talk.copy.path[-1]
        assert (answer.text, answer.state) == ("half", "stopped")
        await client.report_when(lambda report: report.running == 0)
        assert end(await talk.ask(StopAnswer)) == "kept"  # nothing to stop is no error


async def test_whoever_lost_the_connection_gets_the_rest_of_the_answer_once(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as helper:
        async with on_loopback(paths) as client:
            talk = await begun(client)
            await talk.ask(SendTurn, text="/echo a\n/echo b\n/drafts 1\n/hang")
            while talk.copy.turns.get(2) is None or talk.copy.turns[2].blocks < 1:
                await talk.receive()
        async with on_loopback(paths) as client:
            back = Conversing(client, talk.key, talk.copy)
            await back.watch()
            while back.copy.turns[2].blocks < 2:
                await back.receive()
            while back.copy.draft is None:  # what is provisional is told again
                await back.receive()
            await helper.ask(wire.Generate(id="free", prompt="/free"))
            answer = await back.until_answered()
    assert (answer.text, answer.state) == ("ab", "done")
    assert back.copy.repeated == []


async def test_whoever_comes_after_the_end_is_told_the_end(paths: Paths) -> None:
    async with serving(paths):
        async with on_loopback(paths) as client:
            talk = await begun(client)
            await talk.ask(SendTurn, text="/hang")
        async with on_loopback(paths) as client:
            await Conversing(client, talk.key).ask(StopAnswer)
            back = Conversing(client, talk.key, talk.copy)
            await back.watch()
        assert back.copy.path[-1].state == "stopped"


async def test_after_a_restart_a_conversation_goes_on(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.say("/echo one")
        await talk.ask(SendTurn, text="/echo half\n/hang")
        while not isinstance(await talk.receive(), Block):
            pass
    async with serving(paths), on_socket(paths) as client:
        back = Conversing(client, talk.key, talk.copy)
        await back.watch()
        cut = back.copy.path[-1]
        assert (cut.text, cut.state, cut.reason) == ("half", "interrupted", "stopping")
        await back.ask(Regenerate)
        await back.ask(StopAnswer)
        await back.say("/echo two")
        assert back.copy.texts[:2] == ["/echo one", "one"]
        assert back.copy.texts[-1] == "two"


async def test_the_daemon_that_goes_down_ends_every_watch(paths: Paths) -> None:
    async with serving(paths) as daemon, on_socket(paths) as client:
        talk = await begun(client)
        await talk.ask(SendTurn, text="/hang")
        daemon.stop("the test says so")
        daemon.conversations.finish()
        while not talk.ended("watch"):
            await talk.receive()
        assert talk.copy.path[-1].state == "interrupted"
        assert end(talk.answers["watch"]) == "stopping"
        (refusal,) = await talk.ask(SendTurn, text="/echo late")
        assert end([refusal]) == "stopping"


async def test_a_watch_ends_when_it_is_taken_back_and_its_id_is_free_again(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        busy = (await client.ask(WatchConversation(id="x", conversation=talk.key, follow=False)))[
            -1
        ]
        assert end([busy]) == "reported"
        await client.send(WatchConversation(id="watch", conversation=talk.key))
        refusal = await client.receive()
        assert refusal.id == ""  # the id is in flight
        await client.send(Cancel(id="watch"))
        assert end((await client.until_end("watch"))["watch"]) == "cancelled"
        await talk.watch()


async def test_the_turns_before_those_that_were_told_are_read_by_number(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        for _ in range(3):
            await talk.say("/echo x")
        few = Conversing(client, talk.key)
        await client.send(Cancel(id="watch"))
        await client.until_end("watch")
        await few.watch(limit=2)
        assert sorted(few.copy.turns) == [5, 6]
        answers = await few.ask(ReadTurns, turn=4, limit=3)
    assert [told.turn.turn for told in answers if isinstance(told, TurnTold)] == [2, 3, 4]
