"""The shipped daemon with nano and what a client over HTTP needs of it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from home import Home, until

from dgemma_lsp.runtime import Endpoint


@contextmanager
def daemon(home: Home) -> Iterator[Endpoint]:
    """Run `dgemma daemon` until the model is ready and then as long as the block."""
    with subprocess.Popen(
        [home.command, "daemon"],
        env=home.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(home.paths.endpoint.exists, "the daemon's endpoint.json")
            until(lambda: report(home)["state"] == "ready", "the model")
            there = json.loads(home.paths.endpoint.read_bytes())
            yield Endpoint(**there)
        finally:
            process.terminate()


def report(home: Home) -> dict[str, Any]:
    """What `dgemma status` tells."""
    told: dict[str, Any] = json.loads(home.dgemma("status", "--json"))
    return told
