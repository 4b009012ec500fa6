import importlib.util
import io

import pytest
from rich.console import Console

from dgemma_lsp import tune_plot
from dgemma_lsp.errors import UserError
from dgemma_lsp.tune import Point, Tuning


def point(steps, similar, ms, parses=50.0):
    return Point(
        steps=steps,
        similar=similar,
        behind=30 - similar,
        doubt=1.25,
        exact=10.0,
        shown=90.0,
        parses=parses,
        ms_p50=ms,
        ms_p95=2 * ms,
        steps_taken=steps * 0.75,
    )


TUNING = Tuning(
    model="nano",
    holes=40,
    margin=1.0,
    points=[point(1, 20.0, 50.0), point(4, 29.5, 80.0), point(32, 30.0, 400.0, parses=None)],
    best=32,
    chosen=4,
)


def test_the_table_has_a_row_for_each_step_count_and_marks_the_chosen():
    screen = io.StringIO()
    Console(file=screen, width=140).print(tune_plot.table(TUNING))
    rows = [" ".join(line.replace("│", " ").split()) for line in screen.getvalue().splitlines()]
    assert "1 20.0 10.0 +-1.2 10.0 90.0 50.0 50 100 0.75" in rows
    assert "4 29.5 0.5 +-1.2 10.0 90.0 50.0 80 160 3.00 <- chosen" in rows
    assert "32 30.0 0.0 +-1.2 10.0 90.0 - 400 800 24.00" in rows


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_both_curves_without_colours_and_within_its_width(width):
    drawn = tune_plot.terminal(TUNING, width)
    assert tune_plot.TIME in drawn and "denoising steps" in drawn
    assert drawn.count(tune_plot.TIME) == 1
    assert "\x1b" not in drawn
    assert max(map(len, drawn.split("\n"))) <= width
    assert len(drawn.split("\n")) <= tune_plot.HEIGHT


def test_one_step_count_is_drawn_too(tmp_path):
    alone = Tuning(model="m", holes=4, margin=1, points=TUNING.points[:1], best=1, chosen=1)
    assert "o" in tune_plot.terminal(alone, 80)
    tune_plot.png(alone, tmp_path / "a.png")


def test_a_png_is_drawn_whatever_its_name(tmp_path):
    file = tmp_path / "plot"
    tune_plot.check_png(file)
    tune_plot.png(TUNING, file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_png_that_cannot_be_drawn_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="absent is no folder"):
        tune_plot.check_png(tmp_path / "absent" / "a.png")
    with pytest.raises(UserError, match="cannot be written"):
        tune_plot.png(TUNING, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="python -m pip install matplotlib"):
        tune_plot.check_png(tmp_path / "a.png")
