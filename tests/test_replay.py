"""The replay of a trace: where it comes from, and that a person's keys go through a real server."""

import os
from pathlib import Path

import msgspec
import pytest

from dgemma_lsp import config, keystrokes, replay
from dgemma_lsp.config import Config
from dgemma_lsp.errors import UserError

OLD = "import os\n\n\ndef area(width, height):\n    return 0\n"
TYPED = "width * height\n\n\ndef name():\n    return os.name"
NEW = OLD.replace("0", TYPED)


@pytest.fixture
def states(tmp_path: Path) -> tuple[str, str]:
    for side, text in (("old", OLD), ("new", NEW)):
        (tmp_path / side / "sub").mkdir(parents=True)
        (tmp_path / side / "sub" / "box.py").write_text(text)
        (tmp_path / side / f"only_{side}.py").write_text("x = 1\n")
        (tmp_path / side / "notes.txt").write_text(side)
    return str(tmp_path / "old"), str(tmp_path / "new")


def test_the_history_is_what_differs_in_python_files_of_both_states(
    states: tuple[str, str], tmp_path: Path
) -> None:
    (pieces,) = replay.history(*replay.trees(*states, tmp_path))
    assert [(piece.file, piece.removed, piece.text) for piece in pieces] == [
        ("sub/box.py", "0", TYPED)
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere", "nowhere: neither a folder nor a pinned package such as click==8.1.7"),
        ("no such==thing", "no such==thing: cannot be fetched: "),
    ],
)
def test_a_state_that_is_not_there_is_refused(tmp_path: Path, place: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        replay.trees(place, str(tmp_path), tmp_path)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("ways", "words"),
    [(["fast"], "--way fast: there are cache and prefetch, no prefetch"), ([], "typed anew")],
)
def test_a_way_or_a_trace_that_is_none_is_refused(
    tmp_path: Path, ways: list[str], words: str
) -> None:
    (tmp_path / "same.py").write_text(OLD)
    same = str(tmp_path), str(tmp_path)
    with pytest.raises(UserError, match=words):
        next(replay.run(same, Config(), {}, characters=50, ways=ways, seed=0))


def test_each_way_has_options_that_the_file_of_its_user_says(tmp_path: Path) -> None:
    for options in replay.WAYS.values():
        chosen = replay.with_options(Config(), options)
        (tmp_path / "config.toml").write_text(replay.to_toml(chosen))
        assert config.load(tmp_path / "config.toml") == chosen
    assert (
        len({msgspec.json.encode(replay.with_options(Config(), o)) for o in replay.WAYS.values()})
        == 4
    )


def keys_of(text: str) -> int:
    """How often a key is pressed for it, with the wrong letters that are taken back."""
    count = at = 0
    while at < len(text):
        key = keystrokes.key(0, 0, text, at)
        count += 3 if key.wrong else 1
        at += len(key.text)
    return count


@pytest.mark.e2e
def test_a_trace_is_typed_with_the_shipped_server_and_counted(states: tuple[str, str]) -> None:
    (figures,) = replay.run(
        states, Config(), os.environ, characters=50, ways=["no prefetch"], seed=0
    )
    # One key takes out what is replaced; a suggestion that is accepted saves some.
    assert 1 < figures.keys <= 1 + keys_of(TYPED)
    assert figures.steps > 0 or not figures.suggestions
    assert 0 <= figures.exact <= 100
    assert figures.ms_p50 <= figures.ms_p95
