import random

import pytest
from gemma_like import save_checkpoint
from random_prose import document

from dgemma_lsp import wire
from dgemma_lsp.answers import Answers
from dgemma_lsp.config import Config
from dgemma_lsp.errors import UserError
from dgemma_lsp.in_place import InPlace
from dgemma_lsp.modes import Task
from dgemma_lsp.wire import Part
from sampler import compiled
from sampler.cache import PrefixCache
from sampler.engine import Ended, Engine, Failed
from sampler.load import load
from sampler.params import InvalidParameter

PARTS = [
    Part("Call"),
    Part(" `foo()`", True),
    Part(" with at least"),
    Part(" 3", True),
    Part(" items, and then go on with a much longer sentence that no canvas of its holds."),
    Part("\n\n", True),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    model = load(str(save_checkpoint(tmp_path_factory.mktemp("tiny"))), dtype="float32")
    return Answers(model, compiled.forward(model.model), Config())


def rewrite(**values):
    return wire.Rewrite(**({"id": "r", "instruction": "Shorten it.", "parts": PARTS} | values))


def seeded(seed):
    return wire.Sampling(seed=seed)


def run(answers, *jobs):
    """The messages of each job, its last word among them; all are stepped together."""
    engine = Engine(
        answers.denoiser,
        PrefixCache(answers.denoiser.new_kv, 0),
        rows=8,
        queue=8,
        positions=answers.model.max_positions,
    )
    under_way = {str(number): answers.answer(job) for number, job in enumerate(jobs)}
    for key, answer in under_way.items():
        engine.submit(key, answer.request)
    messages = {key: [] for key in under_way}
    while not engine.idle:
        for key, event in engine.step():
            if isinstance(event, Failed):
                raise event.error
            answer = under_way[key]
            messages[key] += [answer.done()] if isinstance(event, Ended) else answer.tell(event)
    return list(messages.values())


def texts(messages):
    return [message.text for message in messages if isinstance(message, wire.Block)]


def test_there_is_one_block_for_each_part_and_the_kept_ones_are_the_text_itself(answers):
    ((*blocks, done),) = run(answers, rewrite())
    assert [block.block for block in blocks] == list(range(len(PARTS)))
    assert [b.text for b, part in zip(blocks, PARTS, strict=True) if part.kept] == [
        part.text for part in PARTS if part.kept
    ]
    assert isinstance(done, wire.Done)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_the_same_seed_gives_the_same_text_and_another_seed_another(answers, strength):
    first, again, other = (
        texts(run(answers, rewrite(sampling=seeded(seed), strength=strength))[0])
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_text_does_not_depend_on_what_is_rewritten_beside_it(answers):
    jobs = [rewrite(sampling=seeded(seed), length=length) for seed, length in ((1, 1), (2, 2))]
    alone = [texts(run(answers, job)[0]) for job in jobs]
    assert [texts(messages) for messages in run(answers, *jobs)] == alone


def test_drafts_come_for_the_parts_under_way_and_only_where_they_are_asked_for(answers):
    (quiet,) = run(answers, rewrite())
    assert not [message for message in quiet if isinstance(message, wire.Draft)]
    (told,) = run(answers, rewrite(drafts=True))
    drafts = [message for message in told if isinstance(message, wire.Draft)]
    assert {draft.block for draft in drafts} == {0, 2, 4}
    assert all(draft.stable <= len(draft.text) for draft in drafts)
    # The last draft of a part is what its block says.
    last = {draft.block: draft.text for draft in drafts}
    blocks = {m.block: m.text for m in told if isinstance(m, wire.Block)}
    assert all(blocks[number] == text for number, text in last.items())


def test_a_longer_length_leaves_the_new_text_more_room(answers):
    short, long = (answers.answer(rewrite(length=length)).request.tokens for length in (0.5, 4))
    assert long > 2 * short


def test_the_model_is_shown_the_instruction_and_the_whole_text(answers):
    work = next(answers.answer(rewrite()).request.loop)
    shown = answers.model.tokenizer.decode(work.ids)
    assert "Shorten it.\n```\nCall `foo()` with at least 3 items" in shown
    assert shown.endswith("```\n")


def test_a_cancelled_rewriting_is_gone_between_two_steps(answers):
    engine = Engine(answers.denoiser, PrefixCache(answers.denoiser.new_kv, 0), rows=8, queue=8)
    engine.submit("r", answers.answer(rewrite()).request)
    engine.step()
    assert engine.cancel("r")
    assert engine.idle


@pytest.mark.parametrize(
    ("values", "message"),
    [({"parts": [Part("`x`", True)]}, "no gap"), ({"parts": [Part("long " * 3000)]}, "positions")],
)
def test_what_cannot_be_rewritten_is_refused(answers, values, message):
    with pytest.raises(InvalidParameter, match=message):
        run(answers, rewrite(**values))


def test_a_model_without_instructions_refuses_and_names_the_setting():
    model = load("nano")
    with pytest.raises(InvalidParameter, match=r"set model\.name"):
        Answers(model, compiled.forward(model.model), Config()).answer(rewrite())


def test_in_16_random_documents_rewritten_by_a_random_model_what_is_kept_stays(answers):
    """Every way of cutting a text over canvases; `test_in_place` has the other 1000 rewrites."""
    draw = random.Random(3)
    jobs = []
    while len(jobs) < 16:
        text = document(draw)
        task = Task(
            mode="custom",
            instruction="x",
            text=text,
            start=0,
            end=len(text),
            language="markdown",
            strength=draw.choice([0.0, 0.5, 1.0]),
        )
        try:
            jobs += InPlace(task).jobs(seeded(len(jobs)))[:1]
        except UserError:
            continue
    for start in range(0, len(jobs), 8):
        some = jobs[start : start + 8]
        for job, messages in zip(some, run(answers, *some), strict=True):
            new = texts(messages)
            assert len(new) == len(job.parts)
            assert all(text == p.text for text, p in zip(new, job.parts, strict=True) if p.kept)
