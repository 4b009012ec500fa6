from typing import Any

import pytest
import torch
from loops import (
    by_hand,
    greedy,
    new_engine,
    prompt_of,
    recorded,
    run,
    step_to_the_end,
    varied_model,
)
from tiny_model import VOCAB, WINDOW
from torch import Tensor

from sampler.autoregress import generate
from sampler.denoise import NotANumber
from sampler.engine import Request
from sampler.events import Block, Draft, Event, Scored
from sampler.forward import Forward, Span
from sampler.params import InvalidParameter
from sampler.work import Predict, Prefill

T, F = True, False


@pytest.fixture(scope="module")
def model():
    return varied_model()


@pytest.fixture(scope="module")
def denoiser(model):
    return Forward(model)


def only(*tokens: int) -> Tensor:
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[list(tokens)] = True
    return allowed


def block_of(events: list[Event]) -> Block:
    (block,) = (event for event in events if isinstance(event, Block))
    return block


def text_of(events: list[Event]) -> list[int]:
    text: list[int] = block_of(events).ids[0].tolist()
    return text


LENGTHS = [1, 2, 5, WINDOW - 4, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("seed", range(3))
def test_the_text_is_that_of_greedy_decoding_with_transformers(model, denoiser, length, seed):
    prompt = prompt_of(length, seed)
    expected, log_probs = greedy(model, prompt, 10)
    events = run(denoiser, generate(prompt, max_new_tokens=10, eos_token_ids=()))
    assert text_of(events) == expected
    assert len(set(expected)) > 2
    assert isinstance(events[-1], Scored)
    assert events[-1].log_probs.tolist() == [pytest.approx(log_probs, abs=1e-4)]


def test_requests_stepped_together_get_what_each_gets_alone(denoiser):
    def request(length: int) -> Request:
        loop = generate(prompt_of(length, 5), max_new_tokens=length % 7 + 1, eos_token_ids=())
        return Request(loop, 1, 8)

    together = step_to_the_end(new_engine(denoiser), *(request(length) for length in LENGTHS))
    for length, events in zip(LENGTHS, together, strict=True):
        (alone,) = step_to_the_end(new_engine(denoiser), request(length))
        assert text_of(events) == text_of(alone)


def test_a_text_that_goes_on_from_one_that_is_encoded_is_the_same(model, denoiser):
    engine = new_engine(denoiser)
    prompt = prompt_of(WINDOW + 3)
    for length in (WINDOW + 3, WINDOW - 5, WINDOW - 5, WINDOW + 2):
        loop = generate(prompt[:length], max_new_tokens=5, eos_token_ids=())
        (events,) = step_to_the_end(engine, Request(loop, 1, 5))
        assert text_of(events) == greedy(model, prompt[:length], 5)[0]


def test_the_encoded_text_is_the_prompt_and_all_but_the_last_token(denoiser):
    prompt = prompt_of(WINDOW - 3)
    engine = new_engine(denoiser)
    loop = generate(prompt, max_new_tokens=8, eos_token_ids=())
    (events,) = step_to_the_end(engine, Request(loop, 1, 8))
    whole = prompt + text_of(events)
    reused = engine.cache.acquire(whole)
    assert reused.ids == whole[:-1]
    fresh = denoiser.new_kv()
    hidden = denoiser.encode([Span(fresh, (len(whole) - 1,))], torch.tensor(whole[:-1]))
    fresh.extend(whole[:-1], hidden[-1])
    last = torch.tensor(whole[-1:])
    torch.testing.assert_close(
        denoiser.encode([Span(reused, (1,))], last),
        denoiser.encode([Span(fresh, (1,))], last),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "allowed", [only(60), only(60, 61, 62), ~only(*range(40)), only(*range(40))]
)
def test_only_the_first_token_is_limited_to_what_is_allowed(model, denoiser, allowed):
    free = 0
    for seed in range(4):
        prompt = prompt_of(6, seed)
        expected, log_probs = greedy(model, prompt, 8, allowed)
        events = run(
            denoiser, generate(prompt, max_new_tokens=8, eos_token_ids=(), allowed=allowed)
        )
        assert text_of(events) == expected
        assert allowed[expected[0]]
        # The probability is the model's own: a token is not more likely for having been forced.
        assert events[-1].log_probs.tolist() == [pytest.approx(log_probs, abs=1e-4)]
        free += sum(not allowed[token] for token in expected[1:])
    assert free > 0


@pytest.mark.parametrize("at", [0, 1, 4, 9])
def test_the_text_ends_with_an_end_of_sequence(model, denoiser, at):
    prompt = prompt_of(7)
    text, _ = greedy(model, prompt, 10)
    end = text[at]
    expected = text[: text.index(end) + 1]
    block = block_of(run(denoiser, generate(prompt, max_new_tokens=30, eos_token_ids=(1, end))))
    assert block.ids.tolist() == [expected]
    assert (block.steps, block.settled.tolist(), block.finished.tolist()) == (
        len(expected),
        [T],
        [T],
    )


@pytest.mark.parametrize("most", [1, 2, 7])
def test_the_text_ends_at_its_greatest_length_and_is_not_finished_then(model, denoiser, most):
    prompt = prompt_of(7)
    block = block_of(run(denoiser, generate(prompt, max_new_tokens=most, eos_token_ids=())))
    assert block.ids.tolist() == [greedy(model, prompt, most)[0]]
    assert (block.steps, block.settled.tolist(), block.finished.tolist()) == (most, [F], [F])


@pytest.mark.parametrize("enough", [1, 3, 6])
def test_the_text_ends_where_it_is_enough_and_no_token_is_asked_for_more(model, denoiser, enough):
    prompt = prompt_of(7)
    log: list[Any] = []
    loop = generate(
        prompt, max_new_tokens=30, eos_token_ids=(), enough=lambda ids: len(ids) == enough
    )
    block = block_of(run(denoiser, recorded(loop, log)))
    assert block.ids.tolist() == [greedy(model, prompt, enough)[0]]
    assert (block.settled.tolist(), block.finished.tolist()) == ([T], [F])
    assert [type(work) for work, _ in log] == [Prefill] + [Predict] * enough


def test_a_text_that_is_enough_before_it_begins_is_empty():
    works, events = by_hand(
        generate([4], max_new_tokens=3, eos_token_ids=(), enough=lambda ids: True), None
    )
    assert works == [Prefill([4])]
    block, scored = events
    assert (block.ids.shape, block.ids.dtype, block.steps) == ((1, 0), torch.long, 0)
    assert scored.log_probs.shape == (1, 0)


def logits_for(*tokens: int):
    """A model that finds each token likeliest in its turn."""
    turns = iter(tokens)

    def predict(work: Predict) -> Tensor:
        logits = torch.zeros(VOCAB)
        logits[next(turns)] = 5.0
        return logits

    return predict


def driven(loop, predict):
    """The works and the events of a loop whose model is `predict`."""
    works, events, answer = [], [], None
    while True:
        try:
            item = loop.send(answer)
        except StopIteration:
            return works, events
        answer = predict(item) if isinstance(item, Predict) else None
        (events if isinstance(item, Event) else works).append(item)


def test_each_token_is_encoded_once_and_told_as_a_stable_draft():
    works, events = driven(
        generate([4, 5], max_new_tokens=9, eos_token_ids=(1,)), logits_for(60, 61, 62, 1)
    )
    assert works == [Prefill([4, 5]), Predict([]), Predict([60]), Predict([61]), Predict([62])]
    drafts = [event for event in events if isinstance(event, Draft)]
    assert [(d.block, d.step, d.ids.tolist()) for d in drafts] == [
        (0, 1, [[60]]),
        (0, 2, [[60, 61]]),
        (0, 3, [[60, 61, 62]]),
        (0, 4, [[60, 61, 62, 1]]),
    ]
    assert all(bool(d.stable.all()) for d in drafts)
    assert [type(event) for event in events[4:]] == [Block, Scored]


@pytest.mark.parametrize("bad", [0, 2])
def test_what_is_not_a_number_is_refused(bad):
    turn = 0

    def predict(work: Predict) -> Tensor:
        nonlocal turn
        turn += 1
        return torch.full((VOCAB,), torch.nan if turn == bad + 1 else 0.0)

    with pytest.raises(NotANumber, match="NaN"):
        driven(generate([4], max_new_tokens=9, eos_token_ids=(1,)), predict)
    assert turn == bad + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": []}, "prompt is empty"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, not 0"),
        ({"max_new_tokens": -3}, "at least 1, not -3"),
        ({"allowed": only()}, "no token is allowed"),
    ],
)
def test_wrong_input_is_refused_with_its_value_before_anything_is_encoded(options, words):
    given = {"prompt": [4], "max_new_tokens": 5, "eos_token_ids": (1,)} | options
    with pytest.raises(InvalidParameter, match=words):
        next(generate(**given))
