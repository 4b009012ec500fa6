"""The files of a workspace that may be copied from."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from dgemma_lsp import project
from dgemma_lsp.elsewhere import Lines
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.project import Project, top


@pytest.fixture
def root(tmp_path: Path) -> Path:
    texts = {
        "me.py": "me",
        "near.py": "near",
        "notes.md": "notes",
        "a/b/far.py": "far",
        "a/beside.py": "beside",
        "node_modules/other.py": "foreign",
        ".hidden/x.py": "hidden",
        "made/x.py": "made",
        "secret.py": "secret",
        ".gitignore": "made/\n",
        ".dgemmaignore": "secret.py\n",
    }
    for name, text in texts.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def texts(lines: Sequence[Lines]) -> list[str]:
    return [one.text for one in lines]


def looked(root: Path, name: str = "me.py", files: int = 9) -> list[str]:
    return texts(Project(Ignores().leave_out).look(root / name, [root], files))


def test_the_projects_own_files_of_the_same_kind_are_read_the_nearest_first(root: Path) -> None:
    assert looked(root) == ["near", "beside", "far"]
    assert looked(root, "a/b/far.py") == ["beside", "me", "near"]
    assert looked(root, "notes.md") == []


def test_no_more_files_are_read_than_asked_for(root: Path) -> None:
    # One of them may be the file itself.
    assert looked(root, files=2) == ["near"]
    assert looked(root, files=0) == []


def test_a_long_or_unreadable_file_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "MAX_FILE_BYTES", 5)
    (root / "near.py").write_bytes(b"\xff\xfe")
    assert looked(root) == ["far"]


def test_a_file_is_read_again_only_when_it_has_changed(root: Path) -> None:
    one = Project(Ignores().leave_out)
    first = one.look(root / "me.py", [root], 9)
    again = one.look(root / "me.py", [root], 9)
    assert all(a is b for a, b in zip(first, again, strict=True))
    (root / "near.py").write_text("nearer")
    (root / "a" / "beside.py").unlink()
    assert texts(one.look(root / "me.py", [root], 9)) == ["nearer", "far"]


async def test_what_is_known_is_given_at_once_and_the_rest_is_looked_for_meanwhile(
    root: Path,
) -> None:
    one = Project(Ignores().leave_out)
    assert one.known(root / "me.py", [root], 9) == []
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    assert texts(one.known(root / "me.py", [root], 9)) == ["near", "beside", "far"]


def test_without_a_workspace_a_project_begins_where_its_mark_lies(root: Path) -> None:
    assert top(root / "a" / "b" / "far.py") == root / "a" / "b"
    (root / "pyproject.toml").write_text("")
    assert top(root / "a" / "b" / "far.py") == root
