from dataclasses import replace

import pytest
import torch
from loops import (
    CPU,
    by_hand,
    causal_log_probs,
    first_canvas,
    new_engine,
    noise_of,
    prompt_of,
    recorded,
    run,
    say,
    step_to_the_end,
    tame_model,
    tokens_of,
)
from tiny_model import VOCAB, WINDOW
from torch import Tensor

from sampler import autoregress
from sampler.canvas import Step
from sampler.denoise import NotANumber, Warm
from sampler.engine import Request
from sampler.events import Block, Draft, Event, Filled
from sampler.forward import Forward
from sampler.infill import (
    AGREEING,
    JOIN,
    Hole,
    best_first,
    fill,
    lay_out,
    lengths_tried,
    reading_region,
    support,
)
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Denoise, Prefill, Score
from sampler.written import Causal, middle

T, F = True, False

PARAMS = SamplingParams(canvas_length=8, max_new_tokens=8, max_steps=5, eos_token_ids=(1,))
# Any of a third of the vocabulary ends a hole, so that a random model leaves some slack.
ENDS = tuple(range(1, 33))


@pytest.fixture(scope="module")
def model():
    return tame_model()


@pytest.fixture(scope="module")
def denoiser(model):
    return Forward(model)


def wide(canvas: int, **more) -> SamplingParams:
    return replace(PARAMS, canvas_length=canvas, max_new_tokens=canvas, **more)


def only(*tokens: int) -> Tensor:
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[list(tokens)] = True
    return allowed


def block_of(events: list[Event]) -> Block:
    (block,) = (event for event in events if isinstance(event, Block))
    return block


def filled_of(events: list[Event]) -> Filled:
    assert isinstance(events[-1], Filled)
    return events[-1]


# Layouts


@pytest.mark.parametrize(
    ("parts", "tokens", "pinned", "holes"),
    [
        # A hole before its suffix, of which as much is shown as there is room for.
        ([Hole(5), [7, 8, 9]], [0, 0, 0, 0, 0, 7, 8, 9], "_____###", [(0, 5)]),
        ([Hole(5), [7, 8, 9, 10, 11]], [0, 0, 0, 0, 0, 7, 8, 9], "_____###", [(0, 5)]),
        ([Hole(8), [7, 8]], [0] * 8, "________", [(0, 8)]),
        ([Hole(8)], [0] * 8, "________", [(0, 8)]),
        ([Hole(8), []], [0] * 8, "________", [(0, 8)]),
        # A suffix that ends before the canvas: what is behind it is free and no hole.
        ([Hole(5), [7]], [0, 0, 0, 0, 0, 7, 0, 0], "_____#__", [(0, 5)]),
        ([Hole(3)], [0] * 8, "________", [(0, 3)]),
        # Known text first, and several holes.
        ([[4, 5], Hole(2), [7, 8, 9, 10]], [4, 5, 0, 0, 7, 8, 9, 10], "##__####", [(2, 4)]),
        (
            [Hole(1), [7], Hole(2), [8, 9, 3, 4]],
            [0, 7, 0, 0, 8, 9, 3, 4],
            "_#__####",
            [(0, 1), (2, 4)],
        ),
        (
            [[4], Hole(2), [5], Hole(2), [6], Hole(1)],
            [4, 0, 0, 5, 0, 0, 6, 0],
            "#__#__#_",
            [(1, 3), (4, 6), (7, 8)],
        ),
        ([Hole(2), Hole(3), [7, 8, 9]], [0, 0, 0, 0, 0, 7, 8, 9], "_____###", [(0, 2), (2, 5)]),
        ([Hole(1)] * 8, [0] * 8, "________", [(i, i + 1) for i in range(8)]),
        # A token of the number 0 is known like any other.
        ([Hole(6), [0, 0]], [0] * 8, "______##", [(0, 6)]),
    ],
)
def test_known_texts_and_holes_lie_side_by_side(parts, tokens, pinned, holes):
    layout = lay_out(parts, 8)
    assert layout.tokens.tolist() == tokens
    assert "".join("#" if p else "_" for p in layout.pinned.tolist()) == pinned
    assert [(hole.start, hole.stop) for hole in layout.holes] == holes


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([Hole(0), [7]], "the 8 at most that the canvas of 8 has left, not 0"),
        ([Hole(-1), [7]], "not -1"),
        ([Hole(9), [7]], "the 8 at most that the canvas of 8 has left, not 9"),
        ([[7, 8], Hole(7)], "the 6 at most that the canvas of 8 has left, not 7"),
        ([Hole(5), [7, 8], Hole(2)], "the 1 at most that the canvas of 8 has left, not 2"),
        ([[7] * 9, Hole(1)], "the 0 at most that the canvas of 8 has left, not 1"),
        ([[7, 8]], "no hole to fill"),
        ([], "no hole to fill"),
    ],
)
def test_a_hole_that_is_empty_or_has_no_room_is_refused(parts, words):
    with pytest.raises(InvalidParameter, match=words):
        lay_out(parts, 8)


def test_what_a_hole_may_begin_with_goes_along_at_its_first_position():
    first, second = only(60), only(61)
    layout = lay_out([[4], Hole(2, first), [5], Hole(1), Hole(2, second)], 8)
    assert {at: may is first or may is second for at, may in layout.allowed.items()} == {1: T, 5: T}
    assert layout.allowed[1] is first


@pytest.mark.parametrize(
    ("suffix", "size", "tried"),
    [
        (32, 96, [64, 64]),
        # A third of the canvas is the suffix's at most, and what it leaves free is the hole's.
        (90, 96, [64, 32, 16, 8, 64]),
        (20, 96, [76, 76, 76]),
        (80, 96, [64, 32, 16, 16, 64]),
        (0, 8, [8, 8, 8]),
        (5, 12, [8, 8]),
        (11, 12, [8, 8]),
    ],
)
def test_rows_try_a_length_its_half_and_so_on_and_begin_again(suffix, size, tried):
    assert lengths_tried(suffix, size, len(tried)) == tried


def test_the_best_text_comes_first_and_what_is_empty_last():
    filled = Filled([[[1]]] * 4, [-1.0, -3.0, -0.1, -2.0], [-1.0, -0.1, 0.0, -0.1])
    assert [round(filled.rating(row), 1) for row in range(4)] == [-3.0, -3.2, -0.1, -2.2]
    assert best_first(filled, ["a", "b", " \n", "d"]) == [3, 0, 1, 2]
    # What a text is worth besides counts, but never for one that is empty.
    assert best_first(filled, ["a", "b", " \n", "d"], {"b": 90.0, " \n": 99.0}) == [1, 3, 0, 2]
    # What two rows say comes before what one says that reads a little better.
    assert best_first(filled, ["a", "a", " \n", "d"]) == [0, 1, 3, 2]


def test_a_like_place_is_worth_more_the_more_agrees_but_not_beyond_the_measure() -> None:
    values = [support(0, 0), support(5, 0), support(5, 5), support(AGREEING, AGREEING)]
    assert values == sorted(values)
    assert values[0] == 0.0
    assert support(AGREEING + 40, AGREEING + 1) == values[-1]


# What the reader sees

LINE_ENDS = torch.zeros(VOCAB, dtype=torch.long)
LINE_ENDS[20], LINE_ENDS[21] = 1, 2


@pytest.mark.parametrize(
    ("draft", "max_lines", "seen"),
    [
        # The hole is the first six positions.
        ([5, 5, 5, 5, 5, 5, 7, 8], 0, "######__"),
        ([5, 5, 5, 5, 5, 5, 20, 1], 1, "######__"),
        # Up to its end, the token that says so included.
        ([5, 1, 5, 1, 5, 5, 7, 8], 0, "##______"),
        ([1, 5, 5, 5, 5, 5, 7, 8], 0, "#_______"),
        # Up to the end of the last line that is shown.
        ([5, 20, 5, 20, 5, 5, 7, 8], 0, "######__"),
        ([5, 20, 5, 20, 5, 5, 7, 8], 1, "##______"),
        ([5, 20, 5, 20, 5, 5, 7, 8], 2, "####____"),
        ([5, 20, 5, 20, 5, 5, 7, 8], 3, "######__"),
        # A token may hold two line ends.
        ([5, 21, 5, 20, 5, 5, 7, 8], 1, "##______"),
        ([5, 21, 5, 20, 5, 5, 7, 8], 2, "##______"),
        ([5, 21, 5, 20, 5, 5, 7, 8], 3, "####____"),
        ([5, 20, 21, 5, 5, 5, 7, 8], 2, "###_____"),
        # Whichever comes first.
        ([5, 20, 5, 1, 5, 20, 7, 8], 2, "####____"),
        ([5, 20, 5, 20, 1, 5, 7, 8], 2, "####____"),
    ],
)
def test_a_reader_sees_the_first_hole_up_to_its_end_or_so_many_lines(draft, max_lines, seen):
    layouts = [lay_out([Hole(6), [7, 8]], 8)]
    region = reading_region(layouts, (1,), LINE_ENDS, max_lines, CPU)
    got = region(torch.tensor([draft]))[0].tolist()
    assert "".join("#" if s else "_" for s in got) == seen


def test_each_row_has_a_reading_region_of_its_own_hole():
    layouts = [
        lay_out([Hole(6), [7, 8]], 8),
        lay_out([Hole(2), [7] * 6], 8),
        # Neither a line end nor an end of sequence before the hole ends what is read of it.
        lay_out([[7, 20], Hole(4), [20], Hole(1)], 8),
        lay_out([[7, 1], Hole(4), [20], Hole(1)], 8),
    ]
    region = reading_region(layouts, (1,), LINE_ENDS, 1, CPU)
    drafts = torch.tensor(
        [
            [5, 5, 5, 5, 5, 5, 7, 8],
            [5, 5, 7, 7, 7, 7, 7, 7],
            [7, 20, 5, 20, 5, 5, 20, 5],
            [7, 1, 5, 5, 20, 5, 20, 5],
        ]
    )
    got = ["".join("#" if s else "_" for s in row) for row in region(drafts).tolist()]
    assert got == ["######__", "##______", "__##____", "__###___"]


def test_without_an_end_of_sequence_the_reader_sees_the_whole_hole():
    region = reading_region([lay_out([Hole(8)], 8)], (), LINE_ENDS, 0, CPU)
    assert region(torch.ones(1, 8, dtype=torch.long)).tolist() == [[T] * 8]


@pytest.mark.parametrize(("max_lines", "steps", "settled"), [(1, 2, T), (2, 5, F), (0, 5, F)])
def test_a_fill_stops_when_the_lines_that_are_read_have_settled(max_lines, steps, settled):
    """The first line is sure at once; what is behind it changes to the last."""
    layouts = [lay_out([Hole(6), [7, 8]], 8)]
    step = 0

    def read(work: Denoise) -> Step:
        nonlocal step
        step += 1
        entropy = torch.tensor([0.0, 0.0, *[4.0] * 6])
        return say(work, torch.tensor([5, 20, *[30 + step] * 6]), entropy)

    region = reading_region(layouts, (1,), LINE_ENDS, max_lines, CPU)
    _, events = by_hand(fill([4], layouts, PARAMS, noise_of(0), region=region), read)
    assert block_of(events).steps == step == steps
    assert block_of(events).settled.tolist() == [settled]


# Filling

SUFFIX = list(range(70, 90))
PARTS = {
    "a hole before a suffix": [Hole(14), SUFFIX[:10]],
    "a suffix shorter than what is asked about it": [Hole(20), SUFFIX[:4]],
    "known text before the hole": [[60, 61, 62], Hole(11), SUFFIX[:10]],
    "nothing known": [Hole(24)],
    "room behind the suffix": [Hole(6), SUFFIX[:5]],
    "two holes": [Hole(7), [60, 61, 62], Hole(6), SUFFIX[:8]],
    "two holes next to each other": [Hole(6), Hole(8), SUFFIX[:10]],
    "five holes": [[60], Hole(4), [61, 62], Hole(3), [63], Hole(5), [64], Hole(2), [65], Hole(4)],
}


def known_behind(parts, at: int) -> list[int]:
    """The known tokens between a hole and the next."""
    behind: list[int] = []
    for part in parts[at + 1 :]:
        if isinstance(part, Hole):
            break
        behind += part
    return behind


def thought_of(model, prompt, parts, middles, given: int = 0) -> tuple[float, float]:
    """Confidence and how it joins, by transformers' modules on the text as a reader has it."""
    text, inside, near = list(prompt), [], []
    found = iter(middles)
    for at, part in enumerate(parts):
        if not isinstance(part, Hole):
            text += part
            continue
        ids = next(found)
        inside += range(len(text), len(text) + len(ids))
        text += ids
        near += range(len(text), len(text) + min(JOIN, len(known_behind(parts, at))))
    log_probs = causal_log_probs(model, text)
    log_p = {at: log_probs[at - 1, text[at]].item() for at in [*inside, *near]}

    def mean(places: list[int]) -> float:
        return sum(log_p[at] for at in places) / len(places) if places else 0.0

    return mean(inside[given:]), mean(near)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("ends", [(1,), ENDS], ids=["no slack", "slack"])
def test_a_fill_is_judged_by_what_the_causal_side_thinks_of_it(model, denoiser, name, ends):
    parts = PARTS[name]
    prompt = prompt_of(WINDOW - 5)
    params = wide(24, eos_token_ids=ends)
    layouts = [lay_out(parts, 24)] * 3
    events = run(denoiser, fill(prompt, layouts, params, noise_of(1, 2, 3)), 3)
    filled = filled_of(events)
    holes = layouts[0].holes
    for row, ids in enumerate(block_of(events).ids.tolist()):
        expected = [middle(ids[hole], ends) for hole in holes]
        assert filled.middles[row] == expected
        judged = thought_of(model, prompt, parts, expected)
        assert (filled.confidence[row], filled.follows[row]) == pytest.approx(judged, abs=1e-4)
    slack = [
        len(m) < h.stop - h.start for ms in filled.middles for m, h in zip(ms, holes, strict=True)
    ]
    assert any(slack) == (ends is ENDS)


@pytest.mark.parametrize("name", PARTS)
def test_a_fill_never_changes_what_is_known(denoiser, name):
    layout = lay_out(PARTS[name], 24)
    events = run(denoiser, fill(prompt_of(9), [layout], wide(24), noise_of(4)))
    known = layout.tokens[layout.pinned].tolist()
    for event in events[:-1]:
        assert isinstance(event, Draft | Block)
        assert event.ids[0, layout.pinned].tolist() == known


def test_the_join_is_asked_of_so_many_tokens_behind_each_hole():
    """Every place of the scored text thinks something else, so that a mean tells who was asked."""
    parts = [Hole(2), list(range(60, 72)), Hole(2), [73, 74], Hole(2), list(range(80, 92))]
    said = torch.tensor([5, 6, *[0] * 12, 7, 1, 0, 0, 8, 1, *[0] * 12])
    works, events = by_hand(
        fill([4], [lay_out(parts, 32)], wide(32), noise_of(0)),
        lambda work: say(work, said),
        lambda work: -(2.0 ** torch.arange(tokens_of(work), dtype=torch.float64)),
    )
    assert isinstance(works[-1], Score)
    # Without slack: 5 6 | 60 ... 71 | 7 | 73 74 | 8 | 80 ... 87
    text = [5, 6, *range(60, 72), 7, 73, 74, 8, *range(80, 88)]
    assert works[-1].rows == [text]
    assert not works[-1].keep
    inside = [0, 1, 14, 17]
    near = [*range(2, 10), 15, 16, *range(18, 26)]
    filled = filled_of(events)
    assert filled.middles == [[[5, 6], [7], [8]]]
    assert filled.confidence == [-sum(2.0**i for i in inside) / 4]
    assert filled.follows == [-sum(2.0**i for i in near) / 18]


def test_a_text_of_nothing_but_slack_is_not_thought_of():
    works, events = by_hand(
        fill([4], [lay_out([Hole(8)], 8)] * 2, PARAMS, noise_of(0, 1)),
        lambda work: say(work, torch.full((8,), 1)),
    )
    assert not any(isinstance(work, Score) for work in works)
    assert filled_of(events) == Filled([[[]], [[]]], [0.0, 0.0], [0.0, 0.0])


def test_rows_of_slack_and_rows_of_text_are_judged_together():
    """The empty row is judged by its suffix alone, the full one by its middle and the suffix."""
    said = torch.tensor([[1, 5, 5, 5, 5, 5, 0, 0], [5, 5, 5, 5, 5, 5, 0, 0]])
    works, events = by_hand(
        fill([4], [lay_out([Hole(6), [60, 61]], 8)] * 2, PARAMS, noise_of(0, 1)),
        lambda work: say(work, said),
        lambda work: torch.tensor([-1.0 if t >= 60 else -3.0 for row in work.rows for t in row]),
    )
    assert works[-1].rows == [[60, 61], [5, 5, 5, 5, 5, 5, 60, 61]]
    filled = filled_of(events)
    assert filled.middles == [[[]], [[5] * 6]]
    assert filled.confidence == [0.0, -3.0]
    assert filled.follows == [-1.0, -1.0]


def test_a_text_is_written_causally_too_and_cut_at_each_of_its_line_ends(model, denoiser):
    prompt, params = prompt_of(9), wide(24)
    greedy = autoregress.generate(prompt, max_new_tokens=16, eos_token_ids=(1,))
    (whole,) = block_of(run(denoiser, greedy)).ids.tolist()
    assert 1 not in whole
    line_ends = torch.zeros(VOCAB, dtype=torch.long)
    line_ends[whole[4]] = line_ends[whole[9]] = 1
    cuts = [at for at, token in enumerate(whole) if at and line_ends[token]]
    layouts = [lay_out([Hole(16), SUFFIX], 24), lay_out([Hole(8), SUFFIX], 24)]
    plain = filled_of(run(denoiser, fill(prompt, layouts, params, noise_of(1, 2)), 2))
    for lines, expected in ((0, [whole[:cut] for cut in cuts] + [whole]), (1, [whole[: cuts[0]]])):
        if expected[-1] is whole and cuts[-1] == len(whole) - 1:
            expected = expected[:-1]
        causal = Causal(16, lines, line_ends)
        loop = fill(prompt, layouts, params, noise_of(1, 2), causal=causal)
        filled = filled_of(run(denoiser, loop, 2))
        # What the canvases hold is what they hold without it.
        assert filled.middles[:2] == plain.middles
        assert filled.follows[:2] == pytest.approx(plain.follows, abs=1e-4)
        assert filled.middles[2:] == [[ids] for ids in expected]
        for row, ids in enumerate(expected, start=2):
            judged = thought_of(model, prompt, [Hole(16), SUFFIX], [ids])
            assert (filled.confidence[row], filled.follows[row]) == pytest.approx(judged, abs=1e-4)


def test_what_was_given_of_a_text_says_nothing_of_how_sure_it_is(model, denoiser):
    prompt, begun = prompt_of(9), [5, 6]
    layouts = [lay_out([Hole(8), SUFFIX], 24)]
    causal = Causal(0, 0, torch.zeros(VOCAB, dtype=torch.long), [begun])
    loop = fill(prompt, layouts, wide(24), noise_of(1), causal=causal)
    filled = filled_of(run(denoiser, loop))
    ((line,),) = filled.middles[1:]
    assert line[: len(begun)] == begun
    judged = thought_of(model, prompt, [Hole(8), SUFFIX], [line], given=len(begun))
    assert (filled.confidence[1], filled.follows[1]) == pytest.approx(judged, abs=1e-4)


def test_copies_are_thought_of_beside_what_is_denoised(model, denoiser):
    prompt, params = prompt_of(9), wide(24, eos_token_ids=ENDS)
    layouts = [lay_out([Hole(16), SUFFIX], 24)]
    plain = filled_of(run(denoiser, fill(prompt, layouts, params, noise_of(1))))
    copied = [[5, 6, 7], [8]]
    filled = filled_of(run(denoiser, fill(prompt, layouts, params, noise_of(1), copied=copied)))
    assert filled.middles == [*plain.middles, *[[ids] for ids in copied]]
    for row, ids in enumerate(copied, start=1):
        judged = thought_of(model, prompt, [Hole(16), SUFFIX], [ids])
        assert (filled.confidence[row], filled.follows[row]) == pytest.approx(judged, abs=1e-4)


@pytest.mark.parametrize(
    ("wanted", "rows", "blocks"),
    [
        (1, "copied", 0),  # asked with the copies, and that is enough
        (2, "copied written", 0),  # asked again when a text is written besides
        (3, "denoised copied written", 1),
    ],
)
def test_nothing_is_denoised_where_what_is_copied_or_written_is_enough(
    model, denoiser, wanted, rows, blocks
):
    prompt, params = prompt_of(9), wide(24)
    layouts = [lay_out([Hole(16), SUFFIX], 24)]
    causal = Causal(4, 0, torch.zeros(VOCAB, dtype=torch.long))
    copied = [[5, 6, 7], [8]]
    options = {"copied": copied, "causal": causal}
    whole = filled_of(run(denoiser, fill(prompt, layouts, params, noise_of(1), **options)))
    parts = {"denoised": slice(0, 1), "copied": slice(1, 3), "written": slice(3, None)}
    asked = []

    def enough(known: Filled) -> bool:
        asked.append(known)
        return len(asked) == wanted

    loop = fill(prompt, layouts, params, noise_of(1), **options, enough=enough)
    events = run(denoiser, loop)
    assert len([event for event in events if isinstance(event, Block)]) == blocks
    assert len(asked) == min(wanted, 2)
    # Each text is thought of as it is when all are read at once.
    filled = filled_of(events)
    for column in ("middles", "confidence", "follows"):
        expected = [one for part in rows.split() for one in getattr(whole, column)[parts[part]]]
        said = getattr(filled, column)
        assert said == (expected if column == "middles" else pytest.approx(expected, abs=1e-4))


@pytest.mark.parametrize(("follows", "best"), [([-1.0, -1.0], 1), ([-1.0, -1.6], 0)])
def test_what_follows_weighs_twice_what_a_text_is_worth_by_itself(follows, best):
    filled = Filled([[[1]], [[2]]], [-2.0, -1.0], follows)
    assert max((0, 1), key=filled.rating) == best


def test_rows_of_different_hole_lengths_are_each_as_if_alone(denoiser):
    prompt, params = prompt_of(9), wide(24, eos_token_ids=ENDS)
    layouts = [lay_out([Hole(length), SUFFIX], 24) for length in (16, 8, 4, 1)]
    together = run(denoiser, fill(prompt, layouts, params, noise_of(1, 2, 3, 4)), 4)
    for row, layout in enumerate(layouts):
        alone = run(denoiser, fill(prompt, [layout], params, noise_of(row + 1)))
        assert block_of(together).ids[row].tolist() == block_of(alone).ids[0].tolist()
        ours, theirs = filled_of(alone), filled_of(together)
        assert theirs.middles[row] == ours.middles[0]
        assert theirs.confidence[row] == pytest.approx(ours.confidence[0], abs=1e-5)
        assert theirs.follows[row] == pytest.approx(ours.follows[0], abs=1e-5)


def test_the_same_seed_gives_the_same_fill_among_other_requests(denoiser):
    params = wide(24, eos_token_ids=ENDS)

    def request(seed: int, name: str, length: int) -> Request:
        loop = fill(prompt_of(length), [lay_out(PARTS[name], 24)], params, noise_of(seed))
        return Request(loop, 1, 24)

    asked = [(seed, name, 3 + 7 * seed) for seed, name in enumerate(PARTS)]
    together = step_to_the_end(new_engine(denoiser), *(request(*a) for a in asked))
    for (seed, name, length), events in zip(asked, together, strict=True):
        (alone,) = step_to_the_end(new_engine(denoiser), request(seed, name, length))
        assert block_of(alone).ids.tolist() == block_of(events).ids.tolist()
        assert filled_of(alone).middles == filled_of(events).middles


@pytest.mark.parametrize("seed", range(3))
def test_each_hole_begins_with_what_it_may_begin_with_in_its_own_row(denoiser, seed):
    # The second hole of one row begins inside of the other row's first hole.
    layouts = [
        lay_out([Hole(3, only(60)), [70], Hole(3, only(61)), [71]], 8),
        lay_out([Hole(6, only(62)), [72, 73]], 8),
    ]
    log: list[tuple[Denoise, Step]] = []
    loop = fill(prompt_of(5), layouts, PARAMS, noise_of(seed, seed + 1))
    events = run(denoiser, recorded(loop, log), 2)
    ids = block_of(events).ids.tolist()
    assert (ids[0][0], ids[0][4], ids[1][0]) == (60, 61, 62)
    said = [step for work, step in log if isinstance(work, Denoise)]
    # A position with one choice has no doubt; in the other row the same position has some.
    for step in said:
        assert (step.entropy[0, [0, 4]].tolist(), step.entropy[1, 0].item()) == ([0.0, 0.0], 0.0)
        assert step.entropy[1, 4].item() > 0


def test_a_fill_may_begin_from_an_earlier_text():
    warm = Warm(torch.full((8,), 77), torch.ones(8, dtype=torch.bool), 0.0)
    layouts = [lay_out([Hole(6), [7, 8]], 8), lay_out([Hole(2), [9] * 6], 8)]
    work = first_canvas(fill([4], layouts, PARAMS, noise_of(0, 1), warm=warm))
    assert work.ids.tolist() == [[77] * 6 + [7, 8], [77] * 2 + [9] * 6]


def test_drafts_come_before_the_block_and_the_fill_ends_all():
    works, events = by_hand(
        fill([4, 5], [lay_out([Hole(8)], 8)], PARAMS, noise_of(0)),
        lambda work: say(work, torch.full((8,), 9)),
    )
    assert works[0] == Prefill([4, 5])
    assert [type(event) for event in events] == [Draft, Draft, Block, Filled]


def test_a_fill_whose_probabilities_are_no_numbers_is_refused():
    with pytest.raises(NotANumber, match="NaN"):
        by_hand(
            fill([4], [lay_out([Hole(8)], 8)], PARAMS, noise_of(0)),
            lambda work: say(work, torch.full((8,), 9)),
            lambda work: torch.full((tokens_of(work),), torch.nan),
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": []}, "prompt is empty"),
        ({"layouts": []}, "0 layouts need as many rows of noise, not 1"),
        ({"noise": noise_of(0, 1, 2)}, "1 layouts need as many rows of noise, not 3"),
        ({"layouts": [lay_out([Hole(5)], 5)]}, "layout of 5 positions .* canvas of 8"),
        (
            {"layouts": [lay_out([Hole(8)], 8), lay_out([Hole(9)], 9)], "noise": noise_of(0, 1)},
            "layout of 9 positions .* canvas of 8",
        ),
        ({"layouts": [lay_out([Hole(8, only())], 8)]}, "no token is allowed at position 0"),
        (
            {
                "layouts": [lay_out([Hole(8, only(60))], 8), lay_out([Hole(8, only())], 8)],
                "noise": noise_of(0, 1),
            },
            "no token is allowed at position 0",
        ),
        (
            {"warm": Warm(torch.zeros(5).long(), torch.ones(5).bool(), 0.5)},
            r"canvas of 8 .*\(5,\) and \(5,\)",
        ),
        ({"warm": Warm(torch.zeros(8).long(), torch.ones(8).bool(), 2.0)}, "0..1, not 2.0"),
    ],
)
def test_wrong_input_is_refused_with_its_value_before_anything_is_encoded(options, words):
    given = {
        "prompt": [4],
        "layouts": [lay_out([Hole(8)], 8)],
        "params": PARAMS,
        "noise": noise_of(0),
    } | options
    with pytest.raises(InvalidParameter, match=words):
        next(fill(**given))
