from pathlib import Path

import pytest
from command import Command, dgemma

from dgemma_lsp import proofread
from dgemma_lsp.accepted import add_to_project
from dgemma_lsp.errors import UserError
from dgemma_lsp.proofreader import Finding

__all__ = ["dgemma"]

WRONG = "Read this functoin twice.\r\n\r\nIt is the the end 🙂.\r\n"


def finding(word: str, text: str) -> Finding:
    start = WRONG.index(word)
    return Finding(start, start + len(word), text, "spelling", "Misspelt", word, "")


@pytest.fixture
def report(tmp_path: Path) -> proofread.Report:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf" + WRONG.encode())
    return proofread.Report(
        file, WRONG, [finding("functoin", "function"), finding(" the the", " the")]
    )


def test_a_file_that_is_put_right_keeps_its_line_ends_and_its_mark(report) -> None:
    report.write()
    expected = "\ufeffRead this function twice.\r\n\r\nIt is the end 🙂.\r\n"
    assert report.file.read_bytes().decode() == expected


def test_a_finding_is_told_as_compilers_do(report) -> None:
    assert report.lines()[0] == f"{report.file}:1:11: functoin: Misspelt (spelling)"
    assert report.lines()[1].startswith(f"{report.file}:3:6: ")


def test_a_diff_shows_each_line_before_and_after(report) -> None:
    diff = report.diff().splitlines()
    assert "-Read this functoin twice." in diff
    assert "+Read this function twice." in diff


def test_a_file_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(UserError, match=r"a\.bin: cannot tell"):
        proofread.language(Path("a.bin"))


def test_the_command_tells_what_is_wrong_and_exits_with_1(dgemma: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("This is the the end of it.\n")
    said = dgemma("proofread", "--alone", file)
    assert said.code == 1
    assert said.out.startswith(f"{file}:1:12: the: Written twice")
    assert dgemma("proofread", "--alone", "--diff", file).out.endswith("+This is the end of it.\n")
    assert dgemma("proofread", "--alone", "--fix", file).code == 1
    assert file.read_text() == "This is the end of it.\n"
    assert dgemma("proofread", "--alone", file) == (0, "", "")


def test_the_words_of_a_project_and_what_was_accepted_hold_for_the_command(
    dgemma: Command, tmp_path: Path
) -> None:
    file = tmp_path / "folder" / "a.md"
    file.parent.mkdir()
    file.write_text("It is one functoin of many here.\n")
    assert dgemma("proofread", "--alone", file).code == 1
    add_to_project(tmp_path, "functoin")
    assert dgemma("proofread", "--alone", file).code == 0


def test_a_file_that_is_not_there_is_refused_in_one_line(dgemma: Command, tmp_path: Path) -> None:
    said = dgemma("proofread", "--alone", tmp_path / "none.md")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no such file" in said.err
