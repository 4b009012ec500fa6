import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from background import in_background
from command import Command, dgemma
from scripted_daemon import ScriptedDaemon
from scripted_rewrites import in_capitals

from dgemma_lsp import settings, write_file
from dgemma_lsp.errors import UserError

__all__ = ["dgemma"]

TEXT = "# one `x`\n\ntwo\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "größe.md"
    path.write_text(TEXT)
    return path


@pytest.fixture
def write(dgemma: Command) -> Iterator[Command]:
    """The command line beside a daemon that writes in capitals."""
    settings.prepare_folders(dgemma.paths)
    with in_background(lambda: ScriptedDaemon(dgemma.paths.socket, in_capitals)):
        yield dgemma


def test_the_result_is_printed_and_the_file_stays(write: Command, file: Path) -> None:
    assert write("write", "--mode", "shorten", file) == (0, "# ONE `x`\n\nTWO\n", "")
    assert file.read_text() == TEXT


def test_what_stands_on_stdin_is_rewritten_too(write: Command) -> None:
    assert write("write", "--mode", "formal", "-", stdin="größe".encode()).out == "GRÖSSE\n"


def test_a_diff_names_the_file_and_applies(write: Command, file: Path) -> None:
    outcome = write("write", "--mode", "shorten", file, "--diff", "--lines", "3")
    assert outcome.out == (
        f"--- a/{file}\n+++ b/{file}\n@@ -1,3 +1,3 @@\n # one `x`\n \n-two\n+TWO\n"
    )


def test_a_diff_tells_of_a_line_that_has_no_end(write: Command) -> None:
    outcome = write("write", "--mode", "shorten", "-", "--diff", stdin=b"one")
    assert outcome.out.splitlines()[3:] == [
        "-one",
        "\\ No newline at end of file",
        "+ONE",
        "\\ No newline at end of file",
    ]


def test_in_place_the_file_is_replaced_and_keeps_its_mode(write: Command, file: Path) -> None:
    file.chmod(0o640)
    assert write("write", "--mode", "shorten", "--in-place", file) == (0, "", "")
    assert file.read_text() == "# ONE `x`\n\nTWO\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_line_ends_stay_as_they_are(write: Command, file: Path) -> None:
    file.write_bytes(b"one\r\n\r\ntwo\r\n")
    write("write", "--mode", "shorten", "--in-place", file)
    assert file.read_bytes() == b"ONE\r\n\r\nTWO\r\n"


def test_a_text_that_stays_as_it_is_has_an_exit_code_of_its_own(write: Command, file: Path) -> None:
    file.write_text("A\n")
    assert write("write", "--mode", "shorten", file, "--diff") == (4, "", "")


def test_variants_are_printed_one_under_the_other(write: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = ")
    outcome = write("write", "--mode", "continue", "--variants", 2, file)
    assert outcome.out == "x = text 0\n--- variant 2 ---\nx = text 1\n"


def test_an_explanation_is_printed(write: Command, file: Path) -> None:
    assert "two" in write("write", "--mode", "explain", file).out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--mode", "sing"], "mode 'sing': there are"),
        ([], "--mode"),
        (["--mode", "translate"], "into which language"),
        (["--mode", "shorten", "--lines", "9"], "the text has the lines 1 to 3"),
        (["--mode", "shorten", "--lines", "2:1"], "the text has the lines 1 to 3"),
        (["--mode", "shorten", "--lines", "a:b"], "give A:B"),
        (["--mode", "shorten", "--strength", "2"], "--strength"),
        (["--mode", "shorten", "--in-place", "--diff"], "--in-place takes"),
        (["--mode", "shorten", "--in-place", "--variants", "2"], "--in-place takes"),
        (["--mode", "explain", "--in-place"], "--in-place takes"),
        (["--mode", "docstring"], "Python only, not markdown"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_starts_nothing(
    dgemma: Command, file: Path, arguments: list[str], named: str
) -> None:
    outcome = dgemma("write", file, *arguments)
    assert outcome.code == 2
    assert named in outcome.err
    assert outcome.err.count("\n") == 1
    assert not dgemma.paths.socket.exists()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (None, "one\ntwo\nthree"),
        ("1", "one"),
        ("2:3", "two\nthree"),
        ("1:2", "one\ntwo"),
    ],
)
def test_lines_are_selected_without_the_end_of_the_last(lines: str | None, expected: str) -> None:
    text = "one\ntwo\nthree"
    start, end = write_file.selection(text, lines)
    assert text[start:end] == expected


def test_stdin_that_is_no_text_is_refused() -> None:
    with pytest.raises(UserError, match="byte 0xff"):
        write_file.read(write_file.STDIN, io.BytesIO(b"a\xff"))


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_file.replace_file(tmp_path / "absent" / "a.md", "new")
