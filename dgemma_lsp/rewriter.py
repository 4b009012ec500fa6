"""One rewriting through the daemon: a plan's requests, several at a time -> what came of each.

It knows no editor and no file, and starts nothing: whoever calls has a link.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

from msgspec.structs import replace

from dgemma_lsp import client, wire
from dgemma_lsp.errors import UserError
from dgemma_lsp.mending import mend
from dgemma_lsp.modes import Written, is_told, refusal
from dgemma_lsp.writing import Hole, Way

# So many requests of one rewriting are under way at a time; others want the model too.
AT_ONCE = 3

_numbers = count(1)

Hear = Callable[[int, int], None]


def _nobody(done: int, of: int) -> None:
    """Hear nothing of how far it is."""


async def write(
    link: client.Link,
    way: Way,
    *,
    variants: int,
    sampling: wire.Sampling,
    hear: Hear = _nobody,
) -> list[Written]:
    """Return the different variants of what is wanted; `hear` is told how many parts are done.

    Each variant has a seed of its own, and the same seed gives the same text. Raises UserError for
    a model that cannot do it, and what the daemon says.
    """
    if said := refusal(way.task.mode, link.welcome.model):
        raise UserError(said)
    if way.task.mode == "grammar" and not is_told(link.welcome.model):
        return [await mend(link, way.task, hear, AT_ONCE)]
    if isinstance(way, Hole):
        return _different(await _fill(link, way, variants, sampling))
    seed = sampling.seed or 0
    jobs = [way.jobs(replace(sampling, seed=seed + variant)) for variant in range(variants)]
    parts = sum(
        len(job.parts) if isinstance(job, wire.Rewrite) else 1 for one in jobs for job in one
    )
    places = asyncio.Semaphore(AT_ONCE)
    done = count(1)

    async def ask(job: wire.Job) -> list[str]:
        async with places:
            return await _blocks(link, job, lambda: hear(next(done), parts))

    # Where one fails the others are taken back.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [[group.create_task(ask(job)) for job in one] for one in jobs]
    except* Exception as failed:
        raise failed.exceptions[0] from None
    return _different([way.written([task.result() for task in one]) for one in tasks])


async def _fill(
    link: client.Link, way: Hole, variants: int, sampling: wire.Sampling
) -> list[Written]:
    (job,) = way.jobs(sampling)
    answer = await client.complete(link, replace(job, id=_id(), candidates=variants))
    return [way.written([[text]]) for text in answer.texts]


async def _blocks(link: client.Link, job: wire.Job, told: Callable[[], None]) -> list[str]:
    """Return the blocks of one request, in their order."""
    blocks: dict[int, str] = {}

    def hear(said: wire.Draft | wire.Block) -> None:
        if isinstance(said, wire.Block):
            blocks[said.block] = said.text
            told()

    await client.complete(link, replace(job, id=_id()), hear)
    return [blocks[number] for number in sorted(blocks)]


def _id() -> str:
    return f"write-{next(_numbers)}"


def _different(variants: Sequence[Written]) -> list[Written]:
    """Return each variant once, those that change or say something first."""
    once = list(dict.fromkeys(variants))
    return sorted(once, key=lambda one: not (one.edits or one.told))
