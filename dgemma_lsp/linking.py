"""A command's link to the daemon: started if absent, checked, and told of where it takes long."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from rich.console import Console

from dgemma_lsp import client, control, wire
from dgemma_lsp.errors import DgemmaError, UserError
from dgemma_lsp.settings import Settings

LOOK_AGAIN_S = 0.5  # while the model is being loaded


@asynccontextmanager
async def waiting(what: str) -> AsyncIterator[Callable[[str], None]]:
    """Say on a terminal's stderr what is waited for, once that takes longer than a second.

    What is yielded says something else from then on.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    status = Console(stderr=True).status(f"{what} ...")
    timer = asyncio.get_running_loop().call_later(1, status.start)
    try:
        yield lambda text: status.update(f"{text} ...")
    finally:
        timer.cancel()
        status.stop()


@asynccontextmanager
async def daemon_link(settings: Settings) -> AsyncIterator[client.Link]:
    """Connect to the daemon, which is started if absent.

    Raises UserError where it serves another model than the one that was asked for.
    """
    async with waiting("starting the daemon"):
        link = await client.connect(settings.config, settings.paths, start=True)
    try:
        asked = settings.config.model.name
        if settings.model_given and link.welcome.model != asked:
            raise UserError(
                f"--model {asked}: the running daemon serves {link.welcome.model}; "
                "run `dgemma stop` first"
            )
        yield link
    finally:
        await link.close()


def ensure_daemon(settings: Settings) -> None:
    """Start the daemon if none runs, and show on a terminal how the model is loaded.

    Raises as `daemon_link` does.
    """

    async def run() -> None:
        async with daemon_link(settings) as link:
            if link.welcome.state != "ready" and sys.stderr.isatty():
                async with waiting(f"{link.welcome.model}: loading the model") as tell:
                    await _show_loading(link, tell)

    asyncio.run(run())


async def ask(settings: Settings, request: wire.Complete) -> tuple[client.Completion, str]:
    """Return the answer and the name of the model that gave it."""
    async with daemon_link(settings) as link:
        doing = "writing" if link.welcome.state == "ready" else "loading the model"
        async with waiting(f"{link.welcome.model}: {doing}") as tell:
            looking = asyncio.create_task(_show_loading(link, tell))
            try:
                return await client.complete(link, request), link.welcome.model
            finally:
                looking.cancel()
                await asyncio.wait([looking])


async def _show_loading(link: client.Link, tell: Callable[[str], None]) -> None:
    """Show how much of the model is loaded, until it is."""
    if link.welcome.state == "ready":
        return
    with suppress(DgemmaError):  # the request itself is told what is wrong
        while (report := await control.ask_report(link)).state in ("loading", "restarting"):
            tell(f"{report.model}: {control.how_far(report)}")
            await asyncio.sleep(LOOK_AGAIN_S)
        tell(f"{report.model}: writing")
