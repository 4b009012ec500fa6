"""What next edits are worth: the counting, and nano on one small file."""

import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from sampler.train import next_edits, signatures
from sampler.train.next_edits import Followed, Judged, row, row_of_kind
from sampler.train.renames import LOCAL, USE_NEW, Trace
from sampler.train.signatures import KINDS


def judged(kind: str, *lines: tuple[float, bool], wanted: int = 0) -> Judged:
    return Judged(Trace(kind, Path("a.py"), "", 0, "", "", ()), lines, wanted, 1.0)


TRACES = [
    judged(LOCAL, (-20.0, True), (3.0, True), wanted=2),
    judged(LOCAL, (-1.0, False), (2.0, True), wanted=1),
    judged(LOCAL, wanted=1),
    judged(USE_NEW, (-12.0, False)),
    judged(USE_NEW),
]


@pytest.mark.parametrize(
    ("bound", "offers", "right", "renames", "found", "alarms"),
    [
        (-1e9, 3, 100 / 3, 200 / 3, 75.0, 50.0),
        (-15.0, 3, 100 / 3, 200 / 3, 50.0, 50.0),
        (0.0, 2, 100.0, 200 / 3, 50.0, 0.0),
    ],
)
def test_a_bound_is_worth_what_is_offered_with_it(
    bound: float, offers: int, right: float, renames: float, found: float, alarms: float
) -> None:
    values = [*row(bound, TRACES).values()][1:]
    assert values == pytest.approx([offers, right, renames, found, alarms])


def test_the_command_prints_a_row_for_each_bound(tmp_path: Path) -> None:
    uses = "".join(f"    print({n}, values, other)\n" for n in range(3))
    (tmp_path / "a.py").write_text(f"def f(values, other):\n{uses}\n\nf(1, 2)\n")
    arguments = ["--place", str(tmp_path), "--traces", "1"]
    result = CliRunner().invoke(next_edits.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "1 edits of a local name" in result.output
    assert "-15" in result.output
    assert all(kind in result.output for kind in KINDS)


def test_calls_are_counted_by_the_kind_of_the_edit() -> None:
    nothing = inspect.Signature()
    kinds = ("one", "one", "other")
    traces = [
        signatures.Trace(kind, Path("a.py"), "", "", "f", nothing, nothing, {}) for kind in kinds
    ]
    all_of_them = [
        Followed(trace, right, wrong, wanted, 1.0)
        for trace, right, wrong, wanted in zip(traces, (3, 0, 0), (0, 1, 0), (4, 4, 0), strict=True)
    ]
    assert [*row_of_kind("one", all_of_them).values()] == ["one", 2, 4, 75.0, 8, 37.5]
    assert [*row_of_kind("other", all_of_them).values()] == ["other", 1, 0, None, 0, None]
