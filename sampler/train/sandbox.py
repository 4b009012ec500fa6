"""Runs programs that a model had a hand in, each in a process of its own, and tells which end well.

Limits on time, memory and files, no network, nothing of the environment. A fence against
accidents, not against malice: what `sandboxed` refuses somebody who tries hard can still get at.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from sampler.train import sandboxed

AT_ONCE = 2
# Many times the processor's: on a busy machine a program waits for its turn.
WALL_SECONDS = 6.0 * sandboxed.CPU_SECONDS

_NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")


def passing(programs: Iterable[str]) -> dict[str, bool]:
    """Return for each of the programs whether it ends well; equal ones are run once."""
    different = list(dict.fromkeys(programs))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(different, pool.map(ends_well, different), strict=True))


def ends_well(program: str, wall_seconds: float = WALL_SECONDS) -> bool:
    """Tell whether `program` comes to its end, in time and without an exception."""
    word = secrets.token_hex(16)
    command = [*namespaces(), sys.executable, "-I", "-S", str(Path(sandboxed.__file__))]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.defpath},
            start_new_session=True,
        ) as process,
    ):
        try:
            said, _ = process.communicate(f"{word}\n{program}".encode(), wall_seconds)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return said == word.encode()


@cache
def namespaces() -> tuple[str, ...]:
    """Return the command that gives a process no network and its own processes, () without one.

    Not every system lets a user make namespaces; `sandboxed` refuses sockets by itself too.
    """
    try:
        tried = subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return _NAMESPACES if tried.returncode == 0 else ()
