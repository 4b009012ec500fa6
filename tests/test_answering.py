"""What becomes of an answer that cannot be kept; the rest stands in test_conversations."""

import sqlite3

import pytest
from conversing import begun
from live_daemon import on_socket, paths, serving

from dgemma_lsp import answering
from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Block, Done
from dgemma_lsp.wire_chat import SendTurn, StopAnswer
from dgemma_lsp.wire_types import Timings

__all__ = ["paths"]


@pytest.mark.parametrize(
    ("timings", "per_second", "per_step"),
    [
        (Timings(tokens=30, steps=4, queue_ms=500, total_ms=2000), 20.0, 7.5),
        (Timings(tokens=0, steps=0, queue_ms=5, total_ms=5), 0.0, 0.0),
    ],
)
def test_rates_leave_out_the_time_in_the_queue(
    timings: Timings, per_second: float, per_step: float
) -> None:
    usage = answering.usage(timings)
    assert (usage.tokens_per_s, usage.tokens_per_step) == (per_second, per_step)


async def test_a_block_that_cannot_be_kept_is_not_told_and_ends_the_answer(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        db = sqlite3.connect(paths.conversations)
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON blocks WHEN NEW.block = 1 "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        db.close()
        await talk.ask(SendTurn, text="/echo a\n/echo b\n/hang")
        while not talk.copy.path or talk.copy.path[-1].state == "writing":
            await talk.receive()
        answer = talk.copy.path[-1]
        assert (answer.text, answer.state, answer.reason) == ("a", "failed", "storage_failed")
        assert "the disk is full" in answer.message
        await client.report_when(lambda report: report.running == 0)
        # The conversation goes on.
        assert (await talk.say("/echo c")).text == "c"


async def test_what_the_model_says_after_a_stop_is_not_kept(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        talk = await begun(client)
        await talk.ask(SendTurn, text="/echo a\n/hang")
        while not isinstance(await talk.receive(), Block):
            pass
        stopped = await talk.ask(StopAnswer)
        assert isinstance(stopped[-1], Done)
        assert talk.copy.path[-1].text == "a"
        assert (await talk.say("/echo b")).text == "b"
        assert talk.copy.texts == ["/echo a\n/hang", "a", "/echo b", "b"]
