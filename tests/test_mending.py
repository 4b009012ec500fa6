"""Grammar mended by a model that takes no instructions."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from live_daemon import paths
from scripted_daemon import ScriptedDaemon

from dgemma_lsp import client, rewriter, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import ModelFailed
from dgemma_lsp.modes import Task
from dgemma_lsp.writing import plan

__all__ = ["paths"]

TEXT = "He went to the the market. We recieve letters every day.\n"
MENDED = "He went to the market. We receive letters every day.\n"


def log_prob(text: str) -> float:
    """How probable a text is to one who knows the words of MENDED, once in a row."""
    return -90.0 * (text.count("the the") + len(set(text.split()) - set(MENDED.split())))


async def knowing(message: wire.Request, send: Any) -> None:
    assert isinstance(message, wire.Score)
    await send(wire.Scores(id=message.id, log_probs=[log_prob(text) for text in message.texts]))
    await send(wire.Done(id=message.id, reason="settled"))


async def failing(message: wire.Request, send: Any) -> None:
    await send(wire.Failed(id=message.id, code=ModelFailed.code, message="out of luck"))


@pytest.fixture
async def linked(paths: Paths, request: pytest.FixtureRequest) -> AsyncIterator[client.Link]:
    paths.runtime.mkdir(parents=True)
    daemon = ScriptedDaemon(paths.socket, getattr(request, "param", knowing))
    daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="nano", state="ready")
    async with daemon:
        link = await client.connect(Config(), paths, start=False)
        try:
            yield link
        finally:
            await link.close()


async def mended(
    link: client.Link, text: str = TEXT, language: str = "markdown", **fields: Any
) -> str:
    span = {"start": 0, "end": len(text)} | fields
    way = plan(Task(mode="grammar", text=text, language=language, **span))
    told: list[tuple[int, int]] = []
    (one,) = await rewriter.write(
        link, way, variants=3, sampling=wire.Sampling(), hear=lambda *at: told.append(at)
    )
    assert told == [(number + 1, len(told)) for number in range(len(told))]
    return one.applied(text)


async def test_what_rules_propose_and_the_model_likes_is_put_right(linked: client.Link) -> None:
    assert await mended(linked) == MENDED


async def test_only_what_is_selected_is_mended(linked: client.Link) -> None:
    begin = TEXT.index("We")
    assert await mended(linked, start=begin) == TEXT.replace("recieve", "receive")
    assert await mended(linked, end=begin) == TEXT.replace("the the", "the")


async def test_what_must_stay_stays(linked: client.Link) -> None:
    assert await mended(linked, keep=("recieve",)) == TEXT.replace("the the", "the")
    assert await mended(linked, "He went to `the the` end.\n") == "He went to `the the` end.\n"


async def test_of_code_only_the_remarks_are_read(linked: client.Link) -> None:
    code = "# We recieve letters every day.\nx = 'the the'\n"
    right = "# We receive letters every day.\nx = 'the the'\n"
    assert await mended(linked, code, "python") == right


@pytest.mark.parametrize("linked", [failing], indirect=True)
async def test_what_the_daemon_says_is_raised(linked: client.Link) -> None:
    with pytest.raises(ModelFailed, match="out of luck"):
        await mended(linked)
