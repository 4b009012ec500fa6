"""kill -9 of the model process: what is in flight fails by name, and the next request succeeds."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from home import PATIENCE_S, Home
from language_client import PLACES, TEXT

from dgemma_lsp import wire
from dgemma_lsp.client import Link, complete, connect
from dgemma_lsp.errors import ModelCrashed

pytestmark = pytest.mark.e2e

# Next to nothing may be accepted in a step, so that a request is still far from its end when its
# first draft arrives.
SLOW = wire.Sampling(entropy_bound=1e-6, max_steps=1024, max_tokens=4096, seed=1)

LONG = {
    "completion": wire.Complete(
        id="long",
        document="box.py",
        version=1,
        prefix=TEXT[: PLACES[0]],
        suffix=TEXT[PLACES[0] :],
        drafts=True,
        sampling=SLOW,
    ),
    "chat": wire.Chat(
        id="long",
        messages=[wire.Turn(role="user", content="Tell a long story about a box.")],
        sampling=SLOW,
    ),
}


@pytest.fixture(scope="module")
def daemon(daemon_home: Home) -> Iterator[Home]:
    """The shipped `dgemma daemon`, in the foreground of a process of its own."""
    command = [daemon_home.command, "daemon"]
    with subprocess.Popen(command, env=daemon_home.env, cwd=daemon_home.folder) as process:
        try:
            yield daemon_home
            daemon_home.dgemma("stop")
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.fixture
async def link(daemon: Home) -> AsyncIterator[Link]:
    async with asyncio.timeout(PATIENCE_S):
        while not daemon.paths.socket.exists():
            await asyncio.sleep(0.02)
        link = await connect(daemon.config, daemon.paths, start=False)
    yield link
    await link.close()


async def report(link: Link) -> wire.Report:
    async with aclosing(link.request(wire.Status(id="status"))) as answers:
        async for answer in answers:
            if isinstance(answer, wire.Report):
                return answer
    raise AssertionError("no report before the end")


@pytest.mark.parametrize("kind", LONG)
async def test_kill_9_fails_what_is_in_flight_and_the_next_request_succeeds(
    link: Link, kind: str
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ModelCrashed):
            async with aclosing(link.request(LONG[kind])) as answers:
                draft = await anext(answers)
                assert isinstance(draft, wire.Draft)
                before = await report(link)
                assert before.running == 1
                os.kill(before.model_pid, signal.SIGKILL)
                async for answer in answers:
                    assert isinstance(answer, wire.Draft | wire.Block)

        next_one = wire.Complete(
            id="next",
            document="box.py",
            version=2,
            prefix=TEXT[: PLACES[1]],
            suffix="",
            trigger="invoked",
        )
        answer = await complete(link, next_one)
        assert len(answer.texts) == 1
        assert answer.timings.steps > 0

        after = await report(link)
        assert after.pid == before.pid, "the daemon outlives its model process"
        assert after.model_pid not in (0, before.model_pid)
        assert after.restarts == before.restarts + 1
