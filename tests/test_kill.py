"""kill -9 of the daemon in mid-conversation: whatever a client was told is there afterwards."""

import asyncio
import os
import random
import signal

from conversing import Conversing, Copy, begun
from killed_daemon import killable
from live_daemon import Client, on_loopback, paths
from websockets.exceptions import ConnectionClosed

from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Block
from dgemma_lsp.wire_chat import About, ChangeConversation, SendTurn, Taken, WatchConversation

__all__ = ["paths"]

KILLS = 100
BLOCKS = 12
MESSAGES = BLOCKS + 9  # of each round at least: the blocks, and what is told around them


async def test_all_that_was_told_is_there_after_each_of_100_kills(paths: Paths) -> None:
    dice = random.Random(6)
    blocks = interrupted = 0
    async with killable(paths) as start:
        pid = await start()
        async with on_loopback(paths) as client:
            talk = await begun(client)
            os.kill(pid, signal.SIGKILL)
        for kill in range(KILLS):
            pid = await start()
            async with asyncio.timeout(60), on_loopback(paths) as client:
                await holds_what_was_told(client, talk)
                talk = Conversing(client, talk.key, talk.copy)
                await talk.watch()
                interrupted += bool(kill) and talk.copy.path[-1].state == "interrupted"
                await client.send(
                    SendTurn(id="say", conversation=talk.key, text=question(kill)),
                    ChangeConversation(id="title", conversation=talk.key, title=f"{kill}"),
                )
                for _ in range(dice.randrange(MESSAGES)):
                    await talk.receive()
                os.kill(pid, signal.SIGKILL)
                await drain(talk)
            assert talk.copy.repeated == []
            blocks += sum(isinstance(message, Block) for message in talk.answers["watch"])
    assert blocks > KILLS, "hardly anything was told before the kills"
    assert interrupted > KILLS / 10, "hardly any answer was cut short"


def question(kill: int) -> str:
    return "\n".join(f"/echo {kill}.{block} 🦊" for block in range(BLOCKS))


async def holds_what_was_told(client: Client, told: Conversing) -> None:
    """Compare what a client was told before the kill with what is on disk."""
    fresh = Conversing(client, told.key)
    kept = Copy()
    for message in await fresh.ask(WatchConversation, follow=False, limit=1000):
        kept.take(message)
    for number, turn in told.copy.turns.items():
        assert kept.turns[number].text.startswith(turn.text)
        assert kept.turns[number].blocks >= turn.blocks
        if turn.state != "writing":
            assert kept.turns[number] == turn
    for message in told.answers.get("say", []):
        if isinstance(message, Taken):
            assert kept.turns[message.answer].parent == message.question
    match told.answers.get("title"):
        case [About(conversation=about), *_]:
            assert kept.about is not None
            assert kept.about.title == about.title


async def drain(talk: Conversing) -> None:
    """Take what the daemon had sent before it died."""
    try:
        while True:
            await talk.receive()
    except ConnectionClosed:
        pass
