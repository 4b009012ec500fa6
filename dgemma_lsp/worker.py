"""Starts, watches and restarts the model process, and carries messages to and from it. No policy.

The pipe's frames are a big-endian length of 4 bytes and the payload. The process ends by itself
when its standard input closes, so it never outlives the daemon, not even one that was killed.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec

from dgemma_lsp import wire
from dgemma_lsp.config import Config
from dgemma_lsp.wire import Done, FromModel, ToModel, Unusable

MODEL_COMMAND = [sys.executable, "-m", "dgemma_lsp.model_process"]

MAX_FRAME_BYTES = 64 * 1024 * 1024  # a longer one is no frame, but something else that was printed
CLOSE_GRACE_S = 5.0
TERMINATE_GRACE_S = 5.0
LONG_LIFE_S = 60.0

_log = logging.getLogger(__name__)


def backoff_s(failures: int) -> float:
    """Return the seconds to wait before the next start, after so many failed lives in a row."""
    return float(min(0.1 * 2 ** min(failures - 1, 16), 30.0))


class Worker:
    """The model process, over all of its lives.

    `on_message` gets every message of the process, `on_lost` how it died. Both are called in the
    event loop and must not block. `run` is to be run once; cancelling it ends the process.
    """

    def __init__(
        self,
        config: Config,
        *,
        command: Sequence[str],
        on_message: Callable[[FromModel], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._config = config
        self._command = command
        self._on_message = on_message
        self._on_lost = on_lost
        self._process: asyncio.subprocess.Process | None = None
        self._failures = 0
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The process id of the model process, 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def send(self, message: ToModel) -> None:
        """Send a message; one for a process that just died is lost, as `on_lost` will tell.

        Nothing waits for the pipe: what is under way is bounded by the scheduler.
        """
        if self._process is not None:
            _write_frame(self._process, wire.encode_binary(message))

    def kill(self) -> None:
        """Kill the model process, which no longer does what it is told; it is started again."""
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)

    async def run(self) -> None:
        """Keep the model process alive until it says that the model is unusable."""
        loop = asyncio.get_running_loop()
        while True:
            born = loop.time()
            death = await self._live()
            if death is None:
                return
            if loop.time() - born >= LONG_LIFE_S:
                self._failures = 0
            self._failures += 1
            self.restarts += 1
            delay = backoff_s(self._failures)
            _log.error("the model process died: %s; it is started again in %.1f s", death, delay)
            self._on_lost(death)
            await asyncio.sleep(delay)

    async def _live(self) -> str | None:
        """Run the process once; return how it died, or None where it must not come back."""
        try:
            process = await _spawn(self._command)
        except OSError as exc:
            return f"cannot start {self._command[0]}: {exc}"
        self._process = process
        _log.info("the model process runs as %d", process.pid)
        try:
            _write_frame(process, msgspec.msgpack.encode(self._config))
            death = await self._converse(process)
        finally:
            self._process = None
            await _end_even_if_cancelled(process)
        return None if death is None else f"{death}{_exit(process)}"

    async def _converse(self, process: asyncio.subprocess.Process) -> str | None:
        """Pass messages on until the process is gone or unusable; return what went wrong, if known.

        None: the model is unusable. An empty text: its exit code tells the rest.
        """
        while True:
            try:
                message = await _read_message(process)
            except asyncio.IncompleteReadError:
                return ""
            except (ValueError, msgspec.DecodeError) as exc:
                _signal(process, signal.SIGKILL)
                return f"it wrote something that is no message: {exc}; "
            if isinstance(message, Done):
                self._failures = 0
            self._on_message(message)
            if isinstance(message, Unusable):
                return None


async def _spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start the process; raises OSError. A cancelled spawn has ended the process already."""
    spawning = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A Ctrl-C in the daemon's terminal is for the daemon to handle.
            start_new_session=True,
        )
    )
    try:
        # asyncio loses the pipes of a process whose start is cancelled half-way.
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await spawning)
        raise


async def _read_message(process: asyncio.subprocess.Process) -> FromModel:
    """Read one frame; raises IncompleteReadError at the end, ValueError or DecodeError for junk."""
    assert process.stdout is not None
    size = int.from_bytes(await process.stdout.readexactly(4), "big")
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {size} bytes")
    return wire.decode_from_model(await process.stdout.readexactly(size))


def _write_frame(process: asyncio.subprocess.Process, payload: bytes) -> None:
    assert process.stdin is not None
    if not process.stdin.is_closing():
        process.stdin.write(len(payload).to_bytes(4, "big") + payload)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # It may have gone in the meantime, which is what the signal was for.
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def _end_even_if_cancelled(process: asyncio.subprocess.Process) -> None:
    ending = asyncio.create_task(_end(process))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process: close its input, then terminate, then kill; return when it is gone."""
    assert process.stdin is not None
    process.stdin.close()
    for grace_s, number in [
        (CLOSE_GRACE_S, signal.SIGTERM),
        (TERMINATE_GRACE_S, signal.SIGKILL),
    ]:
        try:
            async with asyncio.timeout(grace_s):
                await _gone(process)
            return
        except TimeoutError:
            _log.warning("the model process %d goes on: sending %s", process.pid, number.name)
            _signal(process, number)
    await _gone(process)


async def _gone(process: asyncio.subprocess.Process) -> None:
    # Reads on as well: a process blocked in writing an answer would never come to its end.
    await process.communicate()


def _exit(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    assert code is not None
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
