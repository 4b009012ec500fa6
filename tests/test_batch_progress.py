import io

import pytest
from rich.console import Console

from dgemma_lsp import batch_progress
from dgemma_lsp.batch_progress import Pace, Screen


@pytest.mark.parametrize(
    ("total", "before", "tokens", "passed", "text"),
    [
        (10, 0, [], 5.0, "0/10 lines"),
        (10, 4, [], 5.0, "4/10 lines"),
        (10, 0, [50, 50], 4.0, "2/10 lines, 25 tokens/s, 16 s left"),
        (10, 4, [30, 0], 60.0, "6/10 lines, 0 tokens/s, 2 min 0 s left"),
        (4, 2, [30, 30], 2.0, "4/4 lines, 30 tokens/s"),
        (4, 0, [30], 0.0, "1/4 lines"),
        (0, 0, [], 1.0, "0/0 lines"),
    ],
)
def test_the_pace_is_that_of_the_lines_since_the_beginning(total, before, tokens, passed, text):
    pace = Pace(total, before, began=100.0)
    for count in tokens:
        pace.took(count)
    assert pace.text(100.0 + passed) == text


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(batch_progress, "time", clock)
    return clock


def test_without_a_terminal_a_line_is_written_now_and_then(clock):
    out = io.StringIO()
    screen = Screen(Console(file=out), total=3)
    with screen.shown(0):
        screen.took(8)
        clock.now += 16.0
        screen.tick()
        screen.tick()
        clock.now += 4.0
        screen.took(8)
    assert out.getvalue() == "1/3 lines, 0 tokens/s, 32 s left\n"


def test_the_pace_goes_on_over_several_connections(clock):
    out = io.StringIO()
    screen = Screen(Console(file=out), total=4)
    with screen.shown(0):
        screen.took(10)
    clock.now += 20.0
    with screen.shown(1):
        screen.took(10)
    assert out.getvalue() == "2/4 lines, 1 tokens/s, 20 s left\n"


def test_on_a_terminal_a_bar_is_drawn_and_taken_away(clock):
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, width=80), total=2)
    for done in range(2):
        with screen.shown(done):
            clock.now += 2.0
            screen.took(10)
    assert "1/2 lines, 5 tokens/s, 2 s left" in out.getvalue()
    assert "2/2 lines, 5 tokens/s" in out.getvalue()
    assert out.getvalue().endswith("\x1b[1A\x1b[2K")  # the bar's own line is cleared
