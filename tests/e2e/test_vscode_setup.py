"""A person without `dgemma` opens VS Code in a folder of a stranger, and gets an environment."""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from real_vscode import Window, vscode

pytestmark = pytest.mark.e2e

CREATE = "DGemma: Create a Python Environment"

# An installed `dgemma` that hands over to the one under test: pip would fetch torch for another.
DIST = "dgemma_lsp-0.1.0.dist-info"
WHEEL = {
    "handover.py": "import os, sys\ndef main(): os.execv({command!r}, ['dgemma', *sys.argv[1:]])\n",
    f"{DIST}/METADATA": "Metadata-Version: 2.1\nName: dgemma-lsp\nVersion: 0.1.0\n",
    f"{DIST}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{DIST}/entry_points.txt": "[console_scripts]\ndgemma = handover:main\n",
    f"{DIST}/RECORD": "",
}


@pytest.fixture(scope="module")
def strangers(daemon_home: Home) -> Path:
    """A folder whose setting and whose virtual environment have a `dgemma` that leaves a trace."""
    folder = daemon_home.folder / "stranger"
    own = folder / ".venv" / "bin" / "dgemma"
    own.parent.mkdir(parents=True)
    own.write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
    own.chmod(0o755)
    (folder / ".vscode").mkdir()
    (folder / ".vscode" / "settings.json").write_text(json.dumps({"dgemma.command": str(own)}))
    return folder


@pytest.fixture(scope="module")
def window(daemon_home: Home, strangers: Path) -> Iterator[Window]:
    commands = daemon_home.folder / "bin"
    commands.mkdir()
    (commands / "python3").symlink_to(Path(sys.executable).resolve())
    with vscode(daemon_home, strangers, commands=commands, trusted=False) as window:
        yield window


def test_nothing_that_lies_in_an_untrusted_folder_is_run(window: Window, strangers: Path) -> None:
    until(lambda: window.status().startswith("missing"), "the search to end")
    assert "was not found" in window.notice("DGemma: The command dgemma")
    assert not (strangers / "ran").exists()


def test_an_environment_that_cannot_be_made_says_why(window: Window) -> None:
    window.run(CREATE)
    window.answer("/no/such/folder")
    assert "/no/such/folder" in window.notice("the Python environment was not made")
    assert window.status().startswith("missing")


def test_an_environment_is_made_and_its_dgemma_is_used(window: Window) -> None:
    wheel = window.home.folder / "dgemma_lsp-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in WHEEL.items():
            archive.writestr(name, text.format(command=window.home.command))

    window.run(CREATE)
    window.answer(str(wheel))

    until(lambda: window.status().startswith("ready"), "the server of the new environment")


def test_a_folder_that_is_trusted_chooses_the_command(window: Window, strangers: Path) -> None:
    assert not (strangers / "ran").exists()
    window.run("Workspaces: Manage Workspace Trust")
    window.page.locator(".workspace-trust-buttons").get_by_text("Trust", exact=True).click()
    until((strangers / "ran").exists, "the folder's own command to run")
