import math
from dataclasses import replace

import pytest
import torch

from dgemma_lsp import wire
from dgemma_lsp.answers import BULK, CHAT, Answers
from dgemma_lsp.config import Completion, Config, Model
from dgemma_lsp.errors import TooLarge
from sampler import infill
from sampler.cache import PrefixCache
from sampler.canvas import Step
from sampler.engine import Ended, Engine, Failed
from sampler.events import Block
from sampler.forward import Forward
from sampler.load import load
from sampler.params import InvalidParameter

PREFIX = "import os\n\n\ndef join(a, b):\n    return os.path.j"
SUFFIX = "(a, b)\n\n\nprint(join('a', 'b'))\n"


@pytest.fixture(scope="module")
def nano():
    model = load("nano")
    return model, Forward(model.model)


@pytest.fixture(scope="module")
def answers(nano):
    return Answers(*nano, Config(completion=Completion(drawn=2, causal_tokens=0)))


def complete(**values):
    fields = {"document": "d", "version": 1, "prefix": PREFIX, "suffix": SUFFIX}
    return wire.Complete(id="c", **(fields | values))


def run(answers, job):
    """Return the messages of a job, the last word among them, and its answer."""
    answer = answers.answer(job)
    engine = Engine(answers.denoiser, PrefixCache(answers.denoiser.new_kv, 0), rows=32, queue=1)
    engine.submit("c", answer.request)
    messages = []
    while not engine.idle:
        for _, event in engine.step():
            if isinstance(event, Failed):
                raise event.error
            messages += [answer.done()] if isinstance(event, Ended) else answer.tell(event)
    return messages


def of(kind, messages):
    return [message for message in messages if isinstance(message, kind)]


def test_what_is_healed_is_not_given_twice(answers):
    (block,) = of(wire.Block, run(answers, complete(prefix="retu", suffix="")))
    assert not block.text.startswith("retu")


@pytest.mark.parametrize("suffix", ["", ")", SUFFIX, "x = 1\n" * 100])
def test_the_rest_of_the_canvas_is_filled_with_what_follows(answers, suffix):
    answer = answers.answer(complete(suffix=suffix))
    ids = answers.prompts.encode(suffix)
    for layout in answer._layouts:
        (hole,) = layout.holes
        behind = layout.tokens[hole.stop :].tolist()
        assert bool(layout.pinned[hole.stop :].all())
        assert behind == ids[: len(behind)]
        assert len(behind) == len(ids) or hole.stop + len(behind) == len(layout.tokens)


def test_drafts_come_only_when_asked_for_one_for_each_candidate_and_step(answers):
    assert of(wire.Draft, run(answers, complete())) == []
    messages = run(answers, complete(drafts=True, candidates=2))
    (done,) = of(wire.Done, messages)
    assert [(d.step, d.candidate) for d in of(wire.Draft, messages)] == [
        (step, row) for step in range(1, done.timings.steps + 1) for row in (0, 1)
    ]


def test_spare_texts_are_others_each_once_and_change_nothing_of_the_candidates(nano):
    answers = Answers(*nano, Config(completion=Completion(drawn=6)))
    alone = of(wire.Block, run(answers, complete(candidates=2)))
    told = of(wire.Block, run(answers, complete(candidates=2, spares=3)))
    assert told[:2] == alone
    spares = [block.text for block in told[2:]]
    assert 0 < len(spares) <= 3
    assert len(set(spares)) == len(spares)
    assert [block.candidate for block in told] == list(range(len(told)))


def test_the_tokens_counted_are_those_of_the_text_that_is_given(answers):
    messages = run(answers, complete(candidates=2))
    given = sum(len(answers.prompts.encode(b.text)) for b in of(wire.Block, messages))
    # Healing and another split at the joins make a difference of a token or two for each text.
    assert abs(of(wire.Done, messages)[0].timings.tokens - given) <= 4


@pytest.mark.parametrize(("lines", "settles"), [(1, True), (0, False)])
def test_settling_is_judged_on_the_lines_that_will_be_shown(answers, lines, settles):
    """What stands behind the first line end goes on changing; only all lines wait for it."""
    loop = answers.answer(complete(max_lines=lines)).request.loop
    next(loop)
    work = loop.send(None)
    (line_end, *_) = answers.prompts.encode("\n")
    for number in range(answers.model.defaults.max_steps):
        likely = torch.where(work.free, 1000 + number, work.ids)
        likely[:, 0], likely[:, 1] = 1000, line_end
        loop.send(Step(likely, likely, torch.zeros(likely.shape), work.soft))
        block = next(loop)
        if isinstance(block, Block):
            break
        work = block
    assert (block.steps < answers.model.defaults.max_steps) == settles


@pytest.mark.parametrize(
    ("limit", "tokens", "one_by_one"), [(8, 8, True), (8, 9, False), (0, 1, False)]
)
def test_a_text_short_enough_is_written_one_token_after_another(nano, limit, tokens, one_by_one):
    answers = Answers(*nano, Config(model=Model(short_tokens=limit)))
    job = wire.Generate(
        id="c", prompt="import os\n", drafts=True, sampling=wire.Sampling(max_tokens=tokens)
    )
    messages = run(answers, job)
    done = of(wire.Done, messages)[0].timings
    assert (done.steps == done.tokens) == one_by_one
    assert done.tokens <= tokens


def test_a_chat_too_long_for_the_model_is_refused_with_its_size(answers):
    turns = [wire.Turn(role="user", content="x = 1\n" * 500)]
    with pytest.raises(TooLarge, match="nano holds 1152"):
        answers.answer(wire.Chat(id="c", messages=turns))


@pytest.mark.parametrize("length", [1152, 1200])
def test_a_canvas_as_long_as_the_model_is_refused(answers, length):
    with pytest.raises(InvalidParameter, match=f"not {length}"):
        answers.answer(complete(sampling=wire.Sampling(canvas_length=length)))


@pytest.mark.parametrize(
    ("asked", "suffix", "max_lines", "written"),
    [
        (None, "\nx = 1\n", 3, (8, 3)),
        (None, "", 0, (8, 0)),
        (5, "\nx = 1\n", 3, (5, 3)),
        (None, ")\nx = 1\n", 3, (8, 1)),
        (None, "  \nx = 1\n", 3, (8, 3)),
        (0, "\nx = 1\n", 3, None),
    ],
)
def test_a_completion_is_written_causally_too_within_its_line_where_more_follows_there(
    nano, monkeypatch, asked, suffix, max_lines, written
):
    config = Config(completion=Completion(causal_tokens=asked))
    heard = []
    monkeypatch.setattr(infill, "fill", lambda *_, **known: heard.append(known["causal"]))
    Answers(*nano, config).answer(complete(suffix=suffix, max_lines=max_lines))
    (causal,) = heard
    assert (causal and (causal.max_tokens, causal.max_lines)) == written


# Between these a name is missing, and `zeal = 0` would be good.
COUNTS = {
    "bound": [],
    "prefix": "def count_words(text):\n    ",
    "suffix": "\n    for word in text.split():\n        zeal += 1\n    return zeal\n",
}


@pytest.mark.parametrize(
    ("job", "begun"),
    [
        ({"language": "python"}, ["zeal ="]),
        ({"language": "python", "prefix": f"{COUNTS['prefix']}ze"}, ["al ="]),
        ({"language": "lua"}, []),
        ({}, []),
        ({"language": "python", "bound": None}, []),  # who knows
        ({"language": "python", "bound": ["zeal"]}, []),
        ({"language": "python", "sampling": wire.Sampling(max_tokens=9)}, []),  # no room
    ],
)
def test_a_line_is_begun_with_the_name_that_the_code_below_lacks(nano, monkeypatch, job, begun):
    heard = []
    monkeypatch.setattr(infill, "fill", lambda *_, **known: heard.append(known["causal"]))
    answers = Answers(*nano, Config(completion=Completion(causal_tokens=8)))
    answers.answer(complete(**(COUNTS | job)))
    (causal,) = heard
    healed = answers.prompt(complete(**(COUNTS | job)), 32).healed
    assert [answers.prompts.decode(ids) for ids in causal.beginnings] == [
        healed + text for text in begun
    ]


def test_what_binds_the_missing_name_is_chosen(nano):
    told = {}
    for language in ("python", ""):
        answers = Answers(*nano, Config(completion=Completion(causal_tokens=8)))
        messages = run(answers, complete(**COUNTS, language=language, max_lines=1, spares=20))
        told[language] = [block.text for block in of(wire.Block, messages)]
    assert told["python"][0].strip() == "zeal = 0"
    assert all(not text.strip().startswith("zeal =") for text in told[""])


@pytest.mark.parametrize(
    ("language", "texts"),
    [("python", ["zeal = 0", "total = 0"]), ("", ["total = 0", "zeal = 0"])],
)
def test_a_text_that_leaves_a_name_unbound_is_worth_less(nano, language, texts):
    answers = Answers(*nano, Config(completion=Completion(causal_tokens=0, copied=2)))
    copies = [
        wire.Copy(text="total = 0", before=30, after=0),
        wire.Copy(text="zeal = 0", before=10, after=0),
    ]
    job = complete(**COUNTS, language=language, copies=copies, spares=20)
    told = [block.text for block in of(wire.Block, run(answers, job))]
    assert [text for text in told if text in texts] == texts


@pytest.mark.parametrize(
    ("language", "mentioned"), [("python", ["zeal", " zeal", "okapi", " okapi"]), ("", [])]
)
def test_a_name_that_nothing_uses_yet_is_put_into_a_text_too(
    nano, monkeypatch, language, mentioned
):
    heard = []
    monkeypatch.setattr(infill, "fill", lambda *_, **known: heard.append(known["causal"]))
    answers = Answers(*nano, Config(completion=Completion(causal_tokens=8)))
    prefix = "def count(zebra, okapi):\n    for zeal in range(9):\n        "
    answers.answer(complete(prefix=prefix, suffix="\n    return zebra\n", language=language))
    (causal,) = heard
    assert [answers.prompts.decode(ids) for ids in causal.mentions] == mentioned


@pytest.mark.parametrize(
    ("language", "texts"),
    [("python", ["x += zeal", "x += zebra"]), ("", ["x += zebra", "x += zeal"])],
)
def test_a_text_that_uses_a_name_that_nothing_uses_is_worth_more(nano, language, texts):
    answers = Answers(*nano, Config(completion=Completion(causal_tokens=0, copied=2)))
    copies = [
        wire.Copy(text="x += zebra", before=45, after=0),
        wire.Copy(text="x += zeal", before=15, after=0),
    ]
    prefix = "def count(zebra, zeal):\n    x = zebra\n    "
    job = complete(
        prefix=prefix, suffix="\n    return x\n", language=language, copies=copies, spares=20
    )
    told = [block.text for block in of(wire.Block, run(answers, job))]
    assert [text for text in told if text in texts] == texts


def test_rests_of_lines_that_stand_elsewhere_take_part_but_no_remarks(nano, monkeypatch):
    heard = []
    monkeypatch.setattr(infill, "fill", lambda *_, **known: heard.append(known["copied"]))
    answers = Answers(*nano, Config(completion=Completion(copied=3)))
    lines = [
        'def f(x):\n    """Tell."""\n',
        "def g(x):\n    # none\n",
        "def h(x):\n    return x + 1\n",
    ]
    answers.answer(complete(prefix="".join(lines) + "def k(x):\n    "))
    (copied,) = heard
    assert [answers.prompts.decode(ids) for ids in copied] == ["return x + 1"]


def test_copies_that_the_client_knows_of_come_first_and_fill_the_number(nano, monkeypatch):
    heard = []
    monkeypatch.setattr(infill, "fill", lambda *_, **known: heard.append(known["copied"]))
    answers = Answers(*nano, Config(completion=Completion(copied=2)))
    told = [wire.Copy(text=text) for text in ("x", "long = [" + "1, " * 90 + "]", "y")]
    prefix = "def h(x):\n    return x + 1\ndef k(x):\n    return "
    for number in range(len(told) + 1):
        answers.answer(complete(prefix=prefix, copies=told[:number]))
    decoded = [[answers.prompts.decode(ids).strip() for ids in copied] for copied in heard]
    # What is too long is left out, and not cut.
    assert decoded == [["x + 1"], ["x", "x + 1"], ["x", "x + 1"], ["x", "y"]]


# A line between these breaks the code.
BREAKS = {"prefix": "if x:\n", "suffix": "\n    x\n", "language": "python"}
COPY = wire.Copy(text="zebra ** 7 @ ~okapi", before=60, after=60)


@pytest.mark.parametrize(
    ("proposed", "asked", "job", "denoised"),
    [
        (math.inf, None, {}, True),  # as a checkpoint does that says nothing of it
        (-100.0, None, {}, False),
        (-100.0, 100.0, {}, True),
        (math.inf, -100.0, {}, False),
        (-100.0, None, {"candidates": 2}, True),  # texts that differ
        (-100.0, None, {"trigger": "invoked"}, True),  # all that can be had
        (-100.0, None, {"copies": []}, True),  # nothing is known
        (-100.0, None, {"suffix": "\n    x\n", "language": "python"}, False),  # broken anyway
        (-100.0, None, BREAKS, True),  # it would not be shown
        (-100.0, None, {"prefix": f"{COPY.text}\n"}, True),  # it would repeat the line above
    ],
)
def test_a_text_that_is_known_and_good_enough_is_the_answer_without_denoising(
    nano, proposed, asked, job, denoised
):
    model, denoiser = nano
    completion = Completion(causal_tokens=0, denoise_below=asked)
    answers = Answers(
        replace(model, denoise_below=proposed), denoiser, Config(completion=completion)
    )
    fields = {"prefix": "import os\n", "suffix": "\nx\n", "copies": [COPY]}
    messages = run(answers, complete(**(fields | job)))
    blocks, done = of(wire.Block, messages), of(wire.Done, messages)[0]
    assert (done.timings.steps > 0) == denoised
    assert {block.steps for block in blocks} == {done.timings.steps}
    if not denoised:
        assert (blocks[0].text, blocks[0].stable, done.reason) == (COPY.text, True, "settled")


def test_what_stands_at_a_very_like_place_is_chosen_and_surely(answers):
    likely, unlikely = "import sys", "zebra ** 7 @ ~okapi"
    texts = []
    for agree in (0, 60):
        copies = [
            wire.Copy(text=likely, before=0, after=0),
            wire.Copy(text=unlikely, before=agree, after=agree),
        ]
        messages = run(answers, complete(prefix="import os\n", suffix="\nx\n", copies=copies))
        block = of(wire.Block, messages)[0]
        texts.append((block.text, block.confidence))
    assert texts[0][0] != unlikely
    assert texts[1] == (unlikely, 0.0)


def test_bulk_work_is_less_urgent_than_a_chat_and_a_chat_than_a_completion(answers):
    turns = [wire.Turn(role="user", content="hello")]
    chat = wire.Chat(id="c", messages=turns)
    jobs = [complete(), chat, complete(priority="bulk")]
    assert [answers.answer(job).request.urgency for job in jobs] == [0, 1, 2]


def test_an_earlier_suggestion_is_where_every_second_row_begins(answers):
    answer = answers.answer(complete(prefix="import os\n", previous="print(os.name, os.sep)"))
    next(answer.request.loop)
    warm, cold = answer.request.loop.send(None).ids.tolist()
    text = answers.prompts.encode("print(os.name, os.sep)")
    kept = [sum(a == b for a, b in zip(row, text, strict=False)) for row in (warm, cold)]
    assert kept[0] > 2 >= kept[1]


def test_the_parameters_asked_for_lie_over_the_models_own(answers):
    own = answers.model.defaults
    asked = wire.Sampling(max_steps=7, canvas_length=48, entropy_bound=2.5, max_tokens=99)
    expected = replace(own, max_steps=7, canvas_length=48, entropy_bound=2.5, max_new_tokens=99)
    assert answers._params(asked) == expected
    assert answers._params(wire.Sampling()) == own


@pytest.mark.parametrize("suffix", ["", SUFFIX])
def test_a_hole_is_no_longer_than_what_was_asked_for(nano, suffix):
    answers = Answers(*nano, Config())
    asked = complete(suffix=suffix, candidates=3, sampling=wire.Sampling(max_tokens=3))
    texts = [block.text for block in of(wire.Block, run(answers, asked))]
    assert len(texts) == 3
    for text in texts:
        # What is healed, a word at most, belongs to the hole and not to the text.
        assert len(answers.prompts.encode(text)) <= 4


def test_texts_are_scored_behind_their_prefix_as_one_text_would_be(answers):
    texts = ["The value is returned.", "The value are returned."]
    score, done = run(answers, wire.Score(id="c", prefix="It is so. ", texts=texts))
    right, wrong = score.log_probs
    assert right > wrong
    assert done.timings.tokens == sum(len(answers.prompts.encode(text)) for text in texts)
    (alone,) = of(wire.Scores, run(answers, wire.Score(id="c", texts=texts[:1])))
    assert alone.log_probs != [right]


def test_scoring_comes_after_what_people_wait_for(answers):
    assert answers.answer(wire.Score(id="c", texts=["a"])).request.urgency == BULK
    asked = wire.Score(id="c", texts=["a"], priority="interactive")
    assert answers.answer(asked).request.urgency == CHAT


def test_a_text_that_the_model_cannot_hold_is_not_scored(answers):
    with pytest.raises(TooLarge, match="shorten"):
        answers.answer(wire.Score(id="c", texts=["word " * 5000]))
