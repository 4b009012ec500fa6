"""What other extensions find wrong in the real VS Code is told to the language server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from real_vscode import Window, vscode
from scripted_server import Script

pytestmark = pytest.mark.e2e

DIAGNOSTICS = "dgemma/diagnostics"


@pytest.fixture(scope="module")
def script(daemon_home: Home) -> Script:
    return Script(daemon_home.folder)


@pytest.fixture(scope="module")
def window(daemon_home: Home, script: Script) -> Iterator[Window]:
    folder, commands = daemon_home.folder / "code", daemon_home.folder / "bin"
    folder.mkdir()
    commands.mkdir()
    dgemma = commands / "dgemma"
    dgemma.write_text(f"#!/bin/sh\nexec {' '.join(script.command)}\n")
    dgemma.chmod(0o755)
    with vscode(daemon_home, folder, commands=commands) as window:
        yield window


def problems(script: Script, file: Path) -> list[list[tuple[int, int]]]:
    """Line and severity of what was told of this file, time after time."""
    return [
        [(one["line"], one["severity"]) for one in told["diagnostics"]]
        for told in script.told(DIAGNOSTICS)
        if told["textDocument"]["uri"].endswith(f"/{file.name}")
    ]


def test_an_error_is_told_when_it_is_there_and_when_it_is_gone(
    window: Window, script: Script
) -> None:
    # VS Code's own extension for JSON finds it.
    file = window.home.folder / "code" / "a.json"
    window.open(file, '{\n  "one": 1,\n  "two": \n}\n')
    until(lambda: [(3, 1)] in problems(script, file), "the error to be told")
    window.go_to(3)
    window.type("2")
    until(lambda: problems(script, file)[-1] == [], "its end to be told")
