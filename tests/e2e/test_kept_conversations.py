"""Kept conversations with the shipped commands and the built-in model: a kill, and a terminal."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from home import PATIENCE_S, Home
from long_talk import talked_long

from dgemma_lsp import wire
from dgemma_lsp.chat_store import ConversationStore
from dgemma_lsp.client import Link, connect
from dgemma_lsp.errors import DaemonUnavailable
from dgemma_lsp.wire_chat import (
    About,
    CaughtUp,
    ChatRequest,
    Conversations,
    ExportConversation,
    KeptTurn,
    ListConversations,
    NewConversation,
    ReadTurns,
    SendTurn,
    TurnEnded,
    TurnTold,
    WatchConversation,
)

pytestmark = pytest.mark.e2e

# Short blocks, many of them.
SAMPLING = wire.Sampling(canvas_length=16, max_tokens=512, max_steps=4)


@asynccontextmanager
async def daemon(home: Home) -> AsyncIterator[tuple[int, Link]]:
    """`dgemma daemon` in a process that is gone afterwards: its id, and a link to it."""
    command = [home.command, "daemon"]
    with subprocess.Popen(
        command, env=home.env, cwd=home.folder, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while True:
                try:
                    link = await connect(home.config, home.paths, start=False)
                    break
                except DaemonUnavailable:
                    await asyncio.sleep(0.02)
            yield process.pid, link
            await link.close()
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


async def asked(link: Link, request: ChatRequest) -> list[object]:
    async with aclosing(link.request(request)) as answers:
        return [answer async for answer in answers]


async def kept(link: Link, key: str) -> dict[int, KeptTurn]:
    request = WatchConversation(id="read", conversation=key, follow=False)
    return {
        told.turn.turn: told.turn
        for told in await asked(link, request)
        if isinstance(told, TurnTold)
    }


async def told_until_killed(link: Link, key: str, blocks: int, pid: int) -> tuple[str, bool]:
    """Ask, kill the daemon after so many blocks or at the end; return what was told of the answer.

    That is its text, and whether it ended.
    """
    text, ended = "", False
    with pytest.raises(DaemonUnavailable):
        watch = WatchConversation(id="watch", conversation=key)
        async with aclosing(link.request(watch)) as told:
            async for message in told:
                if isinstance(message, CaughtUp):
                    await asked(
                        link,
                        SendTurn(id="say", conversation=key, text="def f(x):", sampling=SAMPLING),
                    )
                ended |= isinstance(message, TurnEnded)
                if isinstance(message, wire.Block):
                    text += message.text
                    blocks -= 1
                if blocks == 0 or ended:
                    os.kill(pid, signal.SIGKILL)
    return text, ended


async def test_kill_9_of_the_daemon_loses_nothing_that_was_told(daemon_home: Home) -> None:
    key = ""
    async with asyncio.timeout(PATIENCE_S):
        for blocks in (1, 3, 6):
            async with daemon(daemon_home) as (pid, link):
                if not key:
                    about = (await asked(link, NewConversation(id="new")))[0]
                    assert isinstance(about, About)
                    key = about.conversation.conversation
                text, ended = await told_until_killed(link, key, blocks, pid)
            async with daemon(daemon_home) as (_, link):
                turns = await kept(link, key)
            answer = turns[max(turns)]
            assert answer.text.startswith(text)
            assert answer.state in (("done",) if ended else ("done", "interrupted"))


async def test_after_ten_thousand_turns_one_is_asked_answered_and_read(daemon_home: Home) -> None:
    daemon_home.paths.state.mkdir(parents=True, exist_ok=True)
    store = ConversationStore(daemon_home.paths.conversations)
    key = talked_long(store, 10_000)
    store.close()
    async with asyncio.timeout(PATIENCE_S), daemon(daemon_home) as (_, link):
        last = await kept(link, key)
        assert list(last) == list(range(9_801, 10_001))
        older = await asked(link, ReadTurns(id="older", conversation=key, turn=9_800, limit=300))
        texts = [told.turn.text for told in older if isinstance(told, TurnTold)]
        assert texts == [f"text {number}" for number in range(9_500, 9_800)]
        answer = await told_of_answer(link, key)
        assert (answer.turn, answer.state) == (10_002, "done")
        assert answer.notices
        exported = await asked(link, ExportConversation(id="export", conversation=key))
        assert "text 0" in str(exported)
        assert "text 9999" in str(exported)


async def told_of_answer(link: Link, key: str) -> TurnEnded:
    """Say something and return how the answer to it ended."""
    watch = WatchConversation(id="watch", conversation=key)
    async with aclosing(link.request(watch)) as told:
        async for message in told:
            if isinstance(message, CaughtUp):
                say = SendTurn(id="say", conversation=key, text="def f(x):", sampling=SAMPLING)
                await asked(link, say)
            if isinstance(message, TurnEnded):
                return message
    raise AssertionError("the answer has no end")


def test_the_command_goes_on_with_the_last_conversation(daemon_home: Home) -> None:
    first = daemon_home.dgemma("chat", "def f(x):")
    daemon_home.dgemma("stop")
    daemon_home.dgemma("chat", "--continue", "def g(x):")
    assert first.endswith("\n")

    async def read() -> dict[int, KeptTurn]:
        link = await connect(daemon_home.config, daemon_home.paths, start=False)
        found = (await asked(link, ListConversations(id="list")))[0]
        assert isinstance(found, Conversations)
        turns = await kept(link, found.conversations[0].conversation)
        await link.close()
        return turns

    turns = asyncio.run(read())
    assert [turns[number].text for number in (1, 3)] == ["def f(x):", "def g(x):"]
    assert turns[2].text + "\n" == first
