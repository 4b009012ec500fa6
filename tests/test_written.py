"""Texts for a hole that are written one token after another."""

from collections.abc import Sequence

import pytest
import torch
from loops import causal_log_probs, greedy, prompt_of, run, varied_model
from tiny_model import VOCAB
from torch import Tensor

from sampler.denoise import prefill
from sampler.forward import Forward
from sampler.written import LINE_TOKENS, MENTIONS, Causal, Text, middle, write

PROMPT = prompt_of(9)


@pytest.fixture(scope="module")
def model():
    return varied_model()


@pytest.fixture(scope="module")
def denoiser(model):
    return Forward(model)


def ends(*tokens: int) -> Tensor:
    line_ends = torch.zeros(VOCAB, dtype=torch.long)
    line_ends[list(tokens)] = 1
    return line_ends


def written(denoiser, causal: Causal, longest: int = 30, eos: Sequence[int] = (1,)) -> list[Text]:
    texts: list[Text] = []

    def loop():
        yield from prefill(PROMPT)
        texts.extend((yield from write(PROMPT, causal, longest, None, eos)))

    run(denoiser, loop())
    return texts


def test_the_free_text_is_that_of_greedy_decoding_cut_at_each_of_its_line_ends(model, denoiser):
    whole, _ = greedy(model, PROMPT, 12)
    second, third = whole[2], whole[5]
    assert second not in whole[:2]
    cuts = [at for at, token in enumerate(whole) if token in (second, third)]
    for lines, last in ((0, 12), (1, cuts[0] + 1), (2, cuts[1] + 1)):
        expected = [whole[:cut] for cut in cuts if cut < last]
        expected += [whole] if last == 12 and cuts[-1] != 11 else []
        assert written(denoiser, Causal(12, lines, ends(second, third))) == [
            Text(ids) for ids in expected
        ]
    # The hole's room and an end of sequence end it too.
    assert written(denoiser, Causal(12, 0, ends()), longest=4) == [Text(whole[:4])]
    assert written(denoiser, Causal(12, 0, ends()), eos=(whole[3],)) == [Text(whole[:3])]


def test_a_line_that_is_begun_is_gone_on_with_to_its_end(model, denoiser):
    begun = [[5, 6], [7]]
    rests = [greedy(model, PROMPT + ids, LINE_TOKENS)[0] for ids in begun]
    end = rests[0][3]
    for line_ends, eos in ((ends(end), (1,)), (ends(), (1, end))):
        texts = written(denoiser, Causal(0, 0, line_ends, begun), eos=eos)
        # Each stands right behind the prompt, not behind the one before.
        assert texts == [
            Text([*ids, *middle(rest, {end})], given=len(ids))
            for ids, rest in zip(begun, rests, strict=True)
        ]
    texts = written(denoiser, Causal(0, 0, ends(), begun))
    assert [len(text.ids) - text.given for text in texts] == [LINE_TOKENS] * 2


def test_a_mention_is_put_where_it_is_likeliest_and_gone_on_with(model, denoiser):
    begun, mentions = [5, 6], [[60, 61], [62]]
    free, line, *mentioning = written(denoiser, Causal(4, 0, ends(), [begun], mentions))
    assert [len(free.ids), len(line.ids)] == [4, len(begun) + LINE_TOKENS]
    # By hand: each mention in each place of both texts but the first one's first.
    places = []
    for text in (free, line):
        log_probs = causal_log_probs(model, [*PROMPT, *text.ids])[len(PROMPT) - 1 :]
        for at in range(max(text.given, 1), len(text.ids)):
            before = sum(log_probs[i][text.ids[i]].item() for i in range(text.given, at))
            places += [
                (before + log_probs[at][ids[0]].item(), [*text.ids[:at], *ids]) for ids in mentions
            ]
    places.sort(reverse=True)
    assert [text.ids[:-LINE_TOKENS] for text in mentioning] == [ids for _, ids in places[:MENTIONS]]
    for text in mentioning:
        rest, _ = greedy(model, PROMPT + text.ids[:-LINE_TOKENS], LINE_TOKENS)
        assert text.ids[-LINE_TOKENS:] == rest
        assert text.given == 0


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([5, 6, 1, 1], [5, 6]),
        ([5, 6, 7, 8], [5, 6, 7, 8]),
        ([1, 6, 7, 8], []),
        ([5, 3, 7, 8], [5]),
        ([5, 3, 7, 1], [5]),
        ([], []),
    ],
)
def test_the_middle_ends_with_the_first_end_of_sequence(ids, text):
    assert middle(ids, (1, 3)) == text
