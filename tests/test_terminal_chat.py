"""The chat client, over the real endpoint of the real daemon and a scripted model process."""

import asyncio
import io
import os
import pty
import re
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from subprocess import Popen

import msgspec
import pytest
from command import Command, dgemma
from rich.console import Console

from dgemma_lsp import control, wire
from dgemma_lsp.chat import NANO_NOTE
from dgemma_lsp.chat_link import ChatLink
from dgemma_lsp.config import Config
from dgemma_lsp.progress import Progress
from dgemma_lsp.terminal_chat import Talk, converse, last_lines

__all__ = ["dgemma"]


class Screen:
    """A talk whose answers and remarks are kept apart as plain text."""

    def __init__(self, command: Command, out: io.StringIO | None = None) -> None:
        self.out, self.aside = out or io.StringIO(), io.StringIO()
        self.link = ChatLink(command.paths, lambda: None)
        self.talk = Talk(self.link, Console(file=self.out), Console(file=self.aside, width=200))

    def type(self, *lines: str | BaseException) -> tuple[str, str]:
        """Type these lines and then Ctrl-D; return what came of it, and the remarks."""
        waiting = iter(lines)

        def read_line(prompt: str, text: str) -> str:
            line = next(waiting, EOFError())
            if isinstance(line, BaseException):
                raise line
            return text + line

        for stream in (self.out, self.aside):
            stream.seek(0)
            stream.truncate()
        converse(self.talk, read_line)
        return self.out.getvalue(), self.aside.getvalue()


@pytest.fixture
def screen(dgemma: Command) -> Iterator[Screen]:
    with dgemma.real_daemon():
        screen = Screen(dgemma)
        with closing(screen.link):
            yield screen


def read_by_model(out: str) -> list[tuple[str, str]]:
    """The turns that the model read, as `/job` tells them."""
    job = msgspec.json.decode(out[out.index("{") :], type=wire.Chat)
    return [(turn.role, turn.content) for turn in job.messages]


def test_an_answer_is_printed_and_joins_the_conversation(screen: Screen) -> None:
    out, _ = screen.type("//echo one", "//job")
    assert out.startswith("one\n")
    assert read_by_model(out) == [("user", "/echo one"), ("assistant", "one"), ("user", "/job")]


def test_what_fails_is_told_and_the_talk_goes_on(screen: Screen) -> None:
    out, aside = screen.type(
        "//fail no luck", "", KeyboardInterrupt(), "/fly", "//drafts 2", "\0", "//echo two"
    )
    assert out.splitlines()[-1] == "two"
    for told in [
        "dgemma: no luck",
        "dgemma: /fly: no such command",
        "the model answered nothing",
        "dgemma: the message is no text: character 1 is U+0000",
    ]:
        assert told in aside


def test_nano_is_told_of_once_in_a_conversation_and_beside_the_answer(screen: Screen) -> None:
    out, aside = screen.type("//echo one", "//echo two", "/new", "//echo three")
    assert out == "one\ntwo\nthree\n"
    assert aside.count(NANO_NOTE) == 2


def listed(aside: str) -> list[tuple[str, str]]:
    return re.findall(r"\d\d:\d\d  (.+)  \((\d+) turns\)", aside)


def test_conversations_are_listed_opened_named_branched_and_deleted(screen: Screen) -> None:
    screen.type("//echo one", "/title Ones", "/new Twos", "//echo two")
    _, aside = screen.type("/list")
    assert listed(aside) == [("Twos", "2"), ("Ones", "2")]

    out, aside = screen.type("/open 2", "/branch", "//job", "/title Branch", "/list")
    assert "Ones  (2 turns)" in aside
    assert read_by_model(out.splitlines()[-1])[:2] == [("user", "/echo one"), ("assistant", "one")]
    assert listed(aside) == [("Branch", "4"), ("Twos", "2"), ("Ones", "2")]

    _, aside = screen.type("/delete 2", "/delete", "/list", "/delete 2")
    assert aside.count("deleted") == 2
    assert listed(aside) == [("Ones", "2")]
    assert "dgemma: 2: no number of the list (1 to 1)" in aside


def test_the_whole_conversation_is_shown_again(screen: Screen) -> None:
    screen.type("//echo one", "//fail no luck")
    out, aside = screen.type("/show")
    assert out == "one\n"
    assert [line for line in aside.splitlines() if line != NANO_NOTE][1:-1] == [
        "> /echo one",
        "> /fail no luck",
        "(failed)",
    ]


def test_an_answer_is_made_anew_and_a_question_put_differently(screen: Screen) -> None:
    out, _ = screen.type("//echo one", "/regenerate", "/edit /echo two", "/edit", " and three")
    assert out == "one\none\ntwo\ntwo and three\n"
    out, _ = screen.type("//job")
    assert [content for _, content in read_by_model(out)] == [
        "/echo two and three",
        "two and three",
        "/job",
    ]


def test_files_and_lines_of_them_are_read_with_the_next_question(
    screen: Screen, tmp_path: Path
) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\ny = 2\n")
    out, aside = screen.type(f"/attach {file}:2-2", "//echo one", "//job")
    assert f"{file}, line 2 is read with your next question" in aside
    contents = [content for _, content in read_by_model(out)]
    assert contents[0] == f"{file}, line 2:\n```py\ny = 2\n```\n\n/echo one"
    assert contents[-1] == "/job"


@pytest.mark.parametrize(
    ("content", "told"), [(b"\x7fELF\0", "binary"), (b"\xff\xfe", "UTF-8"), (None, "no such file")]
)
def test_what_is_no_text_cannot_be_attached(
    screen: Screen, tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "a.out"
    if content is not None:
        file.write_bytes(content)
    _, aside = screen.type(f"/attach {file}")
    (line,) = [line for line in aside.splitlines() if line.startswith("dgemma: ")]
    assert told in line


def test_a_system_prompt_is_set_before_and_within_a_conversation(screen: Screen) -> None:
    out, _ = screen.type("/system Be brief.", "//job", "/system", "//job")
    first, second = out.splitlines()
    assert read_by_model(first)[0] == ("system", "Be brief.")
    assert read_by_model(second)[0] == ("user", "/job")


def test_a_conversation_is_exported_into_a_file_that_is_new(screen: Screen, tmp_path: Path) -> None:
    markdown, as_json = tmp_path / "a.md", tmp_path / "a.json"
    _, aside = screen.type(
        "//echo שלום", f"/export {markdown}", f"/export {as_json}", f"/export {markdown}"
    )
    assert markdown.read_text(encoding="utf-8").endswith("שלום\n")
    assert len(msgspec.json.decode(as_json.read_bytes())["turns"]) == 2
    assert f"dgemma: {markdown}: cannot be written: File exists" in aside


@pytest.mark.parametrize("command", ["/regenerate", "/edit x", "/branch", "/show", "/export a.md"])
def test_a_command_that_needs_a_conversation_says_so(screen: Screen, command: str) -> None:
    _, aside = screen.type(command)
    assert "dgemma: nothing has been said yet in this conversation" in aside


class Interrupting(io.StringIO):
    """Ctrl-C comes while the first piece of the answer is written."""

    struck = False

    def write(self, text: str) -> int:
        if text == "one" and not self.struck:
            self.struck = True
            raise KeyboardInterrupt
        return super().write(text)


def test_ctrl_c_stops_the_answer_and_keeps_what_was_final(dgemma: Command) -> None:
    with dgemma.real_daemon():
        screen = Screen(dgemma, Interrupting())
        with closing(screen.link):
            _, aside = screen.type("//echo one\n/hang", "/show")
        report = asyncio.run(idle_report(dgemma))
    assert report.failed == 0  # taken back, not failed
    assert "stopped" in aside
    assert "one" in screen.out.getvalue()


def test_the_last_conversation_goes_on(dgemma: Command) -> None:
    with dgemma.real_daemon():
        assert dgemma("chat", "/echo one").out == "one\n"
        assert dgemma("chat", "--continue", "/job").code == 0
        outcome = dgemma("chat", "--continue", "/job")
    assert [content for _, content in read_by_model(outcome.out)][:2] == ["/echo one", "one"]


def test_a_first_conversation_has_none_to_go_on_with(dgemma: Command) -> None:
    with dgemma.real_daemon():
        outcome = dgemma("chat", "--continue", "/echo one")
    assert outcome.out == "one\n"
    assert "there is no conversation yet" in outcome.err


async def idle_report(dgemma: Command) -> wire.Report:
    """Ask until the daemon has nothing to do any more."""
    async with asyncio.timeout(30):
        while True:
            report = await control.report(Config(), dgemma.paths)
            assert report is not None
            if report.running == report.queued == 0:
                return report


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [(["/echo größe"], b"", "größe\n"), ([], "/echo größe\n".encode(), "größe\n")],
)
def test_one_question_gets_one_answer_on_stdout(
    dgemma: Command, arguments: list[str], stdin: bytes, expected: str
) -> None:
    with dgemma.real_daemon():
        outcome = dgemma("chat", *arguments, stdin=stdin)
    assert (outcome.code, outcome.out) == (0, expected)


def test_only_the_end_of_a_long_answer_is_drawn_with_what_may_change_dimmed() -> None:
    console = Console(file=io.StringIO(), width=12, height=5)
    progress = Progress(final="1\n2\n3\n4\n", draft="five six seven", stable=4)
    drawn = last_lines(progress, console)
    assert drawn.plain.split("\n") == ["4", "five six ", "seven"]
    (dimmed,) = {str(span.style) for span in drawn.spans}
    assert dimmed == "dim"
    assert drawn.plain[min(span.start for span in drawn.spans) :].strip() == "six \nseven"


# What a terminal is told when a line is asked for, and when the prompt is drawn.
PASTES_IN_BRACKETS, SHOWS_CURSOR = b"\x1b[?2004h", b"\x1b[?25h"


def test_in_a_terminal_ctrl_c_ends_the_answer_and_ctrl_d_the_conversation(
    dgemma: Command,
) -> None:
    with dgemma.real_daemon():
        ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        command = [sys.executable, "-m", "dgemma_lsp", "chat"]
        process = Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(theirs)
        with closing(os.fdopen(ours, "r+b", buffering=0)) as terminal:
            read_until_prompted(terminal)
            terminal.write(b"//hang\r")
            asyncio.run(busy(dgemma))
            terminal.write(b"\x03")
            read_until(terminal, b"stopped")
            read_until_prompted(terminal)
            terminal.write(b"//echo still here\r")
            assert read_until_prompted(terminal).count(b"still here") > 1  # typed, and answered
            terminal.write(b"\x04")
            with suppress(OSError):  # how Linux tells that the other side is closed
                while terminal.read(1):  # unread, it would keep the process from ending
                    pass
            assert process.wait(30) == 0


def take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def busy(dgemma: Command) -> None:
    async with asyncio.timeout(30):
        while True:
            report = await control.report(Config(), dgemma.paths)
            if report is not None and report.running:
                return


def read_until(terminal: io.FileIO, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        piece = terminal.read(1)
        assert piece, seen
        seen += piece
    return seen


def read_until_prompted(terminal: io.FileIO) -> bytes:
    return read_until(terminal, PASTES_IN_BRACKETS) + read_until(terminal, SHOWS_CURSOR)
