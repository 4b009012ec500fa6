import random

import pytest
import torch
from loops import noise_of, prompt_of, run, tame_model
from tiny_model import CANVAS

from sampler import rewrite
from sampler.events import Block
from sampler.forward import Forward
from sampler.params import InvalidParameter, SamplingParams
from sampler.rewrite import Gap, gap, lay_out
from sampler.work import Prefill

EOS = 1
PARAMS = SamplingParams(canvas_length=CANVAS, max_steps=3, eos_token_ids=(EOS,))


@pytest.fixture(scope="module")
def denoiser():
    return Forward(tame_model())


def ids(draw, most):
    return [draw.randint(8, 90) for _ in range(draw.randint(1, most))]


def pieces_of(draw):
    """Kept ids and gaps in any order, some of them longer than a canvas."""
    pieces = [
        ids(draw, 20) if draw.random() < 0.5 else gap(ids(draw, 12), draw.choice([0.5, 1, 2]))
        for _ in range(draw.randint(1, 9))
    ]
    return [*pieces, gap([9], 1)]


def flat(pieces):
    return [token for piece in pieces if not isinstance(piece, Gap) for token in piece]


def laid(sheets):
    """The kept ids that come before the end of each sheet's last hole, in order."""
    found = []
    for sheet in sheets:
        stop = sheet.layout.holes[-1].stop
        inside = sheet.layout.tokens[:stop][sheet.layout.pinned[:stop]].tolist()
        found += [*sheet.before, *inside]
    return found


@pytest.mark.parametrize("canvas", [4, 8, 32])
def test_all_that_is_kept_is_laid_out_once_in_its_order_and_all_gaps_are(canvas):
    draw = random.Random(1)
    for _ in range(300):
        pieces = pieces_of(draw)
        sheets = lay_out(pieces, canvas, EOS)
        assert laid(sheets) == flat(pieces)
        gaps = [number for number, piece in enumerate(pieces) if isinstance(piece, Gap)]
        assert list(dict.fromkeys(n for sheet in sheets for n in sheet.gaps)) == gaps


def test_behind_the_last_gap_stands_as_much_of_what_is_kept_as_there_is_room_for():
    (sheet,) = lay_out([Gap([9], 2), [11, 12, 13, 14, 15, 16, 17, 18]], 8, EOS)
    assert sheet.layout.tokens[2:].tolist() == [11, 12, 13, 14, 15, 16]
    assert sheet.layout.pinned.tolist() == [False] * 2 + [True] * 6


def test_a_quarter_of_a_canvas_is_never_a_gap():
    for sheet in lay_out([Gap(list(range(8, 40)), 50)], 8, EOS):
        assert all(hole.stop <= 6 for hole in sheet.layout.holes)


def test_gaps_share_a_canvas_with_what_stands_between_them():
    (sheet,) = lay_out([[9], Gap([10], 2), [11], Gap([12], 2), [13]], 8, EOS)
    assert sheet.before == [9]
    assert sheet.layout.holes == (slice(0, 2), slice(3, 5))


def test_the_present_text_stands_in_its_gap_and_the_rest_of_it_is_empty():
    (sheet,) = lay_out([Gap([10, 11], 4)], 8, EOS)
    assert sheet.present[:4].tolist() == [10, 11, EOS, EOS]
    assert sheet.given.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize(("length", "expected"), [(1, 14), (0.5, 8), (2, 26)])
def test_a_gap_is_a_quarter_longer_than_the_text_that_is_meant_for_it(length, expected):
    assert gap(list(range(10)), length).length == expected


def test_a_text_without_a_gap_is_refused():
    with pytest.raises(InvalidParameter, match="no gap"):
        lay_out([[1, 2]], 8, EOS)


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_what_is_kept_stands_in_every_block(denoiser, strength):
    draw = random.Random(2)
    pieces = pieces_of(draw)
    sheets = lay_out(pieces, CANVAS, EOS)
    loop = rewrite.rewrite(prompt_of(5), sheets, PARAMS, noise_of(1), strength=strength)
    blocks = [event for event in run(denoiser, loop) if isinstance(event, Block)]
    assert len(blocks) == len(sheets)
    for block, sheet in zip(blocks, sheets, strict=True):
        layout = sheet.layout
        assert torch.equal(block.ids[0][layout.pinned], layout.tokens[layout.pinned])


def test_each_sheet_is_read_behind_all_that_was_written_before(denoiser):
    sheets = lay_out([[9, 10], Gap([11, 12], 6), [13], Gap([14], 5), [15]], CANVAS, EOS)
    prompt, read = prompt_of(4), []

    def listened(loop):
        item = next(loop)
        while True:
            if isinstance(item, Prefill):
                read.append(list(item.ids))
            try:
                item = loop.send((yield item))
            except StopIteration:
                return

    loop = rewrite.rewrite(prompt, sheets, PARAMS, noise_of(1))
    blocks = [event for event in run(denoiser, listened(loop)) if isinstance(event, Block)]
    first = sheets[0].whole(blocks[0].ids[0].tolist(), (EOS,))
    assert read == [prompt, [*prompt, 9, 10], [*prompt, 9, 10, *first, 13]]


@pytest.mark.parametrize(
    ("noise", "strength", "message"),
    [(noise_of(1, 2), 1.0, "one row, not 2"), (noise_of(1), 1.5, "0..1, not 1.5")],
)
def test_several_rows_and_a_wrong_strength_are_refused(noise, strength, message):
    sheets = lay_out([Gap([9], 2)], CANVAS, EOS)
    with pytest.raises(InvalidParameter, match=message):
        next(rewrite.rewrite([5], sheets, PARAMS, noise, strength=strength))
