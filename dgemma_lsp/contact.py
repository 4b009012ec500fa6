"""The language server's contact with the daemon: the link, how the model is, and its restart.

It asks for no completion, and knows no editor: whoever it serves is told through callbacks.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dgemma_lsp import control
from dgemma_lsp.client import Link, Links
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import DgemmaError, ModelCrashed, ModelUnavailable
from dgemma_lsp.status import Condition, Status

LOOK_AGAIN_S = 0.5  # while the model is being loaded

log = logging.getLogger(__name__)


class Contact:
    """One editor's way to the daemon.

    `tell` shows a person what to act on, `on_status` hears of every change of how things are.
    """

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        tell: Callable[[str], None],
        on_status: Callable[[Status], None],
    ) -> None:
        self._config = config
        self._paths = paths
        self._tell = tell
        self._on_status = on_status
        self._condition = Condition(model=config.model.name)
        self._shown: Status | None = None
        self._links = Links(config, paths, self._failed)
        self._greeted: Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def paused(self) -> bool:
        """Whether the person wants no completions."""
        return self._condition.paused

    @property
    def model(self) -> str:
        """The name of the model, as far as it is known."""
        return self._condition.model

    @property
    def linked(self) -> bool:
        """Whether there is a daemon that can be asked without starting one."""
        return self._greeted is not None and self._greeted.alive

    @property
    def loading(self) -> bool:
        """Whether daemon and model are on their way."""
        return self._condition.status.state in ("starting", "loading")

    def pause(self, paused: bool) -> None:
        """Take note that the person wants none, or some again."""
        self._condition.paused = paused
        self._show()

    def resumed_by(self, what: str) -> None:
        """Take note of what the person resumes completion by."""
        self._condition.resume = what

    def begin(self) -> None:
        """Find the daemon, or start it, before it is needed."""
        self._show()
        # Not awaited here: pygls cannot take back a notification's handler when the editor leaves.
        self._do(self._begin())

    async def link(self) -> Link:
        """Return a live link; raises what `Links.get` raises, which was told then."""
        self._condition.linked = self.linked
        self._show()
        link = await self._links.get()
        if link is not self._greeted:
            self._greet(link)
        return link

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Show that the model is asked, as long as it is."""
        self._condition.asked += 1
        self._show()
        try:
            yield
        finally:
            self._condition.asked -= 1
            self._show()

    def answered(self) -> None:
        """Take note that the model answers."""
        self._condition.error = ""
        self._condition.loading = "ready"
        self._show()

    def refused(self, error: DgemmaError) -> None:
        """Take note of why the model did not answer; the person is told what they can mend."""
        match error:
            case ModelUnavailable():
                self._condition.error = str(error)
                self._tell(f"{error}; `dgemma doctor` tells more")
            case ModelCrashed():
                self._condition.loading = "restarting"
                if self._greeted is not None:
                    self._do(self._look(self._greeted))
        self._show()

    def configure(self, config: Config) -> None:
        """Go by another configuration; one with another model gets a link of its own."""
        before, self._config = self._config, config
        if config.model == before.model:
            return
        links, self._links = self._links, Links(config, self._paths, self._failed)
        self._greeted = None
        before_it = self._condition
        self._condition = Condition(
            model=config.model.name, paused=before_it.paused, resume=before_it.resume
        )
        self._do(links.close())

    async def restart(self) -> None:
        """End the daemon with its model and start another one; raises DgemmaError if it stays."""
        self._condition.linked = False
        self._condition.error = ""
        self._show()

        def stop() -> None:
            # In a thread: it waits for the daemon's lock.
            asyncio.run(control.stop(self._config, self._paths))

        await asyncio.to_thread(stop)
        await self._begin()

    async def close(self) -> None:
        """Give up what is under way and end the link."""
        for task in list(self._tasks):
            task.cancel()
        await self._links.close()

    async def _begin(self) -> None:
        with suppress(DgemmaError):  # told by `_failed`
            await self.link()

    def _greet(self, link: Link) -> None:
        self._greeted = link
        self._condition.linked = True
        self._condition.error = ""
        self._condition.model = link.welcome.model
        self._condition.loading = link.welcome.state
        self._show()
        if link.welcome.model != self._config.model.name:
            self._tell(
                f"the running daemon serves the model {link.welcome.model}, not "
                f"{self._config.model.name}; run `dgemma stop` to have it started anew"
            )
        if link.welcome.state in ("loading", "restarting"):
            self._do(self._look(link))

    async def _look(self, link: Link) -> None:
        """Look how the model is until it is loaded or cannot be."""
        while link.alive and link is self._greeted:
            try:
                report = await control.ask_report(link)
            except DgemmaError as exc:
                log.info("how the model is cannot be told: %s", exc)
                return
            self._condition.model, self._condition.loading = report.model, report.state
            self._condition.progress = report.progress
            if report.state == "failed":
                self._condition.error = report.detail
            self._show()
            if report.state not in ("loading", "restarting"):
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    def _failed(self, error: DgemmaError, in_a_row: int) -> None:
        """Tell that there is no daemon to ask, at the first of several attempts."""
        log.error("no link to the daemon: %s", error)
        self._condition.error = str(error)
        self._show()
        if in_a_row == 1:
            self._tell(str(error))

    def _show(self) -> None:
        if (status := self._condition.status) != self._shown:
            self._shown = status
            self._on_status(status)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
