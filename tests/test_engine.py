import random
import weakref
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
import torch
from fake_denoiser import CPU, NAN, RAISES, SURE, VOCAB, FakeDenoiser, Poisoned
from loops import noise_of as tame_noise
from loops import prompt_of, tame_model

from sampler import autoregress, denoise, infill, turns
from sampler import engine as engine_module
from sampler.cache import PrefixCache
from sampler.canvas import Noise
from sampler.denoise import NotANumber
from sampler.engine import Ended, Engine, EngineFull, Failed, Request
from sampler.events import Block, Draft, Filled, Scored
from sampler.forward import Forward
from sampler.params import InvalidParameter, SamplingParams
from sampler.work import Denoise, Predict, Prefill, Score

CANVAS = 4
PARAMS = SamplingParams(canvas_length=CANVAS, max_new_tokens=CANVAS, max_steps=4, eos_token_ids=())


def new_engine(denoiser, *, rows=8, queue=8, budget=1 << 20):
    return Engine(denoiser, PrefixCache(denoiser.new_kv, budget), rows=rows, queue=queue)


def drain(engine, outcomes=None):
    """Step to the end; returns what came of each request, in order."""
    outcomes = {} if outcomes is None else outcomes
    while not engine.idle:
        gather(outcomes, engine.step())
    assert (engine.rows_in_use, engine.cache.lent) == (0, 0)
    return outcomes


def gather(outcomes, told):
    for key, outcome in told:
        outcomes.setdefault(key, []).append(outcome)


def run(engine, **requests):
    for key, request in requests.items():
        engine.submit(key, request)
    return drain(engine)


def of(kind, outcomes):
    return [outcome for outcome in outcomes if isinstance(outcome, kind)]


# Requests of the real loops, and what they have to give over the fake model


def generating(prompt, tokens=CANVAS, urgency=0, seeds=(0,), **params):
    sampling = SamplingParams(
        **{"canvas_length": CANVAS, "max_steps": 4, "eos_token_ids": ()} | params,
        max_new_tokens=tokens,
    )
    loop = denoise.generate(prompt, sampling, Noise(seeds, VOCAB, CPU))
    return Request(loop, len(seeds), tokens, urgency)


def predicting(prompt, tokens, urgency=0):
    loop = autoregress.generate(prompt, max_new_tokens=tokens, eos_token_ids=())
    return Request(loop, 1, tokens, urgency)


def added_up(prompt, blocks=1):
    """What the fake model writes behind a prompt, canvas after canvas."""
    text = list(prompt)
    for _ in range(blocks):
        total = sum(text)
        text += [(total + i) % VOCAB for i in range(CANVAS)]
    return text[len(prompt) :]


def text_of(outcomes):
    return [token for block in of(Block, outcomes) for token in block.ids[0].tolist()]


# Over the tiny model: a request's neighbours make no difference to it


@pytest.fixture(scope="module")
def forward():
    return Forward(tame_model())


def mixed_requests():
    """Requests of all kinds, prompts on both sides of the window, of many widths and steps."""
    requests = {}
    for n in range(3):
        params = SamplingParams(
            canvas_length=[8, 6, 12][n], max_new_tokens=18, max_steps=2 + n, eos_token_ids=(1,)
        )
        loop = denoise.generate(prompt_of(9 + 7 * n, n), params, tame_noise(n))
        requests[f"generate {n}"] = Request(loop, 1, 18)
    for n in range(2):
        size = [8, 11][n]
        params = SamplingParams(
            canvas_length=size, max_new_tokens=size, max_steps=5 - n, eos_token_ids=(1,)
        )
        allowed = torch.arange(97) % 2 == 0 if n else None
        layouts = [
            infill.lay_out([infill.Hole(length, allowed), prompt_of(size, 9)], size)
            for length in (3, 5, 7)[: n + 2]
        ]
        noise = tame_noise(*range(n + 2))
        loop = infill.fill(prompt_of(13 + 10 * n, 7), layouts, params, noise)
        requests[f"fill {n}"] = Request(loop, n + 2, size)
    loop = autoregress.generate(prompt_of(15, 5), max_new_tokens=7, eos_token_ids=(1,))
    requests["autoregress"] = Request(loop, 1, 7)
    return requests


@pytest.fixture(scope="module")
def alone(forward):
    return {
        key: run(new_engine(forward, budget=0), **{key: request})[key]
        for key, request in mixed_requests().items()
    }


def assert_same(got, expected):
    assert [type(outcome) for outcome in got] == [type(outcome) for outcome in expected]
    for one, other in zip(got, expected, strict=True):
        if isinstance(one, Draft | Block):
            assert one.ids.tolist() == other.ids.tolist()
        if isinstance(one, Block):
            assert (one.steps, one.settled.tolist()) == (other.steps, other.settled.tolist())
        if isinstance(one, Scored):
            torch.testing.assert_close(one.log_probs, other.log_probs, atol=1e-3, rtol=0)
        if isinstance(one, Filled):
            assert one.middles == other.middles
            assert one.follows == pytest.approx(other.follows, abs=1e-3)


def test_requests_of_all_kinds_stepped_together_give_what_each_gives_alone(forward, alone):
    outcomes = run(new_engine(forward, rows=32), **mixed_requests())
    for key in alone:
        assert_same(outcomes[key], alone[key])
        assert isinstance(outcomes[key][-1], Ended)


def test_requests_that_join_at_any_step_change_nothing(forward, alone):
    keys = list(alone)
    for seed in range(4):
        rng = random.Random(seed)
        engine, outcomes = new_engine(forward, rows=4), {}
        requests = mixed_requests()
        for key in rng.sample(keys, len(keys)):
            engine.submit(key, requests[key])
            for _ in range(rng.randrange(5)):
                gather(outcomes, engine.step())
        drain(engine, outcomes)
        for key in keys:
            assert_same(outcomes[key], alone[key])


def test_a_request_that_leaves_at_any_step_takes_nothing_along(forward, alone):
    kept = ["generate 1", "fill 1", "autoregress"]
    for leaver in ("generate 2", "fill 0"):
        for steps in range(12):
            engine, outcomes = new_engine(forward, rows=32), {}
            requests = mixed_requests()
            for key in [leaver, *kept]:
                engine.submit(key, requests[key])
            for _ in range(steps):
                gather(outcomes, engine.step())
            ended = isinstance(outcomes.get(leaver, [None])[-1], Ended)
            assert engine.cancel(leaver) == (not ended)
            before = len(outcomes.get(leaver, []))
            drain(engine, outcomes)
            assert len(outcomes.get(leaver, [])) == before
            for key in kept:
                assert_same(outcomes[key], alone[key])


def probing(prompt, told):
    """A loop that tells what the model says behind a prompt: causally, and of two canvases."""
    yield Prefill(prompt)
    told.append((yield Predict([])))
    ids = torch.tensor([prompt_of(8, 1), prompt_of(8, 2)])
    free, uniform = torch.ones_like(ids, dtype=torch.bool), torch.full(ids.shape, 0.5)
    step = yield Denoise(ids, free, None, uniform, 1.0, {}, more=True)
    told += [step.entropy, step.soft]
    told.append((yield Score([*ids.tolist(), [], [5, 6], []], keep=False)))


def edited(rng, text):
    """Return the text after something that people do while they write."""
    at = rng.randrange(1, len(text))
    return rng.choice(
        [
            [*text, *prompt_of(rng.randint(1, 9), rng.randrange(99))],  # typed
            text[: -rng.randint(1, min(len(text) - 1, 9))],  # deleted
            [*text[:at], *prompt_of(3, rng.randrange(99)), *text[at:]],  # inserted
            [*text[:at], *text[at + 1 :]],  # taken out
        ]
    )


def test_kept_texts_give_what_freshly_encoded_ones_give_after_any_edit(forward):
    rng = random.Random(3)
    documents = [prompt_of(40, 11), prompt_of(30, 12)]
    kept = new_engine(forward)
    for key in range(60):
        document = rng.randrange(2)
        documents[document] = text = edited(rng, documents[document])[:120]
        told, fresh = [], []
        run(kept, **{str(key): Request(probing(text, told), 2, 1)})
        run(new_engine(forward, budget=0), once=Request(probing(text, fresh), 2, 1))
        for got, expected in zip(told, fresh, strict=True):
            scale = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(got, expected, atol=1e-5 * scale, rtol=0)


# Over the fake model: the same loops, and who is served when


def test_a_request_ends_with_its_text_and_leaves_nothing_behind():
    engine = new_engine(FakeDenoiser())
    outcomes = run(engine, a=generating([5, 6], 3 * CANVAS), b=predicting([7, 9], 3))
    assert text_of(outcomes["a"]) == added_up([5, 6], 3)
    assert text_of(outcomes["b"]) == [0, 0, 0]
    assert [type(o) for o in outcomes["a"]] == [
        *[Draft, Draft, Block, Scored] * 2,
        *[Draft, Draft, Block, Ended],
    ]


def test_a_kept_text_is_not_encoded_again():
    fake = FakeDenoiser()
    engine = new_engine(fake)
    prompt = [4 + n % 9 for n in range(50)]
    run(engine, first=generating(prompt))
    fake.passes.clear()
    run(engine, second=generating([*prompt, 7, 8]))
    assert fake.passes[0] == ("encode", 1, 2)


def test_what_a_request_may_take_holds_at_its_own_places_only():
    def limited(prompt, tokens, rows):
        allowed = torch.zeros(rows, VOCAB, dtype=torch.bool)
        allowed[torch.arange(rows), torch.tensor(tokens)] = True
        may = allowed[0] if rows == 1 else allowed
        nothing = torch.zeros(CANVAS)
        pins = denoise.Pins(nothing.bool(), nothing.long(), {2: may})
        loop = denoise.generate(prompt, PARAMS, Noise(range(rows), VOCAB, CPU), pins=pins)
        return Request(loop, rows, CANVAS)

    outcomes = run(
        new_engine(FakeDenoiser()),
        free=generating([20]),
        one=limited([20], [9], 1),
        each=limited([20], [10, 11], 2),
        other=generating([21]),
    )
    (one,), (each,) = of(Block, outcomes["one"]), of(Block, outcomes["each"])
    assert text_of(outcomes["free"]) == [4, 5, 6, 7]
    assert one.ids.tolist() == [[4, 5, 9, 7]]
    assert each.ids.tolist() == [[4, 5, 10, 7], [4, 5, 11, 7]]
    assert text_of(outcomes["other"]) == [5, 6, 7, 8]


def test_a_long_prompt_is_encoded_in_pieces_and_others_step_in_between(monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 4)
    fake = FakeDenoiser()
    engine = new_engine(fake)
    engine.submit("running", generating([5], 8 * CANVAS))
    engine.step()
    prompt = [4 + n % 9 for n in range(38)]
    engine.submit("long", generating(prompt))
    fake.passes.clear()
    outcomes = drain(engine)
    encoding = [side == "encode" for side, _, _ in fake.passes]
    pieces = [tokens for side, _, tokens in fake.passes if side == "encode"]
    assert max(pieces) <= 4 + CANVAS  # the other request's finished canvas may go along
    assert not any(a and b for a, b in pairwise(encoding[:18]))
    assert text_of(outcomes["long"]) == added_up(prompt)
    assert text_of(outcomes["running"]) == added_up([5], 8)


@pytest.mark.parametrize(
    ("requests", "order"),
    [
        ([("long", 0, 90), ("short", 0, 10), ("middle", 0, 50)], ["short", "middle", "long"]),
        ([("bulk", 2, 1), ("chat", 1, 50), ("key", 0, 90)], ["key", "chat", "bulk"]),
        ([("first", 0, 9), ("second", 0, 9)], ["first", "second"]),
    ],
)
def test_urgent_requests_go_first_and_among_them_short_ones(requests, order):
    engine = new_engine(FakeDenoiser(), rows=1)
    for key, urgency, tokens in requests:
        loop = generating([5]).loop
        engine.submit(key, Request(loop, 1, tokens, urgency))
    ended = []
    while not engine.idle:
        ended += [key for key, outcome in engine.step() if isinstance(outcome, Ended)]
    assert ended == order


def passes_until_ended(engine, key):
    """Step until a request has ended; returns how many passes that took."""
    for count in range(1, 1000):
        if (key, Ended()) in [(k, o) for k, o in engine.step() if isinstance(o, Ended)]:
            return count
    raise AssertionError(f"{key} does not end")


@pytest.mark.parametrize("after", range(12))
def test_an_urgent_request_waits_for_one_pass_of_bulk_at_a_time_at_most(after, monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 4)
    engine = new_engine(FakeDenoiser(), rows=8, queue=50)
    engine.submit("urgent", generating([5, 6], 2 * CANVAS))
    alone = passes_until_ended(engine, "urgent")
    for n in range(30):
        prompt = [4 + (n + m) % 9 for m in range(20)]
        engine.submit(f"bulk {n}", generating(prompt, 4 * CANVAS, urgency=turns.BULK))
    for _ in range(after):
        engine.step()
    assert engine.rows_in_use <= 8 * turns.BULK_SHARE
    engine.submit("urgent", generating([7, 8], 2 * CANVAS))
    assert passes_until_ended(engine, "urgent") <= 2 * alone


def test_bulk_ends_in_bounded_time_among_urgent_requests_that_never_end():
    engine = new_engine(FakeDenoiser(), rows=2, queue=50)
    engine.submit("urgent 0", generating([5]))
    engine.step()
    # One pass for the prompt, two for the canvas and one to score it.
    engine.submit("bulk", generating([6], urgency=turns.BULK))
    overtaking = turns.TIMES_OVERTAKEN + 1
    for step in range(1, 2 * 4 * (overtaking + turns.STEPS_PASSED_OVER + 1)):
        engine.submit(f"urgent {step}", generating([5])) if len(engine._waiting) < 4 else None
        if any(key == "bulk" and isinstance(o, Ended) for key, o in engine.step()):
            return
    raise AssertionError("bulk starves")


def test_rows_are_never_more_than_there_are():
    engine = new_engine(FakeDenoiser(), rows=5, queue=50)
    rng = random.Random(4)
    for n in range(40):
        seeds = range(rng.randint(1, 5))
        engine.submit(str(n), generating([4 + n % 9], seeds=seeds, urgency=n % 3))
    busy = []
    while not engine.idle:
        engine.step()
        busy.append(engine.rows_in_use)
    assert max(busy) == 5


# What is refused


def filled(prompt, holes=((0, 2),), canvas=CANVAS):
    parts = [infill.Hole(length) for _, length in holes]
    layouts = [infill.lay_out(parts, canvas)]
    return infill.fill(prompt, layouts, PARAMS, Noise([0], VOCAB, CPU))


def pinned(tokens=CANVAS, allowed=None, full=False):
    pinned = torch.full((tokens,), full)
    pins = denoise.Pins(pinned, torch.zeros(tokens, dtype=torch.long), allowed or {})
    return denoise.generate([5], PARAMS, Noise([0], VOCAB, CPU), pins=pins)


def predicted(prompt, tokens):
    return autoregress.generate(prompt, max_new_tokens=tokens, eos_token_ids=())


MAY = torch.ones(VOCAB, dtype=torch.bool)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: generating([]).loop, "prompt is empty"),
        (lambda: filled([]), "prompt is empty"),
        (lambda: predicted([], 3), "prompt is empty"),
        (lambda: predicted([5], 0), "at least 1, not 0"),
        (lambda: generating([5], max_steps=0).loop, "max_steps must be at least 1, not 0"),
        (lambda: generating([5], 2 * CANVAS, seeds=(0, 1)).loop, "2 rows ask for 8"),
        (lambda: filled([5], [(0, 0)]), "not 0"),
        (lambda: filled([5], [(0, CANVAS + 1)]), f"not {CANVAS + 1}"),
        (lambda: filled([5], []), "no hole"),
        (lambda: filled([5], canvas=CANVAS + 1), "does not fit the canvas"),
        (lambda: pinned(CANVAS + 1), f"canvas of {CANVAS} positions"),
        (lambda: pinned(full=True), "hole is empty"),
        (lambda: pinned(allowed={CANVAS: MAY}), "outside the canvas"),
        (lambda: pinned(allowed={-1: MAY}), "outside the canvas"),
        (lambda: pinned(allowed={0: ~MAY}), "no token is allowed"),
    ],
)
def test_what_a_loop_refuses_is_refused_at_once_and_leaves_nothing_behind(make, words):
    fake = FakeDenoiser()
    engine = new_engine(fake)
    with pytest.raises(InvalidParameter, match=words):
        engine.submit("key", Request(make(), 1, 1))
    assert (engine.idle, engine.step(), fake.passes) == (True, [], [])
    assert text_of(run(engine, key=generating([5]))["key"]) == added_up([5])


def test_more_rows_than_there_are_are_refused():
    engine = new_engine(FakeDenoiser(), rows=3)
    with pytest.raises(InvalidParameter, match="4 rows are more than the 3"):
        engine.submit("wide", generating([5], seeds=range(4)))
    assert engine.idle
    assert isinstance(run(engine, wide=generating([5], seeds=range(3)))["wide"][-1], Ended)


def test_a_key_serves_one_request_at_a_time():
    engine = new_engine(FakeDenoiser())
    engine.submit("key", generating([5]))
    for _ in range(2):  # while it waits, and while it runs
        with pytest.raises(InvalidParameter, match="the key 'key' is in use"):
            engine.submit("key", generating([6]))
        engine.step()
    assert text_of(drain(engine)["key"]) == added_up([5])
    assert text_of(run(engine, key=generating([6]))["key"]) == added_up([6])


def test_the_queue_is_bounded_and_has_room_again_when_one_has_left():
    engine = new_engine(FakeDenoiser(), rows=1, queue=2)
    for key in ("running", "second"):
        engine.submit(key, generating([5]))
    engine.step()
    engine.submit("third", generating([5]))
    with pytest.raises(EngineFull, match="2 requests wait already"):
        engine.submit("fourth", generating([5]))
    assert engine.cancel("second")
    engine.submit("fourth", generating([6]))
    assert drain(engine).keys() == {"running", "third", "fourth"}


# What is cancelled


def test_a_cancelled_request_takes_no_further_step():
    closed = []

    def endless():
        try:
            yield Prefill([5, 6])
            while True:
                yield Predict([7])
        finally:
            closed.append(True)

    fake = FakeDenoiser()
    engine = new_engine(fake, rows=1)
    engine.submit("key", Request(endless(), 1, 1))
    for _ in range(5):
        engine.step()
    passes = len(fake.passes)
    assert engine.cancel("key")
    assert (closed, engine.idle, engine.rows_in_use, engine.cache.lent) == ([True], True, 0, 0)
    assert engine.step() == []
    assert len(fake.passes) == passes
    assert not engine.cancel("key")


def test_what_a_cancelled_request_has_encoded_is_kept(monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 8)
    fake = FakeDenoiser()
    engine = new_engine(fake)
    prompt = [4 + n % 9 for n in range(40)]
    engine.submit("key", generating(prompt))
    for _ in range(3):
        engine.step()
    engine.cancel("key")
    fake.passes.clear()
    assert text_of(run(engine, key=generating(prompt))["key"]) == added_up(prompt)
    assert sum(tokens for side, _, tokens in fake.passes if side == "encode") == 16


@pytest.mark.parametrize(("length", "room", "fits"), [(12, 8, True), (13, 8, False), (20, 0, True)])
def test_a_text_longer_than_the_model_takes_is_refused_with_its_size(length, room, fits):
    fake = FakeDenoiser()
    cache = PrefixCache(fake.new_kv, 2**20)
    engine = Engine(fake, cache, rows=4, queue=4, positions=20)
    request = replace(generating([5] * length), room=room)
    if fits:
        engine.submit("a", request)
        return
    with pytest.raises(
        InvalidParameter, match=f"{length} tokens and {room} behind .* 20 positions"
    ):
        engine.submit("a", request)
    assert engine.idle


def test_a_request_that_waits_can_be_cancelled():
    engine = new_engine(FakeDenoiser(), rows=1)
    for key in ("running", "waiting"):
        engine.submit(key, generating([5]))
    engine.step()
    assert engine.cancel("waiting")
    assert drain(engine).keys() == {"running"}


def test_what_nobody_has_asked_for_cannot_be_cancelled():
    assert not new_engine(FakeDenoiser()).cancel("key")


# What fails


@pytest.mark.parametrize(
    ("guilty", "error"),
    [
        ([5, NAN], NotANumber),
        ([5, RAISES], Poisoned),
        ([RAISES, *[5] * 20], Poisoned),
        ([NAN, *[5] * 20], NotANumber),
    ],
)
@pytest.mark.parametrize("make", [generating, lambda prompt: predicting(prompt, 5)])
def test_a_request_that_fails_fails_alone_and_is_forgotten(guilty, error, make, monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 8)
    fake = FakeDenoiser()
    engine = new_engine(fake)
    outcomes = run(
        engine,
        before=generating([5, 6], 2 * CANVAS),
        guilty=make(guilty),
        behind=generating([7, 8, 9], 3 * CANVAS),
        other=predicting([9], 12),
    )
    (failed,) = of(Failed, outcomes["guilty"])
    assert isinstance(failed.error, error)
    assert of(Ended, outcomes["guilty"]) == []
    assert text_of(outcomes["before"]) == added_up([5, 6], 2)
    assert text_of(outcomes["behind"]) == added_up([7, 8, 9], 3)
    assert all(isinstance(outcomes[key][-1], Ended) for key in ("before", "behind", "other"))
    kept = engine.cache.nbytes
    engine.cache.release(engine.cache.acquire(guilty))
    assert engine.cache.nbytes == kept  # an empty text came: nothing of it was there


class SmallMemory(FakeDenoiser):
    """A device on which only so many tokens fit into one pass."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens, self.held = tokens, []

    def _begin(self, side, spans, ids):
        super()._begin(side, spans, ids)
        # What an earlier pass left must be gone by now, or there is no memory for this one.
        assert all(ref() is None for ref in self.held)
        activations = torch.zeros(4)
        self.held = [weakref.ref(activations)]
        if len(ids) > self.tokens:
            raise torch.OutOfMemoryError(f"{len(ids)} tokens")


def test_where_a_batch_is_too_much_for_the_memory_each_request_goes_alone():
    engine = new_engine(SmallMemory(CANVAS))
    prompts = {f"n{n}": [5, 6, n] for n in range(4, 8)}
    requests = {key: generating(prompt, 2 * CANVAS) for key, prompt in prompts.items()}
    outcomes = run(engine, **requests, wide=generating([9], seeds=(1, 2)))
    for key, prompt in prompts.items():
        assert text_of(outcomes[key]) == added_up(prompt, 2)
    (failed,) = of(Failed, outcomes["wide"])
    assert isinstance(failed.error, torch.OutOfMemoryError)


class Stumbling(FakeDenoiser):
    """A model of which some passes and some readings of logits raise, once each."""

    def __init__(self, seed):
        super().__init__()
        self._rng = random.Random(seed)
        self.stumbled = 0

    def _stumble(self, several):
        # What is alone never raises: so nobody is guilty, and nobody may fail.
        if several and self._rng.random() < 0.3:
            self.stumbled += 1
            raise RuntimeError("stumbled")

    def _begin(self, side, spans, ids):
        super()._begin(side, spans, ids)
        self._several = len(spans) > 1
        self._stumble(self._several)

    def logits(self, hidden):
        self._stumble(self._several)
        return super().logits(hidden)


@pytest.mark.parametrize("seed", range(10))
def test_no_piece_is_kept_twice_when_a_pass_is_done_again(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 3)
    fake = Stumbling(seed)
    prompts = {f"n{n}": [4 + (n + m) % 9 for m in range(3 * n + 2)] for n in range(4)}
    requests = {key: generating(prompt, 3 * CANVAS) for key, prompt in prompts.items()}
    outcomes = run(new_engine(fake), **requests)
    assert fake.stumbled > 0
    for key, prompt in prompts.items():
        assert text_of(outcomes[key]) == added_up(prompt, 3)


def test_a_loop_that_raises_fails_alone():
    def raising():
        yield Prefill([5, 6])
        raise ZeroDivisionError

    outcomes = run(new_engine(FakeDenoiser()), a=Request(raising(), 1, 1), b=generating([5]))
    assert isinstance(outcomes["a"][0].error, ZeroDivisionError)
    assert text_of(outcomes["b"]) == added_up([5])


# Anything, in any order


def scripted(rng, prompt, rows):
    """A loop of random work that holds everything it is sent to what the fake model must say."""
    yield Prefill(prompt)
    text = list(prompt)
    for _ in range(rng.randrange(5)):
        ids = [rng.randrange(4, VOCAB) for _ in range(rng.randint(1, 3))]
        match rng.choice(["denoise", "denoise", "score", "keep", "predict"]):
            case "denoise":
                canvas = torch.tensor([ids] * rows)
                free = torch.ones_like(canvas, dtype=torch.bool)
                free[:, 0] = len(ids) == 1
                work = Denoise(canvas, free, None, canvas * 0.0, 1.0, {}, rng.random() < 0.5)
                step = yield work
                check_numbers(step.entropy)
                said = [(sum(text) + i) % VOCAB for i in range(len(ids))]
                expected = said if len(ids) == 1 else [ids[0], *said[1:]]
                assert step.likely.tolist() == [expected] * rows
                assert (step.soft is not None) or not work.more
            case "predict":
                logits = check_numbers((yield Predict(ids)))
                text += ids
                assert logits.tolist() == SURE[sum(text) % VOCAB].tolist()
            case kind:
                keep = kind == "keep"
                count = 1 if keep else rows
                log_probs = check_numbers((yield Score([ids] * count, keep)))
                said = [(sum(text) + sum(ids[:i])) % VOCAB == t for i, t in enumerate(ids)]
                assert (log_probs > -1).tolist() == said * count
                text += ids if keep else []
        yield EVENT
    yield EVENT


EVENT = Scored(0, torch.zeros(1, 1))


def check_numbers(values):
    if bool(values.isnan().any()):
        raise NotANumber
    return values


@dataclass
class Submitted:
    """A request of the random sequences, and what became of it."""

    prompt: list
    loop: object
    told: list = field(default_factory=list)
    cancelled: bool = False


class RandomLife:
    """An engine that is asked for random things, with books kept beside it."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.engine = new_engine(
            FakeDenoiser(), rows=4, queue=3, budget=self.rng.randrange(9) << 11
        )
        self.live, self.ended, self.count = {}, [], 0

    def submit(self):
        rng, key = self.rng, f"key {self.rng.randrange(6)}"
        tail = rng.choices([5, 6, 7, NAN, RAISES], [20, 20, 20, 1, 1], k=rng.randint(1, 12))
        prompt = [*rng.choice([[], [], [8] * 20]), *tail]
        rows, urgency = rng.randint(1, 5), rng.randrange(3)
        loop = scripted(random.Random(rng.random()), prompt, rows)
        if rng.random() < 0.05:
            prompt, loop = [], denoise.generate([], PARAMS, Noise([0], VOCAB, CPU))
        try:
            self.engine.submit(key, Request(loop, rows, rng.randrange(99), urgency))
        except InvalidParameter:
            assert key in self.live or rows > 4 or not prompt
        except EngineFull:
            assert len(self.live) >= 3
        else:
            assert key not in self.live
            assert rows <= 4
            self.live[key] = Submitted(prompt, loop)

    def cancel(self):
        key = f"key {self.rng.randrange(6)}"
        assert self.engine.cancel(key) == (key in self.live)
        if key in self.live:
            self.live[key].cancelled = True
            self.end(key)

    def step(self):
        for key, outcome in self.engine.step():
            self.live[key].told.append(outcome)  # nobody is told of who has ended
            if isinstance(outcome, Ended | Failed):
                self.end(key)
        assert self.engine.rows_in_use <= 4
        assert self.engine.cache.nbytes <= self.engine.cache.budget

    def end(self, key):
        request = self.live.pop(key)
        assert request.loop.gi_frame is None  # it takes no further step
        self.ended.append(request)

    def run_dry(self):
        for _ in range(500):
            if self.engine.idle:
                break
            self.step()
        assert self.engine.idle
        assert self.live == {}
        assert (self.engine.rows_in_use, self.engine.cache.lent) == (0, 0)


def assert_ended_once_as_it_had_to(request):
    last = of(Ended | Failed, request.told)
    assert len(last) == (0 if request.cancelled else 1)
    for failed in of(Failed, last):
        assert (type(failed.error), True) in [
            (NotANumber, NAN in request.prompt),
            (Poisoned, RAISES in request.prompt),
        ]


def test_ten_thousand_random_sequences_end_every_request_once_and_leak_nothing(monkeypatch):
    monkeypatch.setattr(engine_module, "PIECE", 12)
    counts = {"ended": 0, "failed": 0, "cancelled": 0}
    for seed in range(500):
        life = RandomLife(seed)
        for _ in range(20):  # one engine, and what it keeps, goes through twenty sequences
            for _ in range(life.rng.randint(3, 12)):
                life.rng.choices([life.submit, life.step, life.cancel], [4, 5, 1])[0]()
            life.run_dry()
        for request in life.ended:
            assert_ended_once_as_it_had_to(request)
            counts["cancelled"] += request.cancelled
            counts["failed"] += bool(of(Failed, request.told))
            counts["ended"] += bool(of(Ended, request.told))
    assert min(counts.values()) > 1000
