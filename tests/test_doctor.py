"""What the doctor makes of what it finds."""

import os
import stat
from pathlib import Path

import pytest
from command import Command, dgemma

from dgemma_lsp import doctor, wire
from dgemma_lsp.client import Completion
from dgemma_lsp.config import Config, Model
from dgemma_lsp.doctor import Finding

__all__ = ["dgemma"]

MIB = 1024 * 1024
LOG = Path("/state/daemon.log")


def report(**values: str) -> wire.Report:
    fields = {"model": "nano", "state": "ready"} | values
    return wire.Report(id="r", version="0.1.0", pid=7, **fields)  # type: ignore[arg-type]


def answer(text: str, queue_ms: float = 0.0) -> Completion:
    timings = wire.Timings(queue_ms=queue_ms, total_ms=queue_ms + 143.2)
    return Completion(texts=[text], reason="eos", timings=timings, steps=12, stable=True)


@pytest.mark.parametrize(
    ("finding", "level", "told"),
    [
        (doctor.python_finding((3, 11, 0)), "ok", "3.11.0"),
        (doctor.python_finding((3, 10, 9)), "bad", "3.10.9"),
        (doctor.package_finding("torch", "2.13.0+cpu"), "ok", "2.13.0+cpu"),
        (doctor.package_finding("torch", None), "bad", "not installed"),
        (doctor.config_finding(Path("/absent"), None), "ok", "absent: defaults"),
        (doctor.config_finding(Path("/c"), "/c: odd key"), "bad", "/c: odd key"),
        (doctor.model_finding("nano", Path("/n"), [], 30 * MIB), "ok", "30 MiB in /n"),
        (doctor.model_finding("nano", Path("/n"), ["a", "b"], 0), "bad", "no a, no b in /n"),
        (doctor.model_finding("a/b", None, [], 0), "bad", "not downloaded"),
        (doctor.memory_finding(700 * MIB, 100 * MIB), "ok", "700 MiB free"),
        (doctor.memory_finding(700 * MIB - 1, 100 * MIB), "note", "700 MiB needed"),
        (doctor.memory_finding(None, 0), "note", "does not tell"),
        (doctor.folder_finding(Path("/r"), None, True), "ok", "made when needed"),
        (doctor.folder_finding(Path("/r"), 0o700, True), "ok", "0700"),
        (doctor.folder_finding(Path("/r"), 0o750, True), "bad", "0750"),
        (doctor.folder_finding(Path("/r"), 0o700, False), "bad", "another user"),
        (doctor.daemon_finding(None, None, LOG), "ok", "none is running"),
        (doctor.daemon_finding(report(), None, LOG), "ok", "serves nano, ready"),
        (doctor.daemon_finding(report(), "nano", LOG), "ok", "serves nano"),
        (doctor.daemon_finding(report(), "a/b", LOG), "bad", "not a/b"),
        (doctor.daemon_finding(report(state="failed", detail="oom"), None, LOG), "bad", "oom"),
        (doctor.device_finding("cpu"), "ok", "no accelerator"),
        (doctor.device_finding("cuda:0"), "ok", "cuda:0"),
        (doctor.device_finding(""), "note", "does not tell"),
        (doctor.completion_finding(answer("x")), "ok", "completions work: 12 steps, 143 ms"),
        (doctor.completion_finding(answer("x", 5000.0)), "ok", "143 ms, after 5 s of waiting"),
        (doctor.completion_finding(answer(" ")), "note", "wrote nothing"),
        (doctor.nvim_finding("NVIM v0.12.0-dev"), "ok", "v0.12.0-dev"),
        (doctor.nvim_finding("NVIM v0.10.4"), "ok", "v0.10.4"),
        (doctor.nvim_finding("NVIM v1.0.0"), "ok", "v1.0.0"),
        (doctor.nvim_finding("NVIM v0.9.5"), "note", "v0.9.5"),
        (doctor.nvim_finding(None), "note", "not found"),
        (doctor.code_finding("1.139.1"), "ok", "1.139.1"),
        (doctor.code_finding(None), "note", "not found"),
    ],
)
def test_a_fact_is_judged(finding: Finding, level: str, told: str) -> None:
    assert finding.level == level
    assert told in finding.text
    assert bool(finding.mend) or level == "ok" or "does not tell" in finding.text


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    return tmp_path


async def examined(dgemma: Command, config: Config) -> dict[str, Finding]:
    found = doctor.examine(config, dgemma.paths, config_problem=None, model_given=False)
    return {finding.subject: finding async for finding in found}


async def test_a_working_daemon_is_asked_for_a_real_completion(
    dgemma: Command, checkpoint: Path
) -> None:
    with dgemma.real_daemon() as daemon:
        found = await examined(dgemma, Config(model=Model(name=str(checkpoint))))
        assert daemon.dispatcher.worker.pid
    assert {name for name, finding in found.items() if finding.level == "bad"} == set()
    assert found["test"].text.startswith("completions work: 2 steps, ")
    assert found["device"].text.startswith("cpu")
    assert found["model"].text == f"{checkpoint}, 0 MiB in {checkpoint}"


async def test_nothing_is_started_while_something_is_bad(dgemma: Command, tmp_path: Path) -> None:
    found = await examined(dgemma, Config(model=Model(name=str(tmp_path))))
    assert (found["model"].level, found["test"].text) == ("bad", "not tried")
    assert not dgemma.paths.socket.exists()


async def test_a_runtime_folder_that_others_reach_is_bad(dgemma: Command, checkpoint: Path) -> None:
    dgemma.paths.runtime.mkdir(mode=0o755)
    os.chmod(dgemma.paths.runtime, 0o755)
    found = await examined(dgemma, Config(model=Model(name=str(checkpoint))))
    assert found["folder"].mend == f"chmod 700 {dgemma.paths.runtime}"
    assert found["test"].level == "bad"
    assert stat.S_IMODE(dgemma.paths.runtime.stat().st_mode) == 0o755


async def test_an_editor_on_the_path_is_found_by_its_version(
    dgemma: Command, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, printed in (("nvim", "NVIM v0.12.1"), ("code", "1.139.1")):
        program = checkpoint / name
        program.write_text(f"#!/bin/sh\necho '{printed}'\necho more\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{checkpoint}:{os.environ['PATH']}")
    with dgemma.real_daemon():
        found = await examined(dgemma, Config(model=Model(name=str(checkpoint))))
    assert found["Neovim"].text.startswith("NVIM v0.12.1;")
    assert found["VS Code"].text.startswith("1.139.1;")
