"""How far a batch is, for a person: a bar on a terminal, else a line now and then. Asks nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from dgemma_lsp.control import duration

LINE_S = 10.0  # between two lines where there is no terminal


class Pace:
    """Lines and tokens over time, in seconds of any clock; `done` of `total` were there before."""

    def __init__(self, total: int, done: int, began: float) -> None:
        self.total = total
        self.done = done
        self._before = done
        self._began = began
        self._tokens = 0

    def took(self, tokens: int) -> None:
        """Count a line that has its end."""
        self.done += 1
        self._tokens += tokens

    def text(self, now: float) -> str:
        """Return lines, tokens a second and the time left, as far as they are known."""
        parts = [f"{self.done}/{self.total} lines"]
        passed, lines = now - self._began, self.done - self._before
        if lines and passed > 0:
            parts.append(f"{self._tokens / passed:.0f} tokens/s")
            if left := self.total - self.done:
                parts.append(f"{duration(left * passed / lines)} left")
        return ", ".join(parts)


class Screen:
    """Where the pace is shown; `tick` is to be called every second or so."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._bar = Progress(
            BarColumn(), TextColumn("{task.description}"), console=console, transient=True
        )
        self._task = self._bar.add_task("", total=total)
        self._pace: Pace | None = None
        self._lined = time.monotonic()

    @contextmanager
    def shown(self, done: int) -> Iterator[None]:
        """Show the bar inside the block; `done` lines had their end before the first one."""
        if self._pace is None:
            self._pace = Pace(self._total, done, time.monotonic())
        if not self._console.is_terminal:
            yield
            return
        with self._bar:
            self.tick()
            yield

    def took(self, tokens: int) -> None:
        """Count a line that has its end."""
        assert self._pace is not None, "`shown` comes first"
        self._pace.took(tokens)
        self.tick()

    def tick(self) -> None:
        """Draw the pace, or write it where a line is due."""
        assert self._pace is not None, "`shown` comes first"
        now = time.monotonic()
        if self._console.is_terminal:
            text = self._pace.text(now)
            self._bar.update(self._task, completed=self._pace.done, description=text)
        elif now >= self._lined + LINE_S:
            self._lined = now
            self._console.print(self._pace.text(now), highlight=False, soft_wrap=True)
