"""For tests of the command line: run it in this process, in a home of its own."""

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from background import in_background

from dgemma_lsp import cli, daemon, settings
from dgemma_lsp.config import Config, Paths

FAKE_MODEL = [sys.executable, str(Path(__file__).parent / "fake_model_process.py")]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """Call it with the arguments of `dgemma`."""

    def __init__(self, paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
        self.paths = paths
        self._capsys = capsys

    def __call__(self, *arguments: object, stdin: bytes = b"") -> Outcome:
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as exc:
            code = exc.code or 0
        finally:
            sys.stdin = before
        out, err = self._capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, out, err)

    @contextmanager
    def real_daemon(self) -> Iterator[daemon.Daemon]:
        """The real daemon over the scripted model process, under the name nano."""
        settings.prepare_folders(self.paths)
        with in_background(
            lambda: daemon.serving(Config(), self.paths, model_command=FAKE_MODEL)
        ) as running:
            yield running


@pytest.fixture
def dgemma(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The command line, with runtime, state and configuration folders of its own."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))  # short: it holds a socket
    for name in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME"):
        (home / name.lower()).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{name}", str(home / name.lower()))
    yield Command(settings.find_paths(None), capsys)
    shutil.rmtree(home)
