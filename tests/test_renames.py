"""Edits that others follow from, drawn from a file."""

from pathlib import Path

import pytest

from sampler.train.renames import KINDS, Name, Trace, draw, functions, local_names, replaced

TEXT = """def mean(values, weights):
    "é"; total = sum(values)
    count = len(values)
    return total / count


def nested(values):
    return [value for value in values]


class Table:
    def rows(self):
        return mean(self.rows(), self)
"""


def uses(name: Name) -> list[str]:
    """Return the word at each use, with the character before it."""
    return [TEXT[at - 1 : at + len(name.name)] for at in name.uses]


def test_local_names_are_those_of_functions_without_scopes_inside() -> None:
    names = {name.name: uses(name) for name in local_names(TEXT)}
    assert names == {
        "values": ["(values"] * 3,
        "total": [" total"] * 2,
        "count": [" count"] * 2,
    }


def test_functions_and_methods_come_with_their_uses_the_declaration_first() -> None:
    assert {name.name: uses(name) for name in functions(TEXT)} == {
        "mean": [" mean", " mean"],
        "rows": [" rows", ".rows"],
    }


def test_a_trace_knows_the_text_behind_the_edit_and_the_lines_that_follow() -> None:
    trace = Trace("", Path("a.py"), "def f(a):\n    a(a)\n    b\n", 6, "a", "new", (14, 16))
    assert trace.edited == "def f(new):\n    a(a)\n    b\n"
    assert trace.lines() == {1: "    new(new)"}


def test_a_word_is_replaced_at_several_places() -> None:
    assert replaced("ab ab ab", [0, 6], "ab", "x") == "x ab x"


def test_each_kind_is_drawn_and_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(TEXT)
    traces = draw([file], 3, seed=1)
    assert [trace.kind for trace in traces] == [kind for kind in KINDS for _ in range(3)]
    assert traces == draw([file], 3, seed=1)
    for trace in traces:
        assert trace.text.startswith(trace.old, trace.start)
        assert trace.edited.startswith(trace.new, trace.start)


@pytest.mark.parametrize("kind", KINDS)
def test_something_follows_from_a_new_name_alone(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.py"
    file.write_text(TEXT)
    for trace in draw([file], 3, seed=2):
        if trace.kind == kind:
            assert bool(trace.following) == (not kind.startswith("one use"))
