"""One rewriting through the daemon: a plan's requests, several at a time -> what came of each.

It knows no editor and no file, and starts nothing: whoever calls has a link.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import accumulate, count

from msgspec import Struct
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


class Drafted(Struct, frozen=True, tag="draft"):
    """What a part of a variant says after one more step; until it is `final` it may change.

    `part` is one of `writing.parts`; of a text without, a block of the answer. The first `settled`
    characters have stopped changing.
    """

    variant: int
    part: int
    step: int
    text: str
    settled: int
    final: bool


See = Callable[[Drafted], None]


def _nobody(done: int, of: int) -> None:
    """Hear nothing of how far it is."""


async def write(
    link: client.Link,
    way: Way,
    *,
    variants: int,
    sampling: wire.Sampling,
    hear: Hear = _nobody,
    see: See | None = None,
) -> list[Written]:
    """Return the different variants of what is wanted; `hear` is told how many parts are done.

    `see` is shown what is being written; in the end the variants may stand in another order. Each
    has a seed of its own, and the same seed gives the same text. Raises UserError for a model that
    cannot do it, and what the daemon says.
    """
    if said := refusal(way.task.mode, link.welcome.model):
        raise UserError(said)
    if way.task.mode == "grammar" and not is_told(link.welcome.model):
        return [await mend(link, way.task, hear, AT_ONCE)]
    if isinstance(way, Hole):
        return _different(await _fill(link, way, variants, sampling, see))
    seed = sampling.seed or 0
    jobs = [way.jobs(replace(sampling, seed=seed + variant)) for variant in range(variants)]
    total = sum(_size(job) for one in jobs for job in one)
    places = asyncio.Semaphore(AT_ONCE)
    done = count(1)

    async def ask(variant: int, first: int, job: wire.Job) -> list[str]:
        def heard(said: wire.Draft | wire.Block) -> None:
            if isinstance(said, wire.Block):
                hear(next(done), total)
            if see is not None and not _is_kept(job, said.block):
                see(_drafted(variant, first, job, said))

        async with places:
            return await _blocks(link, replace(job, drafts=see is not None), heard)

    # Where one fails the others are taken back.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                [
                    group.create_task(ask(variant, first, job))
                    for first, job in zip(_firsts(one), one, strict=True)
                ]
                for variant, one in enumerate(jobs)
            ]
    except* Exception as failed:
        raise failed.exceptions[0] from None
    return _different([way.written([task.result() for task in one]) for one in tasks])


def _size(job: wire.Job) -> int:
    return len(job.parts) if isinstance(job, wire.Rewrite) else 1


def _is_kept(job: wire.Job, part: int) -> bool:
    return isinstance(job, wire.Rewrite) and job.parts[part].kept


def _firsts(jobs: Sequence[wire.Job]) -> list[int]:
    """Return the number of each job's first part among those of all."""
    return list(accumulate(map(_size, jobs[:-1]), initial=0))


def _drafted(variant: int, first: int, job: wire.Job, said: wire.Draft | wire.Block) -> Drafted:
    """Return what is seen of a draft or a block, with the blanks that will stand before it."""
    text, final = said.text, isinstance(said, wire.Block)
    settled = len(text) if isinstance(said, wire.Block) else said.stable
    if isinstance(job, wire.Rewrite):
        old = job.parts[said.block].text
        lead = old[: len(old) - len(old.lstrip())]
        settled = max(0, settled - (len(text) - len(text.lstrip()))) + len(lead)
        text = lead + text.lstrip()
    step = said.steps if isinstance(said, wire.Block) else said.step
    return Drafted(variant, first + said.block, step, text, settled, final)


async def _fill(
    link: client.Link, way: Hole, variants: int, sampling: wire.Sampling, see: See | None
) -> list[Written]:
    (job,) = way.jobs(sampling)

    def heard(said: wire.Draft | wire.Block) -> None:
        # The answers come in another order: what is final is told with them.
        if see is not None and isinstance(said, wire.Draft):
            see(_drafted(said.candidate, 0, job, said))

    wanted = replace(job, id=_id(), candidates=variants, drafts=see is not None)
    answer = await client.complete(link, wanted, heard)
    return [way.written([[text]]) for text in answer.texts]


async def _blocks(
    link: client.Link, job: wire.Job, heard: Callable[[wire.Draft | wire.Block], None]
) -> list[str]:
    """Return the blocks of one request, in their order."""
    blocks: dict[int, str] = {}

    def hear(said: wire.Draft | wire.Block) -> None:
        if isinstance(said, wire.Block):
            blocks[said.block] = said.text
        heard(said)

    await client.complete(link, replace(job, id=_id()), hear)
    return [blocks[number] for number in sorted(blocks)]


def _id() -> str:
    return f"write-{next(_numbers)}"


def _different(variants: Sequence[Written]) -> list[Written]:
    """Return each variant once, those that change or say something first."""
    once = list(dict.fromkeys(variants))
    return sorted(once, key=lambda one: not (one.edits or one.told))
