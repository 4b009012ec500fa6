"""An editor in a terminal: keys go in, and the screen that a person would see is read."""

import fcntl
import os
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyte
from home import Home, until

ROWS, COLUMNS = 30, 100


class Terminal:
    """The screen and the keyboard of one running program."""

    def __init__(self, keyboard: int) -> None:
        self._keyboard = keyboard
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._drawing = threading.Lock()

    def draw_until_closed(self) -> None:
        """Take what the program writes until it ends; run this in a thread."""
        with suppress(OSError):  # what Linux says when the program is gone
            while written := os.read(self._keyboard, 65536):
                with self._drawing:
                    self._stream.feed(written)

    def keys(self, keys: str) -> None:
        """Press keys; control characters stand for their keys."""
        os.write(self._keyboard, keys.encode())

    def screen(self) -> str:
        """What is on the screen, without what is blank at the ends of lines."""
        with self._drawing:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def await_text(self, text: str) -> None:
        """Wait until this is on the screen."""
        try:
            until(lambda: text in self.screen(), f"{text!r} on the screen", patience_s=100)
        except TimeoutError as error:
            raise AssertionError(f"no {text!r} on the screen:\n{self.screen()}") from error


@contextmanager
def terminal(home: Home, argv: list[str]) -> Iterator[Terminal]:
    """Start a program in a terminal in the environment of `home`; it is killed at the end."""
    keyboard, tty = os.openpty()
    termios.tcsetwinsize(tty, (ROWS, COLUMNS))
    with subprocess.Popen(
        argv,
        env=home.env | {"TERM": "linux", "LC_ALL": "C.UTF-8"},
        cwd=home.folder,
        stdin=tty,
        stdout=tty,
        stderr=tty,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(tty, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(tty)
        one = Terminal(keyboard)
        drawing = threading.Thread(target=one.draw_until_closed)
        drawing.start()
        try:
            yield one
        finally:
            process.kill()
            drawing.join()
            os.close(keyboard)
