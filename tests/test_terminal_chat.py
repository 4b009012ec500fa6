"""The chat client, over the real endpoint of the real daemon and a scripted model process."""

import asyncio
import io
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from subprocess import Popen

import msgspec
import pytest
from command import Command, dgemma
from rich.console import Console

from dgemma_lsp import control, wire
from dgemma_lsp.config import Config
from dgemma_lsp.errors import DaemonUnavailable, ModelFailed, Unauthorized
from dgemma_lsp.progress import Progress
from dgemma_lsp.runtime import write_private
from dgemma_lsp.terminal_chat import Conversation, connection, last_lines, read_endpoint, talk

__all__ = ["dgemma"]


class Screen:
    """A conversation whose answers and remarks are kept apart as plain text."""

    def __init__(self, command: Command, out: io.StringIO | None = None) -> None:
        self.out, self.aside = out or io.StringIO(), io.StringIO()
        self.conversation = Conversation(
            command.paths, lambda: None, Console(file=self.out), Console(file=self.aside)
        )


@pytest.fixture
def screen(dgemma: Command) -> Iterator[Screen]:
    with dgemma.real_daemon():
        yield Screen(dgemma)


def test_an_answer_is_printed_and_joins_the_conversation(screen: Screen) -> None:
    screen.conversation.ask("/echo one")
    screen.conversation.ask("/job")
    job = msgspec.json.decode(screen.out.getvalue().split("\n")[1], type=wire.Chat)
    assert screen.out.getvalue().startswith("one\n")
    assert [(turn.role, turn.content) for turn in job.messages[-3:]] == [
        ("user", "/echo one"),
        ("assistant", "one"),
        ("user", "/job"),
    ]
    assert not job.drafts


def test_a_failed_question_does_not_join_the_conversation(screen: Screen) -> None:
    with pytest.raises(ModelFailed, match="no luck"):
        screen.conversation.ask("/fail no luck")
    assert screen.conversation.turns == []


def test_an_empty_answer_is_told_and_does_not_join_the_conversation(screen: Screen) -> None:
    screen.conversation.ask("/drafts 2")
    assert screen.aside.getvalue() == "the model answered nothing\n"
    assert screen.conversation.turns == []


def test_nano_is_introduced_with_its_limits(screen: Screen) -> None:
    screen.conversation.introduce()
    assert screen.aside.getvalue() == (
        "nano is a small code model; it does not converse. "
        "For chat use --model google/diffusiongemma-26B-A4B-it\n"
    )


class Interrupting(io.StringIO):
    """Ctrl-C comes while the first piece of the answer is written."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


def test_ctrl_c_takes_the_request_back_and_keeps_what_was_final(dgemma: Command) -> None:
    with dgemma.real_daemon():
        screen = Screen(dgemma, Interrupting())
        with pytest.raises(KeyboardInterrupt):
            screen.conversation.ask("/echo one\n/hang")
        report = asyncio.run(idle_report(dgemma))
    assert report.failed == 0  # taken back, not failed
    assert [turn.content for turn in screen.conversation.turns] == ["/echo one\n/hang", "one"]


async def idle_report(dgemma: Command) -> wire.Report:
    """Ask until the daemon has nothing to do any more."""
    async with asyncio.timeout(30):
        while True:
            report = await control.report(Config(), dgemma.paths)
            assert report is not None
            if report.running == report.queued == 0:
                return report


def test_talking_goes_on_after_errors_and_ends_with_the_input(screen: Screen) -> None:
    lines = iter(["/fail no luck", "", KeyboardInterrupt(), "/echo two"])

    def read_line(prompt: str) -> str:
        line = next(lines, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    talk(screen.conversation, read_line)
    assert screen.out.getvalue() == "two\n"
    assert "dgemma: no luck" in screen.aside.getvalue()


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


def test_a_wrong_token_is_refused(dgemma: Command) -> None:
    with dgemma.real_daemon():
        real = read_endpoint(dgemma.paths)
        write_private(dgemma.paths.endpoint, msgspec.structs.replace(real, token="wrong"))
        with pytest.raises(Unauthorized, match="401"), connection(dgemma.paths):
            pass


def test_without_a_daemon_there_is_no_endpoint(dgemma: Command) -> None:
    with pytest.raises(DaemonUnavailable, match=r"endpoint\.json"):
        read_endpoint(dgemma.paths)


def test_only_the_end_of_a_long_answer_is_drawn_with_what_may_change_dimmed() -> None:
    console = Console(file=io.StringIO(), width=10, height=5)
    progress = Progress(final="1\n2\n3\n4\n", draft="five six seven", stable=4)
    drawn = last_lines(progress, console)
    assert drawn.plain.split("\n") == ["4", "five six ", "seven"]
    (dimmed,) = {str(span.style) for span in drawn.spans}
    assert dimmed == "dim"
    assert drawn.plain[min(span.start for span in drawn.spans) :].strip() == "six \nseven"


def test_in_a_terminal_ctrl_c_ends_the_answer_and_ctrl_d_the_conversation(
    dgemma: Command,
) -> None:
    with dgemma.real_daemon():
        ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm"}
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
            read_until(terminal, b"> ")
            terminal.write(b"/hang\n")
            asyncio.run(busy(dgemma))
            terminal.write(b"\x03")
            read_until(terminal, b"cancelled")
            read_until(terminal, b"> ")
            terminal.write(b"/echo still here\n")
            assert read_until(terminal, b"> ").count(b"still here") > 1  # typed, and answered
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
