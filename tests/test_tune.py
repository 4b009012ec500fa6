"""Choosing a number of steps: what is chosen and written by tables, the rest on a script."""

import json
import os
from pathlib import Path

import pytest
from background import in_background
from command import Command, dgemma
from scripted_daemon import ScriptedDaemon

from dgemma_lsp import config, settings, tune, wire
from dgemma_lsp.bench import Hole, Outcome
from dgemma_lsp.errors import UserError

__all__ = ["dgemma"]

LINES = "".join(f"value_{i} = {i}\n" for i in range(40))
HOLES = [Hole(Path("a.py"), "x = 1\n", 0, 5), Hole(Path("b.js"), "y = 2\n", 0, 5)]


def outcome(similar, **others):
    values = {"shown": True, "exact": similar == 1, "parses": True, "parses_empty": True}
    return Outcome(similar=similar, **{**values, "ms": 10.0, "steps": 2, **others})


@pytest.mark.parametrize(
    ("similar", "margin", "best", "chosen"),
    [
        # In percent and by steps; the least within the margin of the best.
        ({1: 50, 2: 79, 4: 80}, 1.0, 4, 2),
        ({1: 50, 2: 79, 4: 80}, 0.0, 4, 4),
        ({1: 50, 2: 79, 4: 80}, 40.0, 4, 1),
        # More steps may be worse, and of equals the least is the best.
        ({1: 50, 4: 80, 8: 70}, 1.0, 4, 4),
        ({2: 80, 4: 80, 8: 80}, 0.0, 2, 2),
        ({4: 0}, 1.0, 4, 4),
    ],
)
def test_the_fewest_steps_within_the_margin_of_the_best_are_chosen(similar, margin, best, chosen):
    found = [{n: outcome(s / 100) for n, s in similar.items()}] * 2
    tuning = tune.weigh("nano", HOLES, found, margin)
    assert (tuning.best, tuning.chosen) == (best, chosen)


def test_a_step_count_is_compared_with_the_best_over_the_same_holes():
    found = [
        {1: outcome(0.0, shown=False, ms=10.0), 4: outcome(0.5, ms=20.0, steps=3)},
        {1: outcome(0.8, parses=False, ms=30.0), 4: outcome(1.0, ms=40.0, steps=4)},
    ]
    one, four = tune.weigh("nano", HOLES, found, 1.0).points
    assert (one.similar, one.behind, one.doubt) == (40.0, 35.0, 15.0)
    assert (four.similar, four.behind, four.doubt) == (75.0, 0.0, 0.0)
    assert (one.shown, one.exact, four.exact, four.steps_taken) == (50.0, 0.0, 50.0, 3.5)
    assert (four.ms_p50, four.ms_p95) == (30.0, 39.0)
    # Of the hole in Python alone: whether another language's text is right nobody here can tell.
    assert (one.parses, four.parses) == (100.0, 100.0)


def test_without_a_hole_in_python_nothing_parses():
    found = [{1: outcome(0.5)}] * 2
    assert tune.weigh("nano", HOLES[1:] * 2, found, 1.0).points[0].parses is None


@pytest.mark.parametrize(
    ("similar", "margin", "words"),
    [
        ([{1: 0.5, 4: 0.5}] * 2, 1.0, "chosen: 1 step, 10 ms: nothing is better"),
        ([{2: 0.7, 4: 0.8}] * 2, 20.0, "chosen: 2 steps, 10 ms: 10 points (+-0) behind the best"),
        ([{2: 0.3, 4: 0.8}, {2: 0.9, 4: 0.6}], 15.0, "more holes would tell it more surely"),
    ],
)
def test_it_says_what_is_chosen_and_why(similar, margin, words):
    found = [{n: outcome(s) for n, s in each.items()} for each in similar]
    assert words in tune.told(tune.weigh("nano", HOLES, found, margin))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "[completion]\nsteps = 4\n"),
        ("", "[completion]\nsteps = 4\n"),
        (
            "# mine\n[completion] # and this\nsteps = 0 # all\ndrawn = 2\n\n[chat]\nsteps = 7\n",
            "# mine\n[completion] # and this\nsteps = 4 # all\ndrawn = 2\n\n[chat]\nsteps = 7\n",
        ),
        ("completion = {drawn = 2}\n", "completion = {drawn = 2,steps = 4}\n"),
        ("completion.drawn = 2\n", "completion.drawn = 2\ncompletion.steps = 4\n"),
        ("[daemon]\r\nport = 0\r\n", "[daemon]\r\nport = 0\r\n\n[completion]\nsteps = 4\n"),
    ],
)
def test_the_steps_are_written_and_the_rest_stays(tmp_path, before, after):
    file = tmp_path / "sub" / "config.toml"
    if before is not None:
        file.parent.mkdir()
        file.write_bytes(before.encode())
    line = tune.write_steps(file, 4)
    assert file.read_bytes().decode() == after
    assert config.load(file).completion.steps == 4
    assert f"wrote steps = 4 ({'0' if 'steps = 0' in str(before) else 'not set'} before)" in line
    assert str(file) in line
    assert os.listdir(file.parent) == ["config.toml"]


def test_a_link_stays_a_link_and_a_private_file_private(tmp_path):
    target, link = tmp_path / "target.toml", tmp_path / "config.toml"
    target.write_text("")
    target.chmod(0o600)
    link.symlink_to(target)
    tune.write_steps(link, 4)
    assert link.is_symlink()
    assert "steps = 4" in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "words"), [(b"[completion\n", "not valid TOML"), (b"\xfc", "cannot be written")]
)
def test_a_file_that_cannot_be_kept_is_left_as_it_is(tmp_path, content, words):
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=words):
        tune.write_steps(file, 4)
    assert file.read_bytes() == content


def test_cases_are_read_line_by_line(tmp_path):
    file = tmp_path / "cases.jsonl"
    lines = [{"prefix": "a = ", "middle": "1", "suffix": "\n", "path": "x.py"}]
    lines += [{"prefix": "ä", "middle": "b"}]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    first, second = tune.read_cases(file)
    assert (first.file, first.middle, first.filled("2")) == (Path("x.py"), "1", "a = 2\n")
    assert (second.middle, second.text, second.file.suffix) == ("b", "äb", ".2")


GOOD = '{"prefix": "a", "middle": "b"}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "{", "line 2: "),
        (GOOD + '{"prefix": "a"}', "line 2: .*middle"),
        (GOOD + '{"prefix": "a", "middle": ""}', "line 2: .*length"),
        (GOOD + '{"prefix": "a", "middle": "b", "sufix": ""}', "line 2: .*sufix"),
        (GOOD, "holds 1 cases"),
        ("", "holds 0 cases"),
    ],
)
def test_a_bad_case_is_named(tmp_path, text, words):
    file = tmp_path / "cases.jsonl"
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        tune.read_cases(file)


def test_half_of_the_holes_have_one_line_and_half_three(tmp_path):
    (tmp_path / "a.py").write_text(LINES)
    holes = tune.cut([tmp_path], 7, seed=0)
    assert [hole.middle.count("\n") for hole in holes] == [0] * 4 + [2] * 3


@pytest.fixture
def script():
    """A daemon that finds the right text of a hole in four steps or more, and none in fewer."""

    async def answer(message, send):
        assert isinstance(message, wire.Complete)
        line = message.prefix.count("\n")
        text = f"value_{line} = {line}" if (message.sampling.max_steps or 0) >= 4 else ""
        await send(wire.Block(id=message.id, block=0, text=text, steps=3))
        await send(wire.Done(id=message.id, reason="settled", timings=wire.Timings(steps=3)))

    return answer


@pytest.fixture
def cases(tmp_path):
    file = tmp_path / "cases.jsonl"
    lines = LINES.splitlines(keepends=True)
    file.write_text(
        "".join(
            json.dumps(
                {
                    "prefix": "".join(lines[:i]),
                    "middle": lines[i].rstrip(),
                    "suffix": "\n",
                    "path": "a.py",
                }
            )
            + "\n"
            for i in range(3)
        )
    )
    return file


def test_the_command_shows_the_choice_and_writes_it(dgemma: Command, script, cases, tmp_path):
    settings.prepare_folders(dgemma.paths)
    file = dgemma.paths.config_file
    file.parent.mkdir()
    file.write_text("[completion]\nmin_confidence = -9.0 # less\n")
    with in_background(lambda: ScriptedDaemon(dgemma.paths.socket, script)) as daemon:
        png = tmp_path / "plot.png"
        options = ["--steps", 8, "--steps", 4, "--steps", 1, "--seed", 5, "--png", png]
        outcome = dgemma("tune", "--cases", cases, *options, "--write")
    assert (outcome.code, outcome.err) == (0, "")
    assert "chosen: 4 steps, 0 ms: nothing is better" in outcome.out
    assert f"wrote steps = 4 (not set before) under [completion] in {file}" in outcome.out
    assert file.read_text() == "[completion]\nmin_confidence = -9.0 # less\nsteps = 4\n"
    assert png.read_bytes().startswith(b"\x89PNG")
    asked = [message.sampling for message in daemon.heard if isinstance(message, wire.Complete)]
    # The first of each hole is not counted: it reads the text before the hole.
    assert [sampling.max_steps for sampling in asked] == [1, 1, 4, 8] * 3
    assert {sampling.seed for sampling in asked} == {5}


def test_the_command_prints_json_and_writes_nothing_unasked(dgemma: Command, script, cases):
    settings.prepare_folders(dgemma.paths)
    with in_background(lambda: ScriptedDaemon(dgemma.paths.socket, script)):
        outcome = dgemma("tune", "--cases", cases, "--steps", 2, "--steps", 4, "--json")
    found = json.loads(outcome.out)
    assert (found["model"], found["holes"], found["chosen"]) == ("scripted", 3, 4)
    assert [point["similar"] for point in found["points"]] == [0.0, 100.0]
    assert not dgemma.paths.config_file.exists()
