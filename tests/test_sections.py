import json
from pathlib import Path

import pytest

from sampler.benchmarks.report import Section
from sampler.benchmarks.sections import measure


def section(name: str) -> Section:
    return Section(name, f"What {name} is", [{"way": "ours", "ms": 12.5}])


def broken() -> Section:
    raise OSError("no such folder")


def test_each_section_is_shown_under_a_line_on_the_machine(capsys: pytest.CaptureFixture[str]):
    measure([lambda: section("first"), lambda: section("second")], {}, width=90, out=None)
    told = capsys.readouterr().out
    places = [told.index(words) for words in ("torch ", "What first is", "What second is")]
    assert places == sorted(places)
    assert told.count("12.5") == 2
    assert max(map(len, told.splitlines()[1:])) <= 90


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path):
    out = tmp_path / "found.json"
    with pytest.raises(OSError, match="no such folder"):
        measure([lambda: section("first"), broken], {"model": "nano"}, width=90, out=out)
    found = json.loads(out.read_text())
    assert (found["model"], [one["name"] for one in found["sections"]]) == ("nano", ["first"])
    assert found["sections"][0]["rows"] == [{"way": "ours", "ms": 12.5}]
    assert found["sections"][0]["seconds"] >= 0
    assert {"processor", "torch"} <= set(found["machine"])
