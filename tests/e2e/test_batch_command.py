"""`dgemma batch` with the built-in model: what it answers, and what kill -9 of anybody costs."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import PATIENCE_S, Home, until

pytestmark = pytest.mark.e2e

# Next to nothing may be accepted in a step: still far from its end when others have theirs.
SLOW = {"entropy_bound": 1e-6, "max_steps": 200}

LINES: list[Any] = [
    {"prompt": "import os\n\n\ndef names(folder):\n", "id": "first"},
    {"prefix": "import os\nprint(os.", "suffix": ")\n", "sampling": SLOW | {"seed": 3}},
    {"messages": [{"role": "user", "content": "Sort a list."}], "id": 7.5},
    {"prefix": "def add(a, b):\n    return ", "suffix": "\n", "path": "a.py"},
    "this is no request",
    {"prefix": "for line in ", "suffix": ":\n    print(line)\n"},
    {"prompt": "for line in lines:\n", "sampling": {"seed": 5}},
    {"prompt": "for line in lines:\n", "sampling": {"seed": 5}},
]
BAD = 5
OPTIONS = ["--max-tokens", "32", "--steps", "4"]


class Run:
    """One batch of LINES in a folder of its own."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.source = folder / "in.jsonl"
        self.out = folder / "out.jsonl"
        self.errors = folder / "out.errors.jsonl"
        self.journal = folder / "out.jsonl.partial"
        self.source.write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
        self.command = [home.command, "batch", str(self.source), str(self.out), *OPTIONS]

    @contextmanager
    def begun(self) -> Iterator[subprocess.Popen[str]]:
        """A run that has written its first result, while the slow line is still in flight."""
        with subprocess.Popen(
            self.command,
            env=self.home.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                until(lambda: len(self.answered()) > 1 or process.poll() is not None, "a result")
                assert process.poll() is None, process.communicate()
                yield process
            finally:
                process.kill()

    def end(self) -> None:
        """Run it to its end."""
        run = subprocess.run(
            self.command, env=self.home.env, capture_output=True, text=True, timeout=PATIENCE_S
        )
        self.check(run.returncode, run.stdout, run.stderr)

    def check(self, code: int, out: str, err: str) -> None:
        done = len(LINES) - 1
        assert out == f"{done} done, 1 failed (line {BAD}): see {self.errors}\n", err
        assert code == 1
        assert not self.journal.exists()

    def answered(self) -> list[int]:
        """The lines that the journal holds whole."""
        if not self.journal.exists():
            return []
        return [json.loads(raw)["line"] for raw in self.journal.read_text().split("\n")[1:-1]]

    def results(self) -> list[dict[str, Any]]:
        """What the output holds, without the time that it took."""
        results = [json.loads(line) for line in self.out.read_text().splitlines()]
        assert all(result.pop("ms") > 0 for result in results)
        return results


@pytest.fixture(scope="module")
def whole(daemon_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody disturbs."""
    run = Run(daemon_home, tmp_path_factory.mktemp("whole"))
    run.end()
    return run


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    return Run(whole.home, tmp_path)


def report(home: Home) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(home.dgemma("status", "--json"))
    return answer


def test_every_good_line_is_answered_in_order(whole: Run) -> None:
    results = whole.results()
    assert [result["line"] for result in results] == [1, 2, 3, 4, 6, 7, 8]
    assert [result.get("id") for result in results] == ["first", None, 7.5, None, None, None, None]
    assert {result["reason"] for result in results} <= {"eos", "length", "settled", "steps"}
    assert all(result["steps"] > 0 and result["tokens"] > 0 for result in results)
    by_line = {result["line"]: result["text"] for result in results}
    assert by_line[7] == by_line[8] != "", "the same seed gives the same text"


def test_a_bad_line_is_told_by_its_number(whole: Run) -> None:
    [failure] = [json.loads(line) for line in whole.errors.read_text().splitlines()]
    assert failure["line"] == BAD
    assert "Expected `object`, got `str`" in failure["error"]


def test_kill_9_of_the_batch_repeats_no_line_and_loses_none(whole: Run, run: Run) -> None:
    with run.begun() as process:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    assert not run.out.exists()
    kept = run.answered()
    asked_before = report(run.home)["requests"]
    run.end()
    assert run.results() == whole.results()
    asked = report(run.home)["requests"]
    assert asked["completed"] - asked_before["completed"] <= len(LINES) - len(kept)


def test_kill_9_of_the_model_costs_no_line(whole: Run, run: Run) -> None:
    before = report(run.home)
    with run.begun() as process:
        subprocess.run(["kill", "-9", str(before["model_pid"])], check=True)
        out, err = process.communicate(timeout=PATIENCE_S)
    run.check(process.returncode, out, err)
    assert run.results() == whole.results()
    after = report(run.home)
    assert after["restarts"] == before["restarts"] + 1
    assert after["pid"] == before["pid"]


def test_kill_9_of_the_daemon_costs_no_line(whole: Run, run: Run) -> None:
    before = report(run.home)
    with run.begun() as process:
        subprocess.run(["kill", "-9", str(before["pid"])], check=True)
        out, err = process.communicate(timeout=PATIENCE_S)
    run.check(process.returncode, out, err)
    assert run.results() == whole.results()
    assert report(run.home)["pid"] != before["pid"]


def test_ctrl_c_says_how_to_go_on(whole: Run, run: Run) -> None:
    with run.begun() as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "dgemma: interrupted; " in err
    assert f" of {len(LINES)} lines are done: run the same command to go on\n" in err
    run.end()
    assert run.results() == whole.results()
