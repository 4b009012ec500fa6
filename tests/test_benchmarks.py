"""What the benchmark reckons, by table, and every section once at the smallest scale: no speed."""

import io
import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import ANY

import pytest
import torch
from rich.console import Console
from transformers import DiffusionGemmaForBlockDiffusion

from sampler.benchmarks import (
    autoregress,
    editors,
    fills,
    floor,
    gpu,
    holes,
    keystroke,
    loop,
    machine,
    report,
    retraction,
    rig,
    timing,
    trace,
)
from sampler.benchmarks.scale import FULL, QUICK, Scale
from sampler.events import Block, Draft
from sampler.full_size import config_of
from sampler.params import InvalidParameter

SMALLEST = Scale(
    repeats=1,
    big_repeats=1,
    prefixes=(16, 32),
    context=48,
    keys=6,
    shipped=2,
    references=2,
    useful=(8, 64),
    editors=2,
    asks=2,
    pause_s=0.01,
    holes=1,
    seeds=1,
    texts=3,
    canvases=(8,),
    batches=(1, 2),
    limit_s=0.0,
)
CODE = "def area(width, height):\n    size = width * height\n    return size\n"


@pytest.fixture(scope="module")
def nano():
    return rig.build("nano", device="cpu", dtype="auto", quantize="")


def silent(doing):
    assert doing


# -- numbers and tables


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (1.234, "1.23"), (-12.34, "-12.3"), (1234.5, "1234"), (float("nan"), "nan")],
)
def test_a_figure_has_the_digits_that_mean_something(value, text):
    assert report.figure(value) == text


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 95, 3.0), ([1.0, 2.0], 50, 1.5), (list(range(101)), 95, 95.0)],
)
def test_a_percentile_lies_between_its_neighbours(values, share, expected):
    assert report.percentile(values, share) == expected


def test_a_spread_is_the_middle_and_the_ends():
    assert report.spread([5.0, 1.0, 3.0]) == report.Spread(3.0, 1.0, 5.0, 3)
    assert str(report.spread([5.0, 1.0, 3.0])) == "3.00 (1.00..5.00)"


@pytest.mark.parametrize(
    ("got", "at_most", "met"),
    [(3.0, False, True), (2.9, False, False), (3.0, True, True), (3.1, True, False)],
)
def test_a_goal_is_met_on_its_own_side(got, at_most, met):
    goal = report.Goal("times", got, 3.0, at_most=at_most)
    assert goal.met == met
    assert ("NOT met" in str(goal)) != met


def test_a_section_has_the_same_figures_on_screen_and_in_json():
    rows = [{"what": "a", "ms": report.spread([1.0]), "n": 2, "none": None, "share": 12.345}]
    section = report.Section("x", "Title", rows, [report.Goal("times", 2.0, 3.0)], ["a note"])
    console = Console(record=True, width=100, file=io.StringIO())
    report.show(section, console)
    screen = console.export_text()
    for shown in ("Title", "1.00 (1.00..1.00)", " - ", "12.3", "NOT met", "a note"):
        assert shown in screen
    plain = json.loads(json.dumps(report.as_json(section)))
    assert plain["rows"] == [
        {
            "what": "a",
            "ms": {"median": 1.0, "least": 1.0, "most": 1.0, "count": 1},
            "n": 2,
            "none": None,
            "share": 12.345,
        }
    ]
    assert plain["goals"] == [
        {"what": "times", "got": 2.0, "wanted": 3.0, "at_most": False, "met": False}
    ]


def test_a_section_without_rows_tells_why():
    console = Console(record=True, file=io.StringIO())
    report.show(report.Section("x", "Title", [], notes=["needs a GPU"]), console)
    assert "needs a GPU" in console.export_text()


def test_the_machine_is_named_with_its_versions():
    found = machine.facts()
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert all(str(found[key]) in machine.line(found) for key in ("load", "cores", "python"))


def test_what_comes_once_falls_out_of_a_step():
    assert timing.per_step([100.0, 60.0], [132.0, 76.0], 16) == [2.0, 1.0]


def test_works_take_turns_after_one_round_that_is_not_counted():
    done = []
    works = {name: lambda name=name: done.append(name) for name in "ab"}
    times = timing.in_turn(works, 2, torch.device("cpu"))
    assert done == ["a", "b"] * 3
    assert {name: len(ms) for name, ms in times.items()} == {"a": 2, "b": 2}


def test_the_quick_run_measures_the_same_things_as_the_full_one():
    for name in ("prefixes", "context", "useful", "editors", "canvases", "batches"):
        assert getattr(QUICK, name) == getattr(FULL, name)
    assert FULL.keys >= 500


# -- the editing trace


def test_a_trace_is_fixed_by_its_seed():
    text = CODE * 30
    first = trace.typing(text, 700, 300, seed=1)
    assert first == trace.typing(text, 700, 300, seed=1)
    assert first != trace.typing(text, 700, 300, seed=2)
    assert len(first) == 300


def test_every_key_of_a_trace_changes_one_character_at_its_cursor():
    text = CODE * 20
    previous = len(text) - 300  # what is typed is taken out first
    for key in trace.typing(text, 700, 300, seed=0):
        assert abs(len(key.text) - previous) == 1
        assert 0 <= key.cursor <= len(key.text)
        assert key.before + key.after == key.text
        previous = len(key.text)


def test_a_trace_holds_typing_erasing_and_jumps():
    keys = trace.typing(CODE * 30, 1000, 500, seed=0)
    moves = [b.cursor - a.cursor for a, b in pairwise(keys)]
    assert moves.count(1) > 400
    assert moves.count(-1) > 5
    assert sum(abs(move) > 1 for move in moves) >= 4


def test_without_errors_and_jumps_the_text_comes_back_as_it_was(monkeypatch):
    monkeypatch.setattr(trace, "ERROR", 0.0)
    monkeypatch.setattr(trace, "JUMP", 0.0)
    assert trace.typing(CODE, 10, 20, seed=0)[-1] == trace.Key(CODE, 30)


@pytest.mark.parametrize(("begin", "count"), [(-1, 3), (0, len(CODE) + 1), (len(CODE), 1)])
def test_a_text_too_short_for_a_trace_is_refused(begin, count):
    with pytest.raises(InvalidParameter, match=f"{count} keys behind {begin} characters"):
        trace.typing(CODE, begin, count, seed=0)


def test_editors_ask_in_the_order_of_time_and_always_the_same():
    traces = [trace.typing(CODE * 9, 100 * (n + 1), 4, seed=n) for n in range(3)]
    asks = editors.schedule(traces, 0.4)
    assert asks == editors.schedule(traces, 0.4)
    assert [ask.at for ask in asks] == sorted(ask.at for ask in asks)
    assert len({ask.name for ask in asks}) == len({ask.seed for ask in asks}) == 12
    for editor in range(3):
        own = [ask for ask in asks if ask.editor == editor]
        assert [ask.number for ask in own] == [0, 1, 2, 3]
        pauses = [b.at - a.at for a, b in pairwise(own)]
        assert all(0.2 <= pause <= 0.6 for pause in pauses)


# -- what is reckoned from times and texts


@pytest.mark.parametrize(
    ("tokens", "canvases"),
    [(1, [32]), (32, [32]), (33, [32, 64]), (128, [32, 64, 128]), (256, [32, 64, 128, 256])],
)
def test_a_canvas_is_tried_where_the_text_has_use_for_it(tokens, canvases):
    assert autoregress.canvases_for(tokens) == canvases


@pytest.mark.parametrize(
    ("single", "diffusion", "even"),
    [({8: 8.0, 16: 16.0}, 12.0, 12.0), ({8: 26.0, 16: 42.0, 32: 74.0}, 30.0, 10.0)],
)
def test_the_break_even_lies_on_the_line_through_the_single_times(single, diffusion, even):
    assert autoregress.break_even(single, diffusion) == pytest.approx(even)


@pytest.mark.parametrize(("tokens", "ratio"), [(8, 1.0), (9, 0.5)])
def test_the_route_takes_single_tokens_up_to_its_border(tokens, ratio):
    assert autoregress.route_ratio(tokens, 8, 10.0, 20.0) == ratio


def test_of_a_text_in_blocks_as_many_tokens_are_taken_as_are_wanted():
    flags = torch.ones(1, dtype=torch.bool)
    texts = torch.tensor([[[4, 5]], [[6, 7]]])
    blocks = [Block(at, 1, ids, flags, flags) for at, ids in enumerate(texts)]
    assert autoregress.written(blocks, 3) == [4, 5, 6]


@pytest.mark.parametrize(
    ("shown", "final", "counts"),
    [
        ([], [1, 2], (0, 0)),
        ([[], [1], [1, 2]], [1, 2, 3], (2, 0)),
        ([[1, 2], [1]], [1, 2], (2, 0)),  # off the screen and back
        ([[1, 2], [1, 3]], [1, 2], (2, 1)),  # changed and changed back
        ([[1, 2]], [1, 3], (2, 1)),
        ([[1, 2, 3]], [1], (3, 2)),
    ],
)
def test_what_was_shown_and_is_not_there_in_the_end_is_retracted(shown, final, counts):
    assert retraction.retracted(shown, final) == counts


@pytest.mark.parametrize(
    ("text", "exact", "parses", "similar"),
    [
        ("size = width * height", True, True, 1.0),
        ("size = width + height", False, True, 20 / 21),
        ("size = (", False, False, None),
        ("", False, True, 0.0),
    ],
)
def test_a_filling_is_judged_against_what_was_cut_out(text, exact, parses, similar):
    middle = "size = width * height"
    before, after = CODE.split(middle)
    got = holes.judge(holes.Hole(before, middle, after), text)
    assert (got.exact, got.parses) == (exact, parses)
    assert similar is None or got.similar == pytest.approx(similar)


def test_what_an_unknown_length_costs_is_told_in_points():
    known = [holes.Judged(True, True, 1.0), holes.Judged(False, True, 0.5)]
    unknown = [holes.Judged(False, True, 1.0), holes.Judged(False, True, 0.7)]
    lost = holes.points_lost(known, unknown)
    assert lost == pytest.approx({"exact, %": 50, "parses, %": 0, "similarity, %": -10})


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{", '{"before": "", "middle": ""}', '{"before": 1, "middle": 2, "after": 3}'],
)
def test_a_bad_line_of_holes_is_named(line):
    good = '{"before": "a", "middle": "b\\nc", "after": "d"}'
    assert holes.read([good]) == [holes.Hole("a", "b\nc", "d")]
    assert holes.read([good])[0].lines == "several"
    with pytest.raises(InvalidParameter, match="--holes: line 2 "):
        holes.read([good, line])


# -- the floor, against the published sheet of the released size


@pytest.fixture(scope="module")
def released():
    with torch.device("meta"):
        model = DiffusionGemmaForBlockDiffusion(config_of("26b-a4b"))
    return floor.work_of(model)


@pytest.mark.parametrize(
    ("width", "visited", "gigabytes"), [(2, 84, 36.6), (2, 128, 52.3), (1, 84, 18.3)]
)
def test_the_bytes_of_a_step_are_those_of_the_sheet(released, width, visited, gigabytes):
    read = floor.step_bytes(released, visited=visited, rows=1, context=4096, width=width)
    assert read / 1e9 == pytest.approx(gigabytes, rel=0.005)


@pytest.mark.parametrize(
    ("rows", "canvas", "visited", "ms", "bound"),
    [
        (1, 256, 84, 10.9, "memory"),
        (1, 256, 128, 15.6, "memory"),
        (1, 32, 111.8, 13.9, "memory"),
        (8, 128, 117, 15.1, "memory"),
        (8, 256, 128, 21.5, "arithmetic"),
    ],
)
def test_the_least_time_of_a_step_is_that_of_the_sheet(released, rows, canvas, visited, ms, bound):
    read = floor.step_bytes(released, visited=visited, rows=rows, context=4096, width=2)
    computed = floor.step_flops(released, rows=rows, canvas=canvas, context=4096)
    least = floor.floor_ms(read, computed, bandwidth=3.35e12, peak=989e12)
    assert least == (pytest.approx(ms, abs=0.06), bound)


def test_a_sliding_layer_reads_its_window_and_a_full_one_everything():
    assert floor.Attention(8, 4, 1024).seen(4096) == 1024
    assert floor.Attention(8, 4, 1024).seen(100) == 100
    assert floor.Attention(8, 4, None).seen(4096) == 4096


def test_the_ends_of_the_range_are_timed_first():
    assert gpu.sizes(Scale(canvases=(32, 64, 256), batches=(1, 8))) == [
        (256, 1),
        (32, 1),
        (256, 8),
        (32, 8),
        (64, 1),
        (64, 8),
    ]


# -- both engines


def test_both_engines_take_exactly_the_steps_that_are_asked_for(nano):
    params = rig.fixed(nano.model.defaults, canvas=8, steps=3)
    events = rig.answer(nano.engine(), loop_request(nano, params))
    assert [type(event) for event in events] == [Draft, Draft, Draft, Block]
    out = rig.generate(nano.reference, nano.tensor(nano.ids[:20]), params)
    assert out.sequences.shape == (1, 28)


def test_a_reference_that_stops_early_is_no_reference(nano):
    fewer = SimpleNamespace(
        config=nano.reference.config,
        generate=lambda ids, **options: nano.reference.generate(
            ids, **{**options, "max_denoising_steps": 2}
        ),
    )
    params = rig.fixed(nano.model.defaults, canvas=8, steps=3)
    with pytest.raises(RuntimeError, match=r"took \[2\.0\] steps instead of 3"):
        rig.generate(fewer, nano.tensor(nano.ids[:20]), params)


def loop_request(nano, params):
    from sampler import denoise
    from sampler.engine import Request

    return Request(denoise.generate(nano.ids[:20], params, nano.noise([0])), rows=1, tokens=8)


def test_the_engine_s_failure_is_raised(nano):
    short = replace(nano.model.defaults, canvas_length=8, max_new_tokens=8)
    prompt = fills.prompt_of(nano, CODE, "")
    fill = fills.fill(nano, prompt, short, [4], seed=0)
    engine = nano.engine()
    engine.denoiser = SimpleNamespace(device=torch.device("cpu"))
    with pytest.raises(AttributeError):
        rig.answer(engine, fill.request)


# -- every section


def test_the_loop_is_timed_behind_every_prefix(nano):
    section = loop.run(nano, SMALLEST, silent)
    assert [row["prefix"] for row in section.rows] == [16, 32]
    assert all(row["ours, ms/step"].count == 1 for row in section.rows)
    assert [goal.wanted for goal in section.goals] == [3.0, section.rows[0]["times faster"]]


def test_a_trace_is_replayed_key_by_key(nano):
    section = keystroke.run(nano, SMALLEST, silent)
    assert [row["requests"] for row in section.rows] == [2, 6, 2, 6]
    assert [goal.wanted for goal in section.goals] == [20, 20]
    assert "Tokens encoded for a key" in section.notes[1]


def test_both_ways_are_timed_at_every_length_and_behind_the_border(nano):
    section = autoregress.run(nano, SMALLEST, 9, silent)
    assert [row["tokens"] for row in section.rows] == [8, 10, 64]
    assert section.rows[0]["routed"] == 1.0
    assert all(row["single, log p"] < 0 and row["diffusion, log p"] < 0 for row in section.rows)
    assert len(section.goals) == 2
    assert "Measured break-even" in section.notes[-1]


def test_editors_ask_alone_together_and_at_once(nano):
    section = editors.run(nano, SMALLEST, silent)
    assert [row["answers"] + row["superseded"] for row in section.rows] == [4, 4, 4]
    # The last ask of each editor is always answered.
    assert [row["superseded"] == 0 for row in section.rows] == [True, ANY, True]
    assert section.rows[1]["answers"] >= 2
    assert section.rows[0]["p95 ratio"] == 1.0


def test_an_editor_s_newer_ask_takes_the_place_of_its_older_one(nano):
    traces = [trace.typing(nano.text, 500 * (n + 1), 3, seed=n) for n in range(2)]
    asks = [replace(ask, at=0.0) for ask in editors.schedule(traces, 0.4)]
    assert sorted(editors.replay(nano, nano.engine(), asks)) == ["0:2", "1:2"]


def test_holes_are_filled_with_their_length_known_and_unknown(nano):
    given = [
        holes.Hole(CODE[:29], CODE[29:50], CODE[50:]),
        holes.Hole("", CODE.strip(), "\n"),
        holes.Hole("x = '", "0123456789" * 30, "'\n"),  # longer than the canvas
    ]
    section = holes.run(nano, SMALLEST, given, silent)
    assert [(row["lines"], row["length"], row["holes"]) for row in section.rows] == [
        (lines, way, 1) for lines in ("one", "several") for way in holes.WAYS
    ]
    assert len(section.goals) == 3
    assert section.notes[-1].startswith("1 of 3 holes are left out")


def test_holes_of_which_none_fits_are_refused(nano):
    given = [holes.Hole("x = '", "0123456789" * 30, "'\n")]
    with pytest.raises(InvalidParameter, match="none of 1 fits the canvas of 32 tokens"):
        holes.run(nano, SMALLEST, given, silent)


def test_without_holes_it_says_how_to_give_some(nano):
    section = holes.run(nano, SMALLEST, [], silent)
    assert section.rows == []
    assert "--holes PLACE" in section.notes[0]


@pytest.mark.parametrize("given", [[], [holes.Hole(CODE[:29], CODE[29:50], CODE[50:])] * 2])
def test_retractions_are_counted_over_holes_or_a_trace(nano, given):
    section = retraction.run(nano, SMALLEST, given, silent)
    assert [row["texts"] for row in section.rows] == [2 if given else 3] * 2
    assert [row["steps"] for row in section.rows] == [4, 16]
    assert all(row["changed"] <= row["shown early"] for row in section.rows)


def test_the_full_size_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    section = gpu.run("26b-a4b", SMALLEST, silent)
    assert section.rows == []
    assert section.notes == ["not measured: it needs a GPU"]


def test_a_size_without_a_compiler_is_timed_beside_its_floor():
    cpu = torch.device("cpu")
    small = replace(SMALLEST, limit_s=600.0)
    trial = gpu.Trial(gpu.build("tiny", cpu), small, silent, cpu)
    trial.time_ours(gpu.OURS, lambda function: function)
    section = gpu.section("tiny", trial, gpu.Roof(1e9, 1e9, "made up"))
    sizes = [(row["canvas"], row["rows"], row["routing"]) for row in section.rows]
    assert sizes == [(8, 1, "as-is"), (8, 1, "biased"), (8, 2, "as-is"), (8, 2, "biased")]
    assert all(row["theirs"] is None and row["ratio"] is None for row in section.rows)
    assert all(row["of floor, %"] == 100 * row["least"] / row["eager"] for row in section.rows)
    assert [goal.wanted for goal in section.goals] == [60.0]


def test_what_a_model_object_is_given_its_copies_do_not_have():
    model = gpu.build("tiny", torch.device("cpu"))
    fresh = gpu.own_object(model)
    fresh._compiled_encoder = torch.nn.Identity()
    fresh._cache = "a cache"
    assert not hasattr(model, "_compiled_encoder")
    assert not hasattr(gpu.own_object(model), "_cache")
    assert fresh.lm_head is model.lm_head


def test_a_biased_router_visits_fewer_experts():
    cpu = torch.device("cpu")
    trial = gpu.Trial(gpu.build("tiny", cpu), replace(SMALLEST, canvases=(64,)), silent, cpu)
    trial.count_experts()
    visits = {(cell.rows, cell.routing): count for cell, count in trial.visited.items()}
    assert visits[1, "biased"] < visits[1, "as-is"] <= 32
    assert visits[2, "biased"] < visits[2, "as-is"] <= 32


def test_what_fails_or_comes_too_late_is_told_and_ends_nothing():
    cpu = torch.device("cpu")
    trial = gpu.Trial(gpu.build("tiny", cpu), replace(SMALLEST, limit_s=600.0), silent, cpu)

    def broken(function):
        def raising(*given):
            raise RuntimeError("no compiler\nand more")

        return raising

    trial.time_ours(gpu.COMPILED, broken)
    late = gpu.Trial(trial.model, SMALLEST, silent, cpu)
    late.time_theirs()
    assert trial.notes == [
        f"ours, compiled, canvas 8, {rows} rows: RuntimeError: no compiler" for rows in (1, 2)
    ]
    assert late.notes == [
        f"transformers, compiled, canvas 8, {rows} rows: not begun within 0 s" for rows in (1, 2)
    ]
    assert gpu.section("tiny", late, gpu.Roof(1e9, 1e9, "made up")).goals == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_small_shape_is_timed_compiled_on_an_accelerator():
    section = gpu.run("tiny", replace(SMALLEST, limit_s=300.0), silent)
    assert all(None not in row.values() for row in section.rows)
