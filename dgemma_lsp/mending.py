"""The mode `grammar` with a model that takes no instructions: the proofreader's findings as edits.

Rules propose what may be wrong and the model judges. A model that chats is asked to rewrite.
"""

import asyncio
from collections.abc import Callable
from itertools import count

from dgemma_lsp import client, wire
from dgemma_lsp.modes import Edit, Task, Written
from dgemma_lsp.proofreader import Doubt, Finding, Proofreader


async def mend(
    link: client.Link, task: Task, hear: Callable[[int, int], None], at_once: int
) -> Written:
    """Return what is to be mended in what is selected, with so many requests under way `at_once`.

    `hear` is told how many sentences are judged. Raises whatever the daemon raises.
    """

    async def score(message: wire.Score) -> list[float]:
        return await client.score(link, message)

    proofreader = Proofreader(score)
    every = await asyncio.to_thread(proofreader.doubts, task.text, task.language, [])
    doubts = [one for one in every if _touches(task, one)]
    unknown = proofreader.unknown(doubts, task.start)
    places, done = asyncio.Semaphore(at_once), count(1)

    async def ask(doubt: Doubt) -> None:
        async with places:
            await proofreader.ask(doubt)
        hear(next(done), len(unknown))

    try:
        async with asyncio.TaskGroup() as group:
            for doubt in unknown:
                group.create_task(ask(doubt))
    except* Exception as failed:
        raise failed.exceptions[0] from None
    found = sorted(proofreader.findings(doubts), key=lambda one: one.start)
    return Written(tuple(Edit(one.start, one.end, one.text) for one in found if _may(task, one)))


def _touches(task: Task, doubt: Doubt) -> bool:
    places = doubt.sentence.places
    return places[0] < task.end and places[-1] >= task.start


def _may(task: Task, one: Finding) -> bool:
    """Tell whether a finding lies within what is selected and in nothing that must stay."""
    if not task.start <= one.start <= one.end <= task.end:
        return False
    for text in filter(None, task.keep):
        near = task.text.find(text, max(0, one.start - len(text) + 1), one.end + len(text) - 1)
        if near >= 0:
            return False
    return True
