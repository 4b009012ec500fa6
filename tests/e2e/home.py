"""A user of their own for end-to-end tests: empty folders, the shipped command, no process left."""

import json
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from dgemma_lsp.config import Config, Paths, load

T = TypeVar("T")

PATIENCE_S = 300.0
# At each place where the model may have nothing to say one waits so long, then, if at none of them
# it had, once more.
PATIENCES_S = (10.0, 100.0)

# A slow machine must not turn a test of what is shown into a test of how fast it comes, nor the
# weights at hand into one of how sure they are.
CONFIG = "[completion]\ndeadline_ms = 300000\nmenu_ms = 300000\nmin_confidence = -1000.0\n"


def until(ask: Callable[[], T], waiting_for: str, *, patience_s: float = PATIENCE_S) -> T:
    """Ask until the answer is true and return it; raises TimeoutError naming what did not come."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise TimeoutError(f"waited {patience_s:.0f} s in vain for {waiting_for}")


class Home:
    """The folders and the environment of one user; `folder` must be short, sockets lie in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scripts = sysconfig.get_path("scripts")
        self.env = os.environ | {
            "HOME": str(folder),
            "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
            "HF_HUB_OFFLINE": "1",
        }
        for kind in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME", "DATA_HOME", "CACHE_HOME"):
            self.env[f"XDG_{kind}"] = str(folder / kind[:2].lower())
            (folder / kind[:2].lower()).mkdir(mode=0o700)
        self.paths = Paths(
            runtime=Path(self.env["XDG_RUNTIME_DIR"]) / "dgemma",
            state=Path(self.env["XDG_STATE_HOME"]) / "dgemma",
            config_file=Path(self.env["XDG_CONFIG_HOME"]) / "dgemma" / "config.toml",
        )
        self.paths.config_file.parent.mkdir()
        self.paths.config_file.write_text(CONFIG)
        command = shutil.which("dgemma", path=scripts)
        assert command, f"no dgemma in {scripts}: install the package first"
        self.command = command

    @property
    def config(self) -> Config:
        """The configuration that this user's daemon reads."""
        return load(self.paths.config_file)

    def dgemma(self, *arguments: str) -> str:
        """Run `dgemma` with these arguments and return its output; anything but success fails."""
        run = subprocess.run(
            [self.command, *arguments],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert run.returncode == 0, (
            f"dgemma {arguments}: {run.returncode}\n{run.stdout}{run.stderr}"
        )
        return run.stdout

    def at_rest(self) -> dict[str, int]:
        """Wait until the model has nothing to do; return what the daemon counts, with its pid."""

        def report() -> dict[str, int] | None:
            said = json.loads(self.dgemma("status", "--json"))
            requests = said.get("requests", {"running": 1, "queued": 0})
            resting = requests["running"] + requests["queued"] == 0
            return {"pid": said["pid"], **requests} if resting else None

        return until(report, "the model to rest") or {}

    def running(self, subcommand: str) -> list[psutil.Process]:
        """The processes of this user that run `dgemma` with this subcommand."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it has just ended
                if subcommand in process.cmdline():
                    found.append(process)
        return found

    def processes(self) -> list[psutil.Process]:
        """Every living process that was started in this environment, by whatever way."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("XDG_RUNTIME_DIR") == self.env["XDG_RUNTIME_DIR"]
        except psutil.Error:  # gone, a zombie, or another user's
            return False

    def log(self) -> str:
        """What the daemon and the model process have logged."""
        return self.paths.log.read_text() if self.paths.log.exists() else "(no log)"

    def end(self) -> None:
        """Stop the daemon by its own command; a process that stays is killed and fails the test."""
        try:
            if self.paths.socket.exists():
                self.dgemma("stop")
            until(lambda: not self.processes(), "the last process to end", patience_s=30)
        finally:
            left = [f"{process.pid} {process.cmdline()}" for process in self.processes()]
            for process in self.processes():
                process.kill()
            log = self.log()
            shutil.rmtree(self.folder)
            assert not left, f"left behind: {left}\n{log}"
