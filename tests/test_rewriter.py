import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from live_daemon import paths
from scripted_daemon import Script, ScriptedDaemon
from scripted_rewrites import in_capitals

from dgemma_lsp import client, rewriter, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import ModelFailed, UserError
from dgemma_lsp.in_place import CHARS
from dgemma_lsp.modes import Task
from dgemma_lsp.writing import Way, parts, plan

__all__ = ["paths"]


@asynccontextmanager
async def linked(
    paths: Paths, script: Script = in_capitals, model: str = "scripted"
) -> AsyncIterator[tuple[client.Link, ScriptedDaemon]]:
    paths.runtime.mkdir(parents=True)
    daemon = ScriptedDaemon(paths.socket, script)
    daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model=model, state="ready")
    async with daemon:
        link = await client.connect(Config(), paths, start=False)
        try:
            yield link, daemon
        finally:
            await link.close()


def way(mode: str = "shorten", text: str = "some words", **fields: Any) -> Way:
    return plan(Task(mode=mode, text=text, start=0, end=len(text), language="markdown", **fields))


async def write(link: client.Link, wanted: Way, variants: int = 1, **options: Any) -> list[str]:
    sampling = wire.Sampling(seed=options.pop("seed", None))
    written = await rewriter.write(link, wanted, variants=variants, sampling=sampling, **options)
    return [one.applied(wanted.task.text) for one in written]


async def test_the_edits_of_a_variant_come_from_the_blocks_of_its_request(paths: Paths) -> None:
    async with linked(paths) as (link, _):
        assert await write(link, way(text="some `x` words")) == ["SOME `x` WORDS"]


async def test_all_requests_of_a_long_text_are_one_result(paths: Paths) -> None:
    text = "\n\n".join(["some words in a row"] * (CHARS // 8))
    async with linked(paths) as (link, daemon):
        assert await write(link, way(text=text)) == [text.upper()]
        assert len(await daemon.heard_of(wire.Rewrite, 3)) == 3


async def test_each_variant_has_the_seed_behind_the_one_before(paths: Paths) -> None:
    async def by_seed(message: wire.Request, send: Any) -> None:
        assert isinstance(message, wire.Rewrite)
        text = f"words of {message.sampling.seed}"
        await send(wire.Block(id=message.id, block=0, text=text))
        await send(wire.Block(id=message.id, block=1, text=""))
        await send(wire.Done(id=message.id, reason="settled"))

    async with linked(paths, by_seed) as (link, _):
        texts = await write(link, way(), 3, seed=8)
    assert texts == ["words of 8", "words of 9", "words of 10"]


async def test_variants_that_are_equal_are_one(paths: Paths) -> None:
    async with linked(paths) as (link, _):
        assert await write(link, way(), 4) == ["SOME WORDS"]


async def test_variants_of_a_hole_are_candidates_of_one_request(paths: Paths) -> None:
    async with linked(paths) as (link, daemon):
        texts = await write(link, way("continue", "x = "), 3)
        (job,) = await daemon.heard_of(wire.Complete)
    assert texts == ["x = text 0", "x = text 1", "x = text 2"]
    assert job.candidates == 3


async def test_what_is_being_written_is_seen_in_the_place_of_its_part(paths: Paths) -> None:
    async def in_steps(message: wire.Request, send: Any) -> None:
        assert isinstance(message, wire.Rewrite) and message.drafts
        id, (first, kept, last, end) = message.id, message.parts
        assert (first.text, kept.text, last.text, end.text) == ("a", " `b`", " c", "")
        await send(wire.Draft(id=id, block=0, step=1, text="A B", stable=1))
        await send(wire.Block(id=id, block=0, text="A", steps=2))
        await send(wire.Block(id=id, block=1, text=kept.text))
        await send(wire.Draft(id=id, block=2, step=2, text="  CD", stable=3))
        await send(wire.Block(id=id, block=2, text="C", steps=2))
        await send(wire.Block(id=id, block=3, text=""))
        await send(wire.Done(id=id, reason="settled"))

    seen: list[rewriter.Drafted] = []
    wanted = way(text="a `b` c")
    async with linked(paths, in_steps) as (link, _):
        await write(link, wanted, 2, see=seen.append)
    for variant in (0, 1):
        assert [one for one in seen if one.variant == variant] == [
            rewriter.Drafted(variant, 0, 1, "A B", 1, final=False),
            rewriter.Drafted(variant, 0, 2, "A", 1, final=True),
            rewriter.Drafted(variant, 2, 2, " CD", 2, final=False),
            rewriter.Drafted(variant, 2, 2, " C", 2, final=True),
        ]


async def test_the_parts_of_later_requests_come_behind_those_of_the_first(paths: Paths) -> None:
    text = "\n\n".join(["some words in a row"] * (CHARS // 8))
    seen: list[rewriter.Drafted] = []
    async with linked(paths) as (link, daemon):
        await write(link, way(text=text), see=seen.append)
        assert len(await daemon.heard_of(wire.Rewrite, 3)) == 3
    free = [number for number, part in enumerate(parts(way(text=text))) if not part.kept]
    assert len(free) == CHARS // 8
    assert sorted((one.part, one.text) for one in seen) == [
        (number, "SOME WORDS IN A ROW") for number in free
    ]


async def test_the_drafts_of_a_hole_are_those_of_its_candidates(paths: Paths) -> None:
    async def in_steps(message: wire.Request, send: Any) -> None:
        assert isinstance(message, wire.Complete) and message.drafts
        for number in range(message.candidates):
            draft = wire.Draft(
                id=message.id, block=0, step=1, text="tex", stable=2, candidate=number
            )
            await send(draft)
        await in_capitals(message, send)

    seen: list[rewriter.Drafted] = []
    async with linked(paths, in_steps) as (link, _):
        await write(link, way("continue", "x = "), 2, see=seen.append)
    assert seen == [rewriter.Drafted(n, 0, 1, "tex", 2, final=False) for n in (0, 1)]


async def test_it_is_told_how_many_parts_are_done(paths: Paths) -> None:
    heard: list[tuple[int, int]] = []
    async with linked(paths) as (link, _):
        await write(link, way(text="a `b` c"), hear=lambda done, of: heard.append((done, of)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_a_model_that_cannot_do_it_is_not_asked(paths: Paths) -> None:
    async with linked(paths, model="nano") as (link, daemon):
        with pytest.raises(UserError, match=r"set model\.name"):
            await write(link, way())
        assert not [m for m in daemon.heard if isinstance(m, wire.Rewrite)]


async def test_where_one_request_fails_the_others_are_taken_back(paths: Paths) -> None:
    waiting = asyncio.Event()

    async def first_fails(message: wire.Request, send: Any) -> None:
        assert isinstance(message, wire.Rewrite)
        if message.sampling.seed != 0:
            waiting.set()
            return
        await waiting.wait()
        await send(wire.Failed(id=message.id, code="model_failed", message="no memory"))

    async with linked(paths, first_fails) as (link, daemon):
        with pytest.raises(ModelFailed, match="no memory"):
            await write(link, way(), 2)
        assert len(await daemon.heard_of(wire.Cancel)) == 1


async def test_who_is_cancelled_takes_all_requests_back(paths: Paths) -> None:
    async def nothing(message: wire.Request, send: Any) -> None:
        """Answer nothing."""

    async with linked(paths, nothing) as (link, daemon):
        work = asyncio.create_task(write(link, way(), 3))
        await daemon.heard_of(wire.Rewrite, 3)
        work.cancel()
        assert len(await daemon.heard_of(wire.Cancel, 3)) == 3
