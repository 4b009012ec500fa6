"""The command of the benchmark: what it runs, what it keeps, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import Command, dgemma

from dgemma_lsp.config import Config
from sampler import bench
from sampler.benchmarks.report import Section
from sampler.benchmarks.scale import FULL, QUICK

__all__ = ["dgemma"]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        bench.main([str(argument) for argument in arguments])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bench.Run]]:
    """Every section replaced by one that only writes down that it was run."""
    seen: list[tuple[str, bench.Run]] = []

    def noted(name: str):  # type: ignore[no-untyped-def]
        def section(asked: bench.Run) -> Section:
            seen.append((name, asked))
            return Section(name, f"Title of {name}", [{"n": len(seen)}])

        return section

    monkeypatch.setattr(bench, "SECTIONS", {name: noted(name) for name in bench.SECTIONS})
    return seen


def test_all_sections_run_in_their_order(
    sections: list[tuple[str, bench.Run]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert run("--json", out, "--short-tokens", 5) == 0
    names = [name for name, _ in sections]
    assert names == list(bench.SECTIONS)
    found = json.loads(out.read_text())
    assert [(s["name"], s["rows"]) for s in found["sections"]] == [
        (name, [{"n": n}]) for n, name in enumerate(names, start=1)
    ]
    assert (found["model"], found["scale"]["keys"]) == ("nano", FULL.keys)
    assert {"processor", "threads", "torch"} <= set(found["machine"])
    assert sections[0][1].short_tokens == 5
    screen = capsys.readouterr().out
    assert all(f"Title of {name}" in screen for name in names)


def test_only_what_is_named_is_run_in_the_fixed_order(
    sections: list[tuple[str, bench.Run]],
) -> None:
    assert run("--quick", "--only", "editors", "--only", "loop") == 0
    assert [name for name, _ in sections] == ["loop", "editors"]
    assert sections[0][1].scale == QUICK


def test_what_was_measured_before_a_failure_is_kept(
    sections: list[tuple[str, bench.Run]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(asked: bench.Run) -> Section:
        raise ZeroDivisionError

    monkeypatch.setitem(bench.SECTIONS, "keystroke", fails)
    out = tmp_path / "figures.json"
    with pytest.raises(ZeroDivisionError):
        bench.main(["--json", str(out)])
    assert [s["name"] for s in json.loads(out.read_text())["sections"]] == ["loop"]


def test_holes_are_read_before_anything_is_measured(
    sections: list[tuple[str, bench.Run]], tmp_path: Path
) -> None:
    file = tmp_path / "holes.jsonl"
    file.write_text('{"before": "a", "middle": "b", "after": "c"}\n')
    assert run("--only", "holes", "--holes", file) == 0
    assert [hole.middle for hole in sections[0][1].holes] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only", "nonsense"], "nonsense"),
        (["--shape", "27b"], "27b"),
        (["--short-tokens", "-1"], "--short-tokens"),
        (["--json", "/absent/figures.json"], "/absent/figures.json"),
        (["--holes", "/absent/holes"], "/absent/holes"),
        (["--holes", "{bad}"], "--holes: line 1"),
        (["--only", "loop", "--model", "{folder}"], "cannot be loaded"),
        (["--only", "loop", "--device", "abacus"], "abacus"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    (tmp_path / "bad").write_text("no json\n")
    given = [part.format(bad=tmp_path / "bad", folder=tmp_path) for part in arguments]
    assert run(*given) == 2
    err = capsys.readouterr().err
    assert err.startswith("dgemma: ")
    assert err.count("\n") == 1
    assert named in err


@pytest.mark.parametrize("named", [[], ["sampler"]])
def test_dgemma_bench_is_the_sampler_s_benchmark(
    dgemma: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: list[str]
) -> None:
    code = tmp_path / "code.py"
    code.write_text("z = 1\n" * 400)
    asked = []

    def child(
        command: list[str], *, input: bytes | None, check: bool
    ) -> subprocess.CompletedProcess[bytes]:
        asked.append((command, input))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", child)
    assert dgemma("bench", *named).code == 7
    options = ["--quick", "--only", "loop", "--only", "holes", "--json", "x.json"]
    assert dgemma("bench", *named, *options, "--holes", code).code == 7
    (plain, nothing), (full, lines) = asked
    assert plain[:3] == [sys.executable, "-m", "sampler.bench"]
    assert nothing is None and "--holes" not in plain
    assert all(part in full for part in options)
    assert full[-2:] == ["--holes", "-"]
    assert lines is not None and len(lines.splitlines()) == 200
    # What the parent says is what the child understands.
    for command, _ in asked:
        context = bench.bench.make_context("bench", command[3:])
        assert context.params["model"] == "nano"
        assert context.params["short_tokens"] == Config().model.short_tokens


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bench", "--holes", "/absent"], "/absent: no such file"),
        (["bench", "nonsense"], "nonsense"),
        (["bench", "holes"], "PLACE"),
        (["bench", "--model", "nono"], "'nono'"),
    ],
)
def test_what_the_command_line_can_refuse_starts_no_child(
    dgemma: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    outcome = dgemma(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert named in outcome.err


def test_the_shipped_command_writes_its_figures(dgemma: Command, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "dgemma_lsp", "bench", "--quick", "--only", "holes"]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dgemma bench --holes PLACE" in done.stdout
    assert [section["name"] for section in json.loads(out.read_text())["sections"]] == ["holes"]
