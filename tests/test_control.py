"""How the daemon is, and ending it."""

import subprocess
import sys

import msgspec
import pytest
from command import FAKE_MODEL, Command, dgemma
from filelock import FileLock

from dgemma_lsp import control, settings, wire

__all__ = ["dgemma"]


def report(**values: object) -> wire.Report:
    base = wire.Report(id="s", version="0.1.0", model="nano", state="ready", pid=7)
    return msgspec.structs.replace(base, **values)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min 0 s"),
        (3599.0, "59 min 59 s"),
        (7260.0, "2 h 1 min"),
    ],
)
def test_a_duration_is_told_in_two_units(seconds: float, text: str) -> None:
    assert control.duration(seconds) == text


def test_the_lines_are_aligned_and_leave_out_what_is_not() -> None:
    bare = control.lines(report())
    full = control.lines(report(detail="died", restarts=2, port=8, device="cpu", model_pid=9))
    assert [line.split()[0] for line in bare] == ["daemon", "model", "requests", "steps"]
    assert [line.split()[0] for line in full] == [
        "daemon",
        "model",
        "detail",
        "restarts",
        "chat",
        "requests",
        "steps",
    ]
    assert {line[9] for line in full} == {" "}
    assert " " not in {line[10] for line in full}


def test_it_is_told_how_much_of_the_model_is_loaded() -> None:
    [_, model, *_] = control.lines(report(state="loading", progress=45))
    assert model == "model     nano, loading (45 %)"


def test_the_fields_for_a_program_tell_running_apart_from_running_requests() -> None:
    fields = control.fields(report(running=3))
    assert fields["running"] is True
    requests = fields["requests"]
    assert isinstance(requests, dict)
    assert requests == dict.fromkeys(requests, 0) | {"running": 3}
    assert {"completed", "withdrawn", "steps", "withdrawn_steps"} < set(requests)
    assert control.fields(None) == {"running": False}


def test_stop_returns_when_the_daemon_is_gone(dgemma: Command) -> None:
    settings.prepare_folders(dgemma.paths)
    script = (
        "from dgemma_lsp import daemon, settings\n"
        "from dgemma_lsp.config import Config\n"
        f"daemon.run(Config(), settings.find_paths(None), model_command={FAKE_MODEL!r})"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("is ready on" in line for line in process.stderr)
        assert dgemma("stop") == (0, "the daemon is stopped\n", "")
        assert not dgemma.paths.socket.exists()
        with FileLock(dgemma.paths.lock, timeout=0):
            assert dgemma("stop") == (0, "no daemon is running\n", "")
    assert process.returncode == 0
