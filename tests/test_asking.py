import asyncio

import pytest
from live_daemon import complete, generate, idle, on_socket, paths, serving

from dgemma_lsp.asking import asking
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import InvalidRequest, ModelFailed
from dgemma_lsp.wire import Block, Chat, Done, Turn

__all__ = ["paths"]


async def test_several_jobs_are_asked_at_once_and_each_comes_to_its_end(paths: Paths) -> None:
    async with serving(paths) as daemon:
        jobs = [generate("a", "/echo one"), complete("b", "/echo two")]
        async with asking(daemon.dispatcher, jobs) as answers:
            said = [message async for message in answers]
        assert {(m.id, m.text) for m in said if isinstance(m, Block)} == {
            ("a", "one"),
            ("b", "two"),
        }
        assert sorted(m.id for m in said if isinstance(m, Done)) == ["a", "b"]


async def test_the_first_that_fails_takes_the_others_with_it(paths: Paths) -> None:
    async with serving(paths) as daemon, on_socket(paths) as other:
        with pytest.raises(ModelFailed, match="a reason"):
            async with asking(
                daemon.dispatcher, [generate("a", "/hang"), generate("b", "/fail a reason")]
            ) as answers:
                async for _ in answers:
                    pass
        await idle(other)


async def test_a_job_that_is_none_takes_those_before_it_with_it(paths: Paths) -> None:
    wrong = Chat(id="b", messages=[Turn(role="user", content=" ")])
    async with serving(paths) as daemon, on_socket(paths) as other:
        with pytest.raises(InvalidRequest, match="content is empty"):
            async with asking(daemon.dispatcher, [generate("a", "/hang"), wrong]):
                pass
        await idle(other)


async def test_who_leaves_takes_back_what_has_not_ended(paths: Paths) -> None:
    async with serving(paths) as daemon, on_socket(paths) as other:
        async with asking(daemon.dispatcher, [generate("a", "/echo one\n/hang")]) as answers:
            async for message in answers:
                assert isinstance(message, Block)
                break
        await idle(other)


async def test_who_is_cancelled_while_waiting_takes_it_back(paths: Paths) -> None:
    async with serving(paths) as daemon, on_socket(paths) as other:

        async def wait() -> None:
            async with asking(daemon.dispatcher, [generate("a", "/hang")]) as answers:
                async for _ in answers:
                    pass

        waiting = asyncio.create_task(wait())
        await other.report_when(lambda report: report.running == 1)
        waiting.cancel()
        await idle(other)
