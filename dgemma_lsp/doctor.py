"""What completions need, what of it is there, and how to mend the rest.

Functions that end in `_finding` are pure: facts -> `Finding`. `examine` collects the facts, in the
order in which a person would mend them, and asks the daemon for a real completion last.
"""

import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp import checkpoints, client, control, linking, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import DgemmaError, UserError

PYTHON = (3, 11)
NVIM = (0, 10)
ROUND_TRIP_S = 300.0
REINSTALL = "python -m pip install --force-reinstall dgemma-lsp"
_MIB = 1024 * 1024
# Weights, the libraries that run them, and room for what they compute.
_LIBRARIES_BYTES = 600 * _MIB
_LONG_MS = 1000.0

Level = Literal["ok", "note", "bad"]


class Finding(Struct, frozen=True):
    """One thing that was looked at; `bad` means that completions would not work."""

    subject: str
    level: Level
    text: str
    mend: str = ""


def python_finding(version: tuple[int, int, int]) -> Finding:
    """Judge the running interpreter."""
    text = ".".join(map(str, version))
    if version >= PYTHON:
        return Finding("Python", "ok", text)
    return Finding("Python", "bad", f"{text} is too old", "install Python 3.11 or newer")


def package_finding(name: str, version: str | None) -> Finding:
    """Judge a library by its installed version, None where it cannot be imported."""
    if version:
        return Finding(name, "ok", version)
    return Finding(name, "bad", "not installed", REINSTALL)


def config_finding(path: Path, problem: str | None) -> Finding:
    """Judge the configuration file by what reading it complained of, if anything."""
    if problem:
        return Finding("config", "bad", problem, "correct or remove the file")
    return Finding("config", "ok", str(path) if path.is_file() else f"{path} (absent: defaults)")


def model_finding(name: str, folder: Path | None, lacks: list[str], size: int) -> Finding:
    """Judge the checkpoint by its folder, what that lacks and the weights' size in bytes."""
    if folder is None:
        return Finding("model", "bad", f"{name} is not downloaded", f"hf download {name}")
    if lacks:
        mend = REINSTALL if name == checkpoints.NANO else "give a folder with a whole checkpoint"
        return Finding("model", "bad", f"{name}: no {', no '.join(lacks)} in {folder}", mend)
    return Finding("model", "ok", f"{name}, {size / _MIB:.0f} MiB in {folder}")


def memory_finding(free: int | None, weights: int) -> Finding:
    """Judge free main memory, in bytes; None where this system does not tell."""
    if free is None:
        return Finding("memory", "note", "this system does not tell how much is free")
    needed = weights + _LIBRARIES_BYTES
    text = f"{free / _MIB:.0f} MiB free, about {needed / _MIB:.0f} MiB needed"
    if free >= needed:
        return Finding("memory", "ok", text)
    return Finding("memory", "note", text, "close other programs, or take a smaller model")


def folder_finding(folder: Path, mode: int | None, ours: bool) -> Finding:
    """Judge the runtime folder by its permission bits, None where it is absent."""
    if mode is None:
        return Finding("folder", "ok", f"{folder} (made when needed)")
    if not ours:
        mend = "remove it, or set XDG_RUNTIME_DIR to a folder of your own"
        return Finding("folder", "bad", f"{folder} belongs to another user", mend)
    if mode & 0o077:
        return Finding("folder", "bad", f"{folder} has mode {mode:04o}", f"chmod 700 {folder}")
    return Finding("folder", "ok", f"{folder}, mode {mode:04o}")


def daemon_finding(report: wire.Report | None, asked: str | None, log: Path) -> Finding:
    """Judge the running daemon; `asked` is a model that was asked for by name."""
    if report is None:
        return Finding("daemon", "ok", "none is running (started when needed)")
    text = f"process {report.pid}, serves {report.model}, {report.state}"
    if asked and report.model != asked:
        return Finding("daemon", "bad", f"{text}, not {asked}", "dgemma stop")
    if report.state == "failed":
        return Finding("daemon", "bad", f"{text}: {report.detail}", f"dgemma stop; see {log}")
    return Finding("daemon", "ok", text)


def device_finding(device: str) -> Finding:
    """Judge where the model runs, as the daemon reports it."""
    if not device:
        return Finding("device", "note", "the daemon does not tell where the model runs")
    if device == "cpu":
        return Finding("device", "ok", "cpu; no accelerator in use (nano needs none)")
    return Finding("device", "ok", device)


def completion_finding(answer: client.Completion) -> Finding:
    """Judge an answer of the model."""
    own_ms = answer.timings.total_ms - answer.timings.queue_ms
    text = f"completions work: {answer.steps} steps, {own_ms:.0f} ms"
    if answer.timings.queue_ms > _LONG_MS:
        text += f", after {answer.timings.queue_ms / 1000:.0f} s of waiting for the model"
    if any(part.strip() for part in answer.texts):
        return Finding("test", "ok", text)
    return Finding("test", "note", f"{text}, but the model wrote nothing", "try `dgemma demo`")


def nvim_finding(version: str | None) -> Finding:
    """Judge what `nvim --version` printed first; None where there is no nvim."""
    if version is None:
        return Finding("Neovim", "note", "not found", "install Neovim 0.10 or newer to use it")
    found = re.search(r"v(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) >= NVIM:
        return Finding("Neovim", "ok", f"{version}; set it up as the README shows")
    return Finding(
        "Neovim", "note", f"{version} is too old for the plugin", "update to 0.10 or newer"
    )


def code_finding(version: str | None) -> Finding:
    """Judge what `code --version` printed first; None where there is no code."""
    if version is None:
        return Finding("VS Code", "note", "not found", "put its `code` command on PATH to use it")
    return Finding("VS Code", "ok", f"{version}; set it up as the README shows")


async def examine(
    config: Config, paths: Paths, *, config_problem: str | None, model_given: bool
) -> AsyncIterator[Finding]:
    """Yield what is found; starts a daemon where none runs and nothing stands in the way.

    `config_problem` is what reading the configuration complained of; with `model_given` a daemon
    that serves another model is in the way.
    """
    bad = False
    with suppress(UserError):  # told as a finding
        name = checkpoints.resolve(config.model.name)
        config = replace(config, model=replace(config.model, name=name))
    for finding in _local(config, paths, config_problem):
        bad |= finding.level == "bad"
        yield finding
    asked = config.model.name if model_given else None
    async for finding in _daemon(config, paths, asked, blocked=bad):
        yield finding
    yield nvim_finding(await asyncio.to_thread(_first_line, "nvim"))
    yield code_finding(await asyncio.to_thread(_first_line, "code"))


def _local(config: Config, paths: Paths, config_problem: str | None) -> list[Finding]:
    return [
        python_finding(sys.version_info[:3]),
        *(package_finding(name, _version(name)) for name in ("torch", "transformers")),
        config_finding(paths.config_file, config_problem),
        *_model(config.model.name),
        _folder(paths.runtime),
    ]


def _model(name: str) -> list[Finding]:
    try:
        folder = checkpoints.locate(checkpoints.resolve(name))
    except UserError as exc:
        return [Finding("model", "bad", str(exc), "correct --model or the configuration")]
    if folder is None:
        return [model_finding(name, None, [], 0)]
    lacks, size = checkpoints.missing(folder), checkpoints.weight_bytes(folder)
    return [model_finding(name, folder, lacks, size), memory_finding(_free_bytes(), size)]


def _folder(folder: Path) -> Finding:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return folder_finding(folder, None, ours=True)
    return folder_finding(folder, stat.S_IMODE(found.st_mode), ours=found.st_uid == os.getuid())


async def _daemon(
    config: Config, paths: Paths, asked: str | None, *, blocked: bool
) -> AsyncIterator[Finding]:
    """Yield how the daemon is, and whether it completes unless something is `blocked` already."""
    try:
        judged = daemon_finding(await control.report(config, paths), asked, paths.log)
        yield judged
        if blocked or judged.level == "bad":
            yield Finding("test", "bad", "not tried", "mend what is named above first")
            return
        async with linking.waiting("asking the model"), asyncio.timeout(ROUND_TRIP_S):
            answer, report = await _round_trip(config, paths)
    except TimeoutError:
        text = f"no answer within {ROUND_TRIP_S:.0f} s"
        yield Finding("test", "bad", text, f"dgemma stop; see {paths.log}")
    except DgemmaError as exc:
        yield Finding("test", "bad", f"completions fail: {exc}", f"see {paths.log}")
    else:
        yield device_finding(report.device)
        yield completion_finding(answer)


async def _round_trip(config: Config, paths: Paths) -> tuple[client.Completion, wire.Report]:
    link = await client.connect(config, paths, start=True)
    try:
        request = wire.Complete(
            id="doctor",
            document="doctor",
            version=0,
            prefix='def add(left, right):\n    """Return the sum."""\n    return ',
            suffix="\n",
            language="python",
            trigger="invoked",
        )
        return await client.complete(link, request), await control.ask_report(link)
    finally:
        await link.close()


def _version(name: str) -> str | None:
    return metadata.version(name) if find_spec(name) else None


def _free_bytes() -> int | None:
    """Return the memory that a new process may take, as Linux tells it."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _first_line(program: str) -> str | None:
    """Return the first line of what `program --version` prints; None where it cannot be run."""
    if not (path := shutil.which(program)):
        return None
    try:
        run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(run.stdout.splitlines()), None)
