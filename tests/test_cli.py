"""The command line: exit codes, one line for each error, and what goes to stdout."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from background import in_background
from command import Command, dgemma
from scripted_daemon import ScriptedDaemon, answering

from dgemma_lsp import cli, control, daemon, settings, wire
from dgemma_lsp.config import Config
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Ended

__all__ = ["dgemma"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.py"
    file.write_text("# größe\nx = 1\n", encoding="utf-8")
    return file


AT_START = ("--line", 1, "--column", 0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
        (["complete"], "FILE"),
        (["complete", "{source}"], "--line"),
        (["complete", "{source}", "--line", "one", "--column", "0"], "one"),
        (["complete", "{folder}/absent.py", *AT_START], "absent.py: no such file"),
        (["complete", "{folder}", *AT_START], "is a folder"),
        (["complete", "{folder}/binary", *AT_START], "zero byte at 3"),
        (["complete", "{folder}/latin1", *AT_START], "byte 0xfc at 1"),
        (["complete", "/dev/null", *AT_START], "no regular file"),
        (["complete", "{source}", "--line", "0", "--column", "0"], "lines 1 to 3"),
        (["complete", "{source}", "--line", "4", "--column", "0"], "lines 1 to 3"),
        (["complete", "{source}", "--line", "1", "--column", "8"], "columns 0 to 7"),
        (["complete", "{source}", "--line", "1", "--column", "-1"], "columns 0 to 7"),
        (["complete", "{source}", *AT_START, "--steps", "0"], "--steps"),
        (["complete", "{source}", *AT_START, "--candidates", "17"], "--candidates"),
        (["complete", "{source}", *AT_START, "--deadline-ms", "0"], "--deadline-ms"),
        (["complete", "{source}", *AT_START, "--seed", "-1"], "--seed"),
        (["demo", "--model", "{folder}"], "config.json"),
        (["--model", "{folder}", "demo"], "config.json"),
        (["demo", "--model", "{source}"], "source.py: a file"),
        (["demo", "--model", "nono"], "'nono'"),
        (["demo", "--model", "/absent/model"], "'/absent/model'"),
        (["tune"], "--cases FILE.jsonl"),
        (["tune", "{folder}", "--cases", "{source}"], "--cases FILE.jsonl"),
        (["tune", "{folder}/absent"], "absent: no such file or folder"),
        (["tune", "{source}"], "30 holes of 3 lines are wanted, the files hold only 0"),
        (["tune", "--cases", "{source}"], "source.py: line 1: "),
        (["tune", "{source}", "--steps", "0"], "--steps"),
        (["tune", "{source}", "--margin", "-1"], "--margin"),
        (["tune", "{source}", "--png", "{folder}/absent/a.png"], "absent is no folder"),
        (["chat", " "], "nothing to ask"),
        (["chat"], "nothing to ask"),
        (["status", "--config", "/absent.toml"], "/absent.toml: no such file"),
        (["status", "--config", "{folder}"], "cannot be read"),
        (["--config", "{folder}/unknown.toml", "status"], "unknown.toml"),
        (["daemon", "--port", "65536"], "--port"),
        (["daemon", "--idle-minutes", "0"], "--idle-minutes"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    dgemma: Command, source: Path, arguments: list[object], named: str
) -> None:
    folder = source.parent
    (folder / "binary").write_bytes(b"abc\0")
    (folder / "latin1").write_bytes(b"\x67\xfc\x72")
    (folder / "unknown.toml").write_text("[completion]\nspeed = 9\n")
    given = [str(part).format(source=source, folder=folder) for part in arguments]
    outcome = dgemma(*given)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("dgemma: ")
    assert outcome.err.count("\n") == 1
    assert named in outcome.err
    assert not dgemma.paths.socket.exists()


def test_without_a_command_it_prints_its_help(dgemma: Command) -> None:
    outcome = dgemma()
    assert outcome.code == 0
    assert "complete" in outcome.out


def test_the_version_is_the_package_s(dgemma: Command) -> None:
    assert dgemma("--version").out == "dgemma 0.1.0\n"


def test_the_help_loads_no_process_and_no_terminal_library() -> None:
    heavy = "torch transformers pygls rich websockets sampler"
    script = f"import sys, dgemma_lsp.cli; print(set('{heavy}'.split()) & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_complete_prints_one_json_object(dgemma: Command, source: Path) -> None:
    script = answering("y = 2", "z = 3", "y = 2")
    with in_background(lambda: ScriptedDaemon(prepared(dgemma), script)):
        outcome = dgemma(
            "complete", source, "--line", 3, "--column", 0, "--candidates", 3, "--json"
        )
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "text": "y = 2",
        "candidates": ["y = 2", "z = 3"],
        "steps": 3,
        "ms": 0.0,
        "model": "scripted",
        "stable": True,
    }


def test_complete_prints_the_inserted_text_alone(dgemma: Command, source: Path) -> None:
    with in_background(lambda: ScriptedDaemon(prepared(dgemma), answering("y = 2", "z = 3"))):
        one = dgemma("complete", source, "--line", 3, "--column", 0)
        two = dgemma("complete", source, "--line", 3, "--column", 0, "--candidates", 2)
    assert one == (0, "y = 2\n", "")
    assert two == (0, "y = 2\n--- candidate 2 ---\nz = 3\n", "")


def test_an_empty_answer_is_no_error_and_says_why(dgemma: Command, source: Path) -> None:
    with in_background(lambda: ScriptedDaemon(prepared(dgemma), answering(" \n"))):
        plain = dgemma("complete", source, "--line", 3, "--column", 0)
        as_json = dgemma("complete", source, "--line", 3, "--column", 0, "--json")
    assert plain == (0, "", "nothing to insert: the model leaves this place empty\n")
    assert as_json.code == 0
    assert json.loads(as_json.out)["text"] == ""
    assert json.loads(as_json.out)["candidates"] == []


def test_the_options_of_complete_go_into_the_request(dgemma: Command, source: Path) -> None:
    with in_background(lambda: ScriptedDaemon(prepared(dgemma), answering("y"))) as daemon:
        options = ["--steps", 7, "--seed", 5, "--deadline-ms", 900, "--candidates", 2]
        assert dgemma("complete", source, "--line", 1, "--column", 5, *options).code == 0
    (request,) = [message for message in daemon.heard if isinstance(message, wire.Complete)]
    assert (request.prefix, request.suffix) == ("# grö", "ße\nx = 1\n")
    assert request.sampling == wire.Sampling(max_steps=7, seed=5)
    assert (request.deadline_ms, request.candidates, request.trigger) == (900, 2, "invoked")


def test_a_failed_request_is_one_line_and_exit_code_1(dgemma: Command, source: Path) -> None:
    source.write_text("/fail out of\n")
    with dgemma.real_daemon():
        outcome = dgemma("complete", source, "--line", 1, "--column", 12)
    assert outcome == (1, "", "dgemma: out of\n")


def test_ctrl_c_takes_the_request_back_and_exits_with_130(dgemma: Command, source: Path) -> None:
    source.write_text("/hang\n")
    command = [sys.executable, "-m", "dgemma_lsp", "complete", str(source)]
    with (
        dgemma.real_daemon(),
        subprocess.Popen([*command, "--line", "1", "--column", "5"], stderr=subprocess.PIPE) as run,
    ):
        try:
            asyncio.run(until(dgemma, running=1))
            run.send_signal(signal.SIGINT)
            assert run.wait(30) == 130
        finally:
            run.kill()  # or the end of a test that failed would wait for it for ever
        assert run.stderr is not None
        assert run.stderr.read().strip() == b""
        asyncio.run(until(dgemma, running=0))


async def until(dgemma: Command, *, running: int) -> None:
    async with asyncio.timeout(30):
        while True:
            report = await control.report(Config(), dgemma.paths)
            if report is not None and report.running == running:
                return
            await asyncio.sleep(0.02)  # the daemon, in another thread, needs its turn


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_daemon_that_serves_another_model_is_not_used(
    dgemma: Command, source: Path, where: str
) -> None:
    model, command = ["--model", "nano"], ["complete", source, *AT_START]
    with in_background(lambda: ScriptedDaemon(prepared(dgemma), answering("y"))):
        outcome = dgemma(*(model + command if where == "before" else command + model))
    assert outcome.code == 2
    assert outcome.err == (
        "dgemma: --model nano: the running daemon serves scripted; run `dgemma stop` first\n"
    )


@pytest.mark.parametrize(
    ("chosen", "given"),
    [
        ({}, "2000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_the_models_threads_spin_briefly_unless_chosen_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], given: str | None
) -> None:
    for name in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path))
    tmp_path.chmod(0o700)
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    inherited = []
    monkeypatch.setattr(daemon, "run", lambda *_: inherited.append(os.getenv("GOMP_SPINCOUNT")))
    with pytest.raises(SystemExit):
        cli.main(["daemon"])
    assert inherited == [given]


def test_status_without_a_daemon_starts_none(dgemma: Command) -> None:
    assert dgemma("status") == (3, "no daemon is running\n", "")
    assert dgemma("status", "--json") == (0, '{"running":false}\n', "")
    assert not dgemma.paths.socket.exists()


def test_status_of_a_running_daemon(dgemma: Command) -> None:
    with dgemma.real_daemon() as daemon:
        outcome = dgemma("status")
        report = json.loads(dgemma("status", "--json").out)
    assert outcome.code == 0
    assert f"ws://127.0.0.1:{daemon.port}" in outcome.out
    assert (report["running"], report["model"], report["port"]) == (True, "nano", daemon.port)
    assert set(report["requests"].values()) == {0}


def test_a_port_in_use_is_named(dgemma: Command, tmp_path: Path) -> None:
    with dgemma.real_daemon() as running:
        port = running.port
        assert dgemma("daemon").code == 2  # the lock
        other = tmp_path / "other"
        other.mkdir(mode=0o700)
        run = subprocess.run(
            [sys.executable, "-m", "dgemma_lsp", "daemon", "--port", str(port)],
            env={"XDG_RUNTIME_DIR": str(other), "XDG_STATE_HOME": str(other)},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 2
    assert [line for line in run.stderr.splitlines() if line.startswith("dgemma: ")] == [
        f"dgemma: port {port} on 127.0.0.1 is in use: set daemon.port to another one, "
        "or to 0 for any"
    ]


def test_doctor_tells_what_is_missing_and_exits_with_1(dgemma: Command, tmp_path: Path) -> None:
    outcome = dgemma("doctor", "--model", tmp_path)
    assert outcome.code == 1
    assert "bad   model" in outcome.out
    assert "bad   test" in outcome.out
    assert not dgemma.paths.socket.exists()


def prepared(dgemma: Command) -> Path:
    settings.prepare_folders(dgemma.paths)
    return dgemma.paths.socket


def test_stats_tell_what_became_of_the_suggestions(dgemma: Command) -> None:
    assert "no suggestions are recorded yet" in dgemma("stats").out
    assert json.loads(dgemma("stats", "--json").out) == []
    line = Ended(
        id="1",
        at=1.0,
        language="python",
        outcome="accepted",
        latency_ms=9.0,
        steps=4,
        chars=3,
        taken=3,
        seconds=1.0,
    )
    OutcomeLog(dgemma.paths.outcomes).append([line])
    code, out, err = dgemma("stats")
    assert (code, err) == (0, "")
    assert "python" in out and "accepted" in out and "1, 100 %" in out
    python, _ = json.loads(dgemma("stats", "--json").out)
    assert (python["language"], python["accepted"], python["kept_30s"]) == ("python", 1, None)
