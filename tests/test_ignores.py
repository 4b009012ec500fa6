import os
from pathlib import Path

import pytest

from dgemma_lsp.ignores import NAME, Ignores, match


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_text("*.key\n/secret/\n!ok.key\n# nothing\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.key", True),
        ("deep/a.key", True),
        ("ok.key", False),
        ("secret/a.py", True),
        ("deep/secret/a.py", False),
        ("a.py", False),
    ],
)
def test_a_file_is_left_out_by_the_patterns_of_its_folder(
    root: Path, name: str, expected: bool
) -> None:
    assert Ignores().leave_out(root / name, [root]) is expected


def test_each_folder_of_the_workspace_has_patterns_of_its_own(root: Path) -> None:
    inner = root / "deep"
    inner.mkdir()
    (inner / NAME).write_text("*.py\n")
    ignores = Ignores()
    assert ignores.leave_out(inner / "a.py", [root, inner])
    assert ignores.leave_out(inner / "a.key", [root, inner])
    assert not ignores.leave_out(root / "a.py", [root, inner])
    assert not ignores.leave_out(root / "a.key", [inner])


def test_changed_patterns_hold_at_once_and_removed_ones_no_more(root: Path) -> None:
    ignores = Ignores()
    assert not ignores.leave_out(root / "a.py", [root])
    (root / NAME).write_text("*.py\n")
    os.utime(root / NAME, ns=(1, 1))
    assert ignores.leave_out(root / "a.py", [root])
    (root / NAME).unlink()
    assert not ignores.leave_out(root / "a.py", [root])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"!\n"])
def test_patterns_that_cannot_be_read_leave_everything_out(
    root: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (root / NAME).write_bytes(content)
    assert Ignores().leave_out(root / "a.py", [root])
    assert str(root / NAME) in caplog.text


def test_what_is_no_file_is_not_left_out(root: Path) -> None:
    assert not Ignores().leave_out(None, [root])
    assert not match(["*"], None, [root])


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ([], "a.py", False),
        (["*.py"], "deep/a.py", True),
        (["/deep/*"], "deep/a.py", True),
        (["/a.py"], "deep/a.py", False),
        (["*", "!*.py"], "a.py", False),
        (["!"], "a.py", False),
    ],
)
def test_the_patterns_of_the_options_are_relative_to_the_folders(
    root: Path, patterns: list[str], name: str, expected: bool
) -> None:
    assert match(patterns, root / name, [root]) is expected


def test_without_folders_the_patterns_are_relative_to_the_file_system() -> None:
    assert match(["/etc/*"], Path("/etc/passwd"), [])
    assert not match(["/passwd"], Path("/etc/passwd"), [])
