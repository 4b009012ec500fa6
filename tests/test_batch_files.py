"""The journal of a batch, and above all what a kill at any moment leaves of it."""

import json
import os
import random
import time

import pytest

from dgemma_lsp import batch_files, wire
from dgemma_lsp.batch_files import Header, Journal, Places, read
from dgemma_lsp.batch_lines import Failure, Result
from dgemma_lsp.errors import UserError

HEADER = Header(input="abc", model="nano", sampling=wire.Sampling(seed=1))
ORDER = [4, 1, 5, 2, 3]  # in which the lines have their end


def record(line):
    if line == 2:
        return Failure(line=2, error="no luck: ü\n")
    return Result(line=line, text=f"téxt\n{line}", reason="eos", tokens=3, steps=2, ms=1.5)


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text("the input")
    return file


def work(source, out, *, header=HEADER, restart=False):
    """Do what a run does; return the lines that it asked."""
    asked = []
    with Journal(Places(source, out), restart=restart) as journal:
        journal.begin(header)
        for line in ORDER:
            if line not in journal:
                asked.append(line)
                journal.add(record(line))
        assert (journal.done, journal.failed, len(journal)) == (4, {2}, 5)
        journal.finish()
    return asked


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "in.jsonl"}


class Killed(BaseException):
    pass


class Mortal:
    """`os` of a process that is killed after so many bytes and other changes were made.

    Like the kernel it closes the files then; nothing changes any more.
    """

    def __init__(self, lives):
        self.lives = lives
        self.files = set()

    def __getattr__(self, name):
        return getattr(os, name)

    def spend(self):
        if self.lives <= 0:
            for file in self.files:
                os.close(file)
            self.files.clear()
            raise Killed
        self.lives -= 1

    def open(self, path, flags, mode=0o777):
        if flags & os.O_CREAT:
            self.spend()
        self.files.add(file := os.open(path, flags, mode))
        return file

    def close(self, file):
        if file in self.files:
            self.files.remove(file)
            os.close(file)

    def fstat(self, file):
        if file not in self.files:
            raise Killed
        return os.fstat(file)

    def write(self, file, data):
        if not self.lives:
            self.spend()
        written = os.write(file, data[: self.lives])
        self.lives -= written
        return written

    def ftruncate(self, file, size):
        self.spend()
        os.ftruncate(file, size)

    def replace(self, one, other):
        self.spend()
        os.replace(one, other)

    def unlink(self, path):
        self.spend()
        os.unlink(path)

    def fsync(self, file):
        pass  # of no use against a kill


def work_and_die(monkeypatch, source, out, lives, **options):
    """Run for so long; return what is left of `lives`, or None where it was killed."""
    mortal = Mortal(lives)
    with monkeypatch.context() as patch:
        patch.setattr(batch_files, "os", mortal)
        try:
            work(source, out, **options)
        except Killed:
            return None
    return mortal.lives


def whole_lines(journal):
    """The lines that the journal holds, by the file alone."""
    if not journal.exists():
        return set()
    raw = journal.read_bytes().split(b"\n")[1:-1]
    return {json.loads(line)["line"] for line in raw}


def test_the_output_has_the_order_of_the_input_and_the_side_file_the_rest(source, tmp_path):
    assert work(source, tmp_path / "out.jsonl") == ORDER
    assert set(contents(tmp_path)) == {"out.jsonl", "out.errors.jsonl"}
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in lines] == [1, 3, 4, 5]
    assert json.loads(lines[1])["text"] == "téxt\n3"
    errors = (tmp_path / "out.errors.jsonl").read_text()
    assert errors == '{"line":2,"error":"no luck: ü\\n"}\n'


def test_a_kill_at_any_byte_neither_loses_nor_repeats_a_line(source, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # thousands of them, of no use here
    whole = tmp_path / "whole"
    whole.mkdir()
    plenty = 100_000
    history = plenty - work_and_die(monkeypatch, source, whole / "out.jsonl", plenty)
    assert history > 2 * len((whole / "out.jsonl").read_bytes())
    expected = contents(whole)
    for lives in range(history):
        folder = tmp_path / f"{lives}"
        folder.mkdir()
        out = folder / "out.jsonl"
        assert work_and_die(monkeypatch, source, out, lives) is None
        kept = whole_lines(folder / "out.jsonl.partial")
        if out.exists():  # then it is whole
            assert out.read_bytes() == expected["out.jsonl"]
        assert work(source, out) == [line for line in ORDER if line not in kept]
        assert contents(folder) == expected, f"killed after {lives}"


@pytest.mark.parametrize("seed", range(20))
def test_many_kills_one_after_the_other_lose_nothing(source, tmp_path, monkeypatch, seed):
    chance = random.Random(seed)
    out = tmp_path / "out.jsonl"
    kills = 0
    while work_and_die(monkeypatch, source, out, chance.randrange(600)) is None:
        kills += 1
        assert kills < 1000
    work(source, tmp_path / "whole.jsonl")
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert set(contents(tmp_path)) == {
        f"{name}.jsonl" for name in ("out", "out.errors", "whole", "whole.errors")
    }


def test_what_follows_a_damaged_line_is_done_again(source, tmp_path, monkeypatch):
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    work(source, tmp_path / "whole.jsonl")
    assert work_and_die(monkeypatch, source, out, 500) is None
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 4
    journal.write_bytes(b"".join([*lines[:2], b"\0" * 60 + b"\n", *lines[3:]]))
    assert work(source, out) == ORDER[1:]
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            Header(input="abd", model="nano", sampling=wire.Sampling(seed=1)),
            "with other input, which has changed since",
        ),
        (
            Header(input="abc", model="other", sampling=wire.Sampling(seed=1)),
            "with the model nano, and now other answers",
        ),
        (
            Header(input="abc", model="nano", sampling=wire.Sampling(max_steps=2)),
            r"with the options \{\"seed\":1\}, not \{\"max_steps\":2\}",
        ),
        (
            Header(batch=2, input="abc", model="nano", sampling=wire.Sampling(seed=1)),
            r"by another version of this program \(1\)",
        ),
    ],
)
def test_the_results_of_something_else_are_not_gone_on_with(
    source, tmp_path, monkeypatch, header, words
):
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    work_and_die(monkeypatch, source, out, 350)
    before = journal.read_bytes()
    with pytest.raises(UserError, match=f"{words}.*; `--restart` begins anew"):
        work(source, out, header=header)
    assert journal.read_bytes() == before
    assert work(source, out, header=header, restart=True) == ORDER


@pytest.mark.parametrize("text", ["a diary\n", "a diary", '{"a": 1}\n{"line": 1}\ntorn'])
def test_a_file_of_somebody_else_is_left_alone(source, tmp_path, text):
    journal = tmp_path / "out.jsonl.partial"
    journal.write_text(text)
    with pytest.raises(UserError, match="is no journal of a batch; `--restart` begins anew"):
        work(source, tmp_path / "out.jsonl")
    assert journal.read_text() == text


@pytest.mark.parametrize("name", ["out.jsonl", "out.errors.jsonl"])
def test_an_output_that_is_there_is_replaced_only_when_asked_to(source, tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(UserError, match=f"{name}: exists already; .*--restart"):
        work(source, tmp_path / "out.jsonl")
    assert contents(tmp_path) == {name: b"precious"}
    assert work(source, tmp_path / "out.jsonl", restart=True) == ORDER
    assert b"precious" not in contents(tmp_path).values()


def test_a_restart_that_was_killed_goes_on_without_being_asked_again(source, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    assert work_and_die(monkeypatch, source, out, 350, restart=True) is None
    assert out.read_text() == "old"
    assert 0 < len(work(source, out)) < 5
    assert out.read_text() != "old"


def test_what_a_killed_end_of_another_run_left_is_written_over(source, tmp_path):
    work(source, tmp_path / "whole.jsonl")
    (tmp_path / ".out.jsonl.new").write_text("half an output\n" * 1000)
    work(source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / ".out.jsonl.new").exists()


def test_a_side_file_that_is_out_of_date_goes(source, tmp_path):
    (tmp_path / "out.errors.jsonl").write_text("old")
    with Journal(Places(source, tmp_path / "out.jsonl"), restart=True) as journal:
        journal.begin(HEADER)
        journal.add(record(1))
        journal.finish()
    assert set(contents(tmp_path)) == {"out.jsonl"}


def test_a_journal_that_was_never_begun_leaves_no_file(source, tmp_path):
    with Journal(Places(source, tmp_path / "out.jsonl"), restart=False):
        assert set(contents(tmp_path)) == {"out.jsonl.partial"}
    assert contents(tmp_path) == {}


def test_two_runs_do_not_write_the_same_output(source, tmp_path):
    places = Places(source, tmp_path / "out.jsonl")
    with Journal(places, restart=False):
        with (
            pytest.raises(UserError, match="another `dgemma batch` writes it"),
            Journal(places, restart=False),
        ):
            pass
        assert set(contents(tmp_path)) == {"out.jsonl.partial"}


def test_an_output_behind_a_link_is_written_where_the_link_points(source, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "far" / "real.jsonl")
    work(source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").is_symlink()
    assert set(contents(tmp_path / "far")) == {"real.jsonl", "real.errors.jsonl"}


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("", "is a folder"),
        ("in.jsonl", "in.jsonl: is the input itself"),
        ("sub/../in.jsonl", "is the input itself"),
        ("link.jsonl", "is the input itself"),
        ("hard.jsonl", "is the input itself"),
        ("fifo", "no regular file"),
        ("busy.jsonl", "busy.errors.jsonl: is no regular file"),
        ("absent/out.jsonl", "cannot be written: No such file or directory"),
        ("in.jsonl/out.jsonl", "cannot be written: Not a directory"),
    ],
)
def test_an_output_that_cannot_be_is_refused(source, tmp_path, out, words):
    (tmp_path / "sub").mkdir()
    (tmp_path / "busy.errors.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to(source)
    (tmp_path / "hard.jsonl").hardlink_to(source)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match=words):
        work(source, tmp_path / out)


@pytest.mark.parametrize("suffix", ["errors.jsonl", "jsonl.partial"])
def test_the_input_may_not_lie_at_the_side_file_or_the_journal(tmp_path, suffix):
    source = tmp_path / f"out.{suffix}"
    source.write_text("")
    with pytest.raises(UserError, match="is the input itself"):
        Places(source, tmp_path / "out.jsonl")


def test_a_full_disk_is_told_and_what_was_written_stays(source, tmp_path, monkeypatch):
    class Full(Mortal):
        def write(self, file, data):
            if self.lives < len(data):
                raise OSError(28, "No space left on device")
            return super().write(file, data)

    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(batch_files, "os", Full(350))
        with pytest.raises(UserError, match=r"out.jsonl.partial: cannot be written: No space left"):
            work(source, out)
    kept = whole_lines(tmp_path / "out.jsonl.partial")
    assert kept
    assert work(source, out) == [line for line in ORDER if line not in kept]


def test_results_reach_the_disk_every_second(source, tmp_path, monkeypatch):
    class Clock:
        now = time.monotonic()

        def monotonic(self):
            return self.now

    synced, clock = [], Clock()
    monkeypatch.setattr(batch_files, "time", clock)
    with Journal(Places(source, tmp_path / "out.jsonl"), restart=False) as journal:
        journal.begin(HEADER)
        monkeypatch.setattr(batch_files.os, "fsync", synced.append)
        for line, pause in [(1, 0.0), (2, 0.5), (3, 0.4), (4, 0.2), (5, 0.5)]:
            clock.now += pause
            journal.add(record(line))
    assert len(synced) == 2  # with the first line and with the fourth


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent", "absent: no such file"), ("", "is a folder"), ("in.jsonl/x", "cannot be read")],
)
def test_an_input_that_cannot_be_read_is_refused(source, tmp_path, name, words):
    with pytest.raises(UserError, match=words):
        read(tmp_path / name)


def test_the_input_is_known_by_its_sha_256(source):
    # sha256sum of the same bytes
    digest = "65d1a0fe71d083171eb4a5662f92b5a29e061bc5f563411a6dc38dce2f14141c"
    assert read(source) == (b"the input", digest)
