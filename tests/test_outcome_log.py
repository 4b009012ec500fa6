import stat
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Ended, Kept, Line


def ended(id: str) -> Ended:
    return Ended(
        id=id,
        at=1.5,
        language="python",
        outcome="ignored",
        latency_ms=7.0,
        steps=3,
        chars=4,
        taken=0,
        seconds=2.0,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.jsonl"


def test_what_was_appended_is_read_in_order_and_no_one_else_may_read_it(path: Path) -> None:
    log = OutcomeLog(path)
    lines: list[Line] = [ended("a"), Kept(id="a", after_s=30.0, share=0.5)]
    log.append(lines[:1])
    log.append([])
    log.append(lines[1:])
    assert log.read() == OutcomeLog(path).read() == lines
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_there_are_no_lines(path: Path) -> None:
    assert OutcomeLog(path).read() == []
    OutcomeLog(path).append([])
    assert not path.exists()


def test_what_is_no_line_of_this_version_is_left_out(path: Path) -> None:
    OutcomeLog(path).append([ended("a")])
    with path.open("ab") as file:
        file.write(b'half\n\xff\n{"type":"of the future"}\n')
    OutcomeLog(path).append([ended("b")])
    assert OutcomeLog(path).read() == [ended("a"), ended("b")]


def test_two_files_of_the_limit_are_all_that_is_kept(path: Path) -> None:
    log = OutcomeLog(path, limit=1000)
    for number in range(200):
        log.append([ended(str(number))])
        assert sum(f.stat().st_size for f in path.parent.iterdir()) < 2300
    ids = [int(line.id) for line in log.read()]
    assert ids == list(range(ids[0], 200)) and len(ids) > 5


def test_a_full_file_that_somebody_else_is_turning_is_left_to_them(path: Path) -> None:
    log = OutcomeLog(path, limit=1)
    with FileLock(path.with_suffix(".lock")):
        log.append([ended("a")])
    assert not log.older.exists()
    assert log.read() == [ended("a")]


def test_many_writers_lose_no_line(path: Path) -> None:
    def write(writer: int) -> None:
        for number in range(50):
            OutcomeLog(path).append([ended(f"{writer}-{number}")])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {line.id for line in OutcomeLog(path).read()} == {
        f"{writer}-{number}" for writer in range(4) for number in range(50)
    }


def test_a_file_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    OutcomeLog(tmp_path / "none" / "outcomes.jsonl").append([ended("a")])
    assert "not recorded" in caplog.text and "No such file" in caplog.text
