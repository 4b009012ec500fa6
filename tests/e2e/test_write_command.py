"""`dgemma write` as shipped: with nano, and with a small random model that takes instructions."""

import subprocess

import pytest
from home import Home

from dgemma_lsp import prose

pytestmark = pytest.mark.e2e

CODE = """\
def mean(values):
    total = sum(values)
    return total / len(values)
"""
TEXT = """\
# The `dgemma` tool

It fills 3 holes in `größe.py` and
tells what it did, see [the guide](https://example.org).

| name | what it does |
|------|--------------|
| `x`  | it says so   |
"""
KEPT = ["`dgemma`", "3", "`größe.py`", "[the guide](https://example.org)", "`x`"]


def run(home: Home, *arguments: object) -> subprocess.CompletedProcess[str]:
    argv = [home.command, "write", *map(str, arguments)]
    return subprocess.run(
        argv,
        env=home.env,
        cwd=home.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_nano_writes_a_docstring_into_the_file_which_still_runs(daemon_home: Home) -> None:
    file = daemon_home.folder / "mean.py"
    file.write_text(CODE)
    written = run(daemon_home, "--mode", "docstring", "--lines", 2, "--in-place", file)
    # What nano writes is its own affair: where it writes nothing the file stays.
    assert written.returncode in (0, 4), written.stderr
    scope: dict[str, object] = {}
    exec(file.read_text(), scope)
    mean = scope["mean"]
    assert callable(mean)
    assert mean([1, 3]) == 2
    assert bool(mean.__doc__) == (written.returncode == 0)


def test_nano_mends_grammar_and_leaves_what_is_right(daemon_home: Home) -> None:
    file = daemon_home.folder / "notes.md"
    file.write_text("The value is returned by the the function `the the`.\n")
    mended = run(daemon_home, "--mode", "grammar", file)
    assert mended.stdout == "The value is returned by the function `the the`.\n", mended.stderr
    file.write_text(mended.stdout)
    assert run(daemon_home, "--mode", "grammar", "--in-place", file).returncode == 4
    assert file.read_text() == mended.stdout


def test_nano_goes_on_with_a_text_and_the_same_seed_gives_the_same(daemon_home: Home) -> None:
    file = daemon_home.folder / "half.py"
    file.write_text(CODE + "\n\ndef total(values):\n    return s")
    first, again = (run(daemon_home, "--mode", "continue", "--seed", 3, file) for _ in range(2))
    assert first.stdout == again.stdout
    assert first.stdout.startswith(file.read_text()) or first.returncode == 4


def test_nano_refuses_the_rest_in_one_line_that_names_the_setting(daemon_home: Home) -> None:
    file = daemon_home.folder / "text.md"
    file.write_text(TEXT)
    refused = run(daemon_home, "--mode", "shorten", file)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("dgemma: shorten: nano ")
    assert "set model.name to" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("strength", [0.2, 1])
def test_what_is_kept_and_the_structure_stay(instructed_home: Home, strength: float) -> None:
    file = instructed_home.folder / "text.md"
    file.write_text(TEXT)
    written = run(instructed_home, "--mode", "formal", "--strength", strength, "--seed", 1, file)
    assert written.returncode == 0, written.stderr
    assert written.stdout != TEXT
    assert prose.shape(written.stdout) == prose.shape(TEXT)
    places = [written.stdout.index(span) for span in KEPT]
    assert places == sorted(places)


def test_the_diff_is_one_that_patch_takes(instructed_home: Home) -> None:
    file = instructed_home.folder / "text.md"
    file.write_text(TEXT)
    options = ["--mode", "simplify", "--seed", 2, "text.md"]
    new = run(instructed_home, *options).stdout
    diff = run(instructed_home, *options, "--diff").stdout
    patch = ["git", "apply", "--unsafe-paths", "-p1"]
    subprocess.run(patch, input=diff, cwd=instructed_home.folder, text=True, check=True)
    assert file.read_text() == new
