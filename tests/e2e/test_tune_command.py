"""`dgemma tune` with the built-in model on real files: measured, drawn and written down."""

import json
from pathlib import Path

import pytest
from home import Home

import sampler

pytestmark = pytest.mark.e2e


def test_a_users_own_files_choose_the_number_of_steps(daemon_home: Home, tmp_path: Path) -> None:
    config = daemon_home.paths.config_file
    before = config.read_text()
    place = Path(sampler.__file__).parent / "canvas.py"
    options = ["--holes", "4", "--steps", "1", "--steps", "2", "--margin", "100"]
    png = tmp_path / "plot.png"
    shown = daemon_home.dgemma("tune", str(place), *options, "--png", str(png), "--write")
    assert "chosen: 1 step, " in shown
    assert config.read_text() == f"{before}steps = 1\n"
    assert png.stat().st_size > 1000
    # What the first run wrote is what the command line reads, and the same holes give the same.
    again = [
        json.loads(daemon_home.dgemma("tune", str(place), *options, "--json")) for _ in range(2)
    ]
    for found in again:
        assert [point["steps_taken"] for point in found["points"]] == [1.0, 2.0]
    assert len({json.dumps([p["similar"] for p in f["points"]]) for f in again}) == 1
