"""`dgemma batch`: many lines through the daemon at once, in bulk, until each has its end.

What a line says is for `batch_lines`, which one is next for `batch_queue`, what is kept for
`batch_files`. Here they are asked, over one connection after the other; argv is the command line's.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from dgemma_lsp import batch_files, batch_lines, client, control, linking, wire
from dgemma_lsp.batch_files import Header, Journal, Places
from dgemma_lsp.batch_lines import Asked, Failure, Result
from dgemma_lsp.batch_progress import Screen
from dgemma_lsp.batch_queue import Queue
from dgemma_lsp.errors import (
    Busy,
    DaemonStopping,
    DaemonUnavailable,
    DgemmaError,
    ModelCrashed,
    ModelFailed,
    ModelUnavailable,
    UserError,
)
from dgemma_lsp.settings import Settings

LOSSES = 3  # of the connection, in a row and without a result in between, before it is given up
RELOADS = 3  # of a model that died and dies again while it is loaded
TICK_S = 1.0
PAUSE_S = 0.5  # before the daemon is asked again what it can only answer later


class Batch:
    """A batch of lines: what they ask, and in `journal` what became of them."""

    def __init__(self, source: Path, out: Path, sampling: wire.Sampling, *, restart: bool) -> None:
        """Raise UserError where the input cannot be read or the output cannot lie there."""
        data, self._digest = batch_files.read(source)
        self._sampling = sampling
        self._restart = restart
        self._lines = batch_lines.read(data, sampling, run=secrets.token_hex(4))
        self.journal = Journal(Places(source, out), restart=restart)

    def __len__(self) -> int:
        return len(self._lines)

    async def run(self, settings: Settings, screen: Screen) -> None:
        """Ask what has no end yet, then write the output.

        Raises the error that keeps lines from being answered; what was answered is kept.
        """
        try:
            await self._ask_until_all_ended(settings, screen)
        except UserError:
            raise
        except DgemmaError as exc:
            raise type(exc)(f"{exc}; {self.how_to_go_on()}") from exc
        self.journal.finish()

    async def _ask_until_all_ended(self, settings: Settings, screen: Screen) -> None:
        """Ask over one connection after the other."""
        model, daemon = settings.config.model, settings.config.daemon
        room = min(model.rows, daemon.parallel + daemon.queue)
        losses = 0
        while True:
            async with linking.daemon_link(settings) as link:
                self._begin(link.welcome.model)
                before = len(self.journal)
                try:
                    if link.welcome.state != "ready":  # the time that this takes is not the lines'
                        async with linking.waiting(
                            f"{link.welcome.model}: loading the model"
                        ) as tell:
                            await _model_ready(link, tell)
                    with screen.shown(before):
                        return await _Asking(link, self._open(), self.journal, screen, room).run()
                except (DaemonUnavailable, DaemonStopping):
                    losses = 1 if len(self.journal) > before else losses + 1
                    if losses == LOSSES:
                        raise

    def told(self) -> str:
        """Return in one line what became of the batch."""
        out, errors = (str(path) for path in (self.journal.places.out, self.journal.places.errors))
        return batch_lines.told(self.journal.done, self.journal.failed, out, errors)

    def how_to_go_on(self) -> str:
        """Return what to tell who or what ended it early."""
        again = "the same command" + (" without --restart" if self._restart else "")
        return f"{len(self.journal)} of {len(self)} lines are done: run {again} to go on"

    def _begin(self, model: str) -> None:
        """Open the journal for this model's answers, and write down the lines that are bad."""
        self.journal.begin(Header(input=self._digest, model=model, sampling=self._sampling))
        for line in self._lines:
            if isinstance(line, Failure) and line.line not in self.journal:
                self.journal.add(line)

    def _open(self) -> dict[int, Asked]:
        return {
            line.line: line
            for line in self._lines
            if isinstance(line, Asked) and line.line not in self.journal
        }


class _Asking:
    """All that is asked over one connection."""

    def __init__(
        self,
        link: client.Link,
        lines: Mapping[int, Asked],
        journal: Journal,
        screen: Screen,
        room: int,
    ) -> None:
        self._link = link
        self._lines = lines
        self._journal = journal
        self._screen = screen
        self._queue = Queue(lines, room)
        self._flying: dict[asyncio.Task[client.Completion], Asked] = {}

    async def run(self) -> None:
        """Return when every line has its end; raises what ends the connection or all hope."""
        try:
            while self._queue.left:
                await self._fill()
                await self._drain()
                self._screen.tick()
        finally:
            for task in self._flying:
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)

    async def _fill(self) -> None:
        """Ask as many lines as may be in flight."""
        if self._queue.suspects and not self._flying:
            await _model_ready(self._link)
        while (number := self._queue.next()) is not None:
            asked = self._lines[number]
            self._flying[asyncio.create_task(client.complete(self._link, asked.request))] = asked

    async def _drain(self) -> None:
        """Wait for an answer, but no longer than a tick, and take what has come."""
        if not self._flying:  # others fill the daemon's queue
            await asyncio.sleep(PAUSE_S)
            self._queue.time_passed()
            return
        ended, _ = await asyncio.wait(
            self._flying, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED
        )
        # Answers first: an error may end all the rest.
        for task in sorted(ended, key=lambda task: task.exception() is not None):
            self._end(self._flying.pop(task), task)

    def _end(self, asked: Asked, task: asyncio.Task[client.Completion]) -> None:
        try:
            answer = task.result()
        except Busy:
            self._queue.busy(asked.line)
        except (DaemonUnavailable, DaemonStopping, ModelUnavailable):
            raise
        except (ModelCrashed, ModelFailed) as exc:
            if not self._queue.failed(asked.line):
                self._keep(batch_lines.failure(asked, exc))
        except DgemmaError as exc:
            self._queue.ended(asked.line)
            self._keep(batch_lines.failure(asked, exc))
        else:
            self._queue.ended(asked.line)
            self._keep(batch_lines.result(asked, answer))

    def _keep(self, record: Result | Failure) -> None:
        self._journal.add(record)
        self._screen.took(record.tokens if isinstance(record, Result) else 0)


async def _model_ready(link: client.Link, tell: Callable[[str], None] = lambda text: None) -> None:
    """Wait for a model that is being loaded, and tell how far it is.

    Raises ModelUnavailable where that does not end.
    """
    report = first = await control.ask_report(link)
    while report.state not in ("ready", "asleep"):
        if report.state == "failed" or report.restarts >= first.restarts + RELOADS:
            raise ModelUnavailable(f"the model cannot be loaded: {report.detail}")
        tell(f"{report.model}: {control.how_far(report)}")
        await asyncio.sleep(PAUSE_S)
        report = await control.ask_report(link)
