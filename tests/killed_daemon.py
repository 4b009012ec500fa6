"""For tests of what a kill leaves: the real daemon over the scripted model, killed by its pid.

Run as a program, `killed_daemon.py FOLDER`, it starts a daemon for each line that it reads, once
the one before is dead, and writes its process id when it listens. It forks: in a process that has
loaded the modules already, a daemon is there in milliseconds.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import fake_model_process
from live_daemon import configured

from dgemma_lsp import daemon
from dgemma_lsp.config import Paths


@asynccontextmanager
async def killable(paths: Paths) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """What it yields starts a daemon, the one before being dead, and returns its process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        str(paths.runtime.parent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # model processes complain of their daemon's death
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    started: list[int] = []

    async def start() -> int:
        stdin.write(b"start\n")
        started.append(int(await stdout.readline()))
        return started[-1]

    try:
        yield start
    finally:
        if started:  # alive where the test has failed
            with suppress(ProcessLookupError):
                os.kill(started[-1], signal.SIGKILL)
        stdin.close()
        await process.wait()


async def _serve(paths: Paths) -> None:
    command = fake_model_process.COMMAND
    async with daemon.serving(configured(), paths, model_command=command) as running:
        print(os.getpid(), flush=True)
        await running.stopping.wait()


def _main(folder: Path) -> None:
    paths = Paths(config_file=folder / "c.toml", runtime=folder / "run", state=folder / "state")
    while sys.stdin.buffer.raw.readline():
        if (pid := os.fork()) == 0:
            asyncio.run(_serve(paths))
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
