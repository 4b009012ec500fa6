import os
import queue
import signal
import struct
import subprocess
import sys
from io import BytesIO

import msgspec
import pytest

from dgemma_lsp import wire
from dgemma_lsp.answers import Answers
from dgemma_lsp.config import Completion, Config, Model
from dgemma_lsp.model_process import Server, read_frame, write_frame
from sampler.cache import PrefixCache
from sampler.engine import Engine
from sampler.forward import Forward
from sampler.load import load

SAMPLING = wire.Sampling(max_steps=3, seed=1)
PREFIX = "def add(a, b):\n    "


@pytest.fixture(scope="module")
def nano():
    model = load("nano")
    return model, Forward(model.model)


@pytest.fixture(scope="module")
def answers(nano):
    return Answers(*nano, Config(completion=Completion(drawn=1)))


def complete(job_id="c", **values):
    fields = {"document": "d", "version": 1, "prefix": PREFIX, "sampling": SAMPLING}
    fields["trigger"] = "invoked"  # so that it is denoised however sure the model is without
    return wire.Complete(id=job_id, **(fields | values))


def chat(job_id="t", text="hello", **sampling):
    asked = {"max_steps": 2, "max_tokens": 100, "seed": 1} | sampling
    return wire.Chat(
        id=job_id,
        messages=[wire.Turn(role="user", content=text)],
        sampling=wire.Sampling(**asked),
    )


def generate(job_id="g", **sampling):
    asked = {"max_steps": 2, "max_tokens": 64, "seed": 1} | sampling
    return wire.Generate(
        id=job_id, prompt="class A:\n    def run(self):\n        ", sampling=wire.Sampling(**asked)
    )


def answer(answers, *messages):
    """Serve the messages in order, to the end of each, and return everything written."""
    inbox, out = queue.SimpleQueue(), BytesIO()
    for message in messages:
        inbox.put(message)
    jobs = sum(not isinstance(m, wire.Cancel) for m in messages)
    stream = Ends(out, jobs, inbox)
    cache = PrefixCache(answers.denoiser.new_kv, 2**24)
    engine = Engine(answers.denoiser, cache, rows=32, queue=32)
    Server(answers, engine, stream).serve(inbox)
    assert (engine.idle, engine.rows_in_use, cache.lent) == (True, 0, 0)
    out.seek(0)
    frames = []
    while (frame := read_frame(out)) is not None:
        frames.append(wire.decode_from_model(frame))
    return frames


class Ends:
    """A stream that closes the inbox once every job has ended."""

    def __init__(self, out, jobs, inbox):
        self.out, self.left, self.inbox = out, jobs, inbox

    def write(self, data):
        if isinstance(wire.decode_from_model(data[4:]), wire.Done | wire.Failed):
            self.left -= 1
        self.out.write(data)
        if not self.left:
            self.inbox.put(None)

    def flush(self):
        pass


def of(kind, frames):
    return [frame for frame in frames if isinstance(frame, kind)]


def test_a_completion_ends_in_a_block_for_each_candidate_and_one_done(answers):
    frames = answer(answers, complete(candidates=3))
    assert [block.candidate for block in of(wire.Block, frames)] == [0, 1, 2]
    assert of(wire.Draft, frames) == []
    (done,) = of(wire.Done, frames)
    assert frames[-1] == done
    assert done.timings.steps == of(wire.Block, frames)[0].steps <= 3
    assert done.timings.prompt_tokens > 0


def test_drafts_come_when_asked_for_one_for_each_step_and_candidate(answers):
    frames = answer(answers, complete(candidates=2, drafts=True))
    drafts = of(wire.Draft, frames)
    steps = of(wire.Done, frames)[0].timings.steps
    assert [(d.step, d.candidate) for d in drafts] == [
        (step, row) for step in range(1, steps + 1) for row in (0, 1)
    ]
    assert all(0 <= draft.stable <= len(draft.text) for draft in drafts)


def test_a_candidate_does_not_depend_on_how_many_there_are(answers):
    (one,) = of(wire.Block, answer(answers, complete(candidates=1)))
    three = of(wire.Block, answer(answers, complete(candidates=3)))
    assert one.text in [block.text for block in three]


def test_several_are_drawn_and_the_one_that_reads_best_is_given(nano, answers):
    drawn = Answers(*nano, Config(completion=Completion(drawn=6)))
    (one,) = of(wire.Block, answer(answers, complete()))
    (best,) = of(wire.Block, answer(drawn, complete()))
    assert best.confidence >= one.confidence
    assert best.confidence < 0


def test_the_same_seed_gives_the_same_text(answers):
    first, second = (answer(answers, complete(drafts=True)) for _ in range(2))
    assert of(wire.Draft, first) == of(wire.Draft, second)
    assert of(wire.Block, first) == of(wire.Block, second)


def test_the_last_draft_is_the_block(nano):
    # Of one text: among several another one than the first, of which drafts tell, may read best.
    one = Answers(*nano, Config(completion=Completion(drawn=1, copied=0, causal_tokens=0)))
    frames = answer(one, complete(drafts=True, suffix="\n\nprint(add(1, 2))\n"))
    assert of(wire.Draft, frames)[-1].text == of(wire.Block, frames)[0].text


def test_a_chat_streams_block_after_block_up_to_its_tokens(answers):
    frames = answer(answers, chat())
    (done,) = of(wire.Done, frames)
    blocks = of(wire.Block, frames)
    assert [block.block for block in blocks] == list(range(len(blocks)))
    assert done.timings.tokens <= 100
    assert done.reason == ("eos" if done.timings.tokens < 100 else "length")


def test_a_completion_ends_before_a_chat_that_came_first(answers):
    frames = answer(answers, chat(max_tokens=400, max_steps=8), complete())
    assert [f.id for f in of(wire.Done, frames)] == ["c", "t"]


def test_a_cancelled_job_ends_typed_and_the_others_go_on(answers):
    frames = answer(answers, chat("a"), complete("b"), wire.Cancel(id="a"))
    ends = of(wire.Done | wire.Failed, frames)
    assert [(end.id, getattr(end, "code", None)) for end in ends] == [
        ("a", "cancelled"),
        ("b", None),
    ]


def test_a_text_is_continued_block_after_block_up_to_its_tokens(answers):
    frames = answer(answers, generate(max_tokens=70))
    blocks, (done,) = of(wire.Block, frames), of(wire.Done, frames)
    assert [block.block for block in blocks] == list(range(len(blocks)))
    assert "".join(block.text for block in blocks)
    assert done.timings.tokens <= 70


def test_a_short_text_is_written_one_token_after_another(answers):
    frames = answer(answers, generate(max_tokens=5))
    (block,), (done,) = of(wire.Block, frames), of(wire.Done, frames)
    assert done.timings.steps == block.steps == done.timings.tokens <= 5


def test_many_jobs_at_once_are_each_answered_as_alone(answers):
    jobs = [
        complete("a"),
        chat("b"),
        generate("d"),
        complete("e", prefix="import os\n", document="e"),
    ]
    alone = [[b.text for b in of(wire.Block, answer(answers, job))] for job in jobs]
    together = of(wire.Block, answer(answers, *jobs))
    assert [[b.text for b in together if b.id == job.id] for job in jobs] == alone


def test_more_rows_than_fit_are_refused(answers):
    model = Config(model=Model(rows=4))
    many = Answers(answers.model, answers.denoiser, model)
    cache = PrefixCache(answers.denoiser.new_kv, 2**24)
    out = BytesIO()
    inbox = queue.SimpleQueue()
    inbox.put(complete(candidates=8))
    inbox.put(None)
    Server(many, Engine(answers.denoiser, cache, rows=4, queue=8), out).serve(inbox)
    out.seek(0)
    failed = wire.decode_from_model(read_frame(out))
    assert failed.code == "invalid_request"
    assert "8 rows" in failed.message


def test_what_was_suggested_before_is_where_the_model_begins(answers):
    cold = answer(answers, complete(drafts=True))
    (text,) = [block.text for block in of(wire.Block, cold)]
    warm = answer(answers, complete(drafts=True, previous="return a + b"))
    assert of(wire.Draft, warm)[0].text != of(wire.Draft, cold)[0].text
    assert of(wire.Done, warm)
    assert text


def test_a_cancel_of_what_is_not_there_changes_nothing(answers):
    frames = answer(answers, wire.Cancel(id="z"), complete())
    assert [f.id for f in of(wire.Done, frames)] == ["c"]


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        (chat(text="x = 1\n" * 500), "too_large", "nano holds 1152"),
        (complete(sampling=wire.Sampling(canvas_length=1152)), "invalid_request", "not 1152"),
    ],
)
def test_what_the_model_cannot_take_is_refused_and_the_next_is_served(answers, job, code, words):
    frames = answer(answers, job, complete("next"))
    (failed,) = of(wire.Failed, frames)
    assert (failed.id, failed.code) == (job.id, code)
    assert words in failed.message
    assert of(wire.Done, frames)[-1].id == "next"


def test_an_exception_of_the_model_fails_its_request_alone(answers, monkeypatch):
    def decode(*_):
        raise RuntimeError("the card is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(answers.denoiser, "decode", decode)
        (failed,) = answer(answers, complete())
    assert failed.code == "model_failed"
    assert "RuntimeError: the card is on fire" in failed.message
    assert of(wire.Done, answer(answers, complete()))


@pytest.mark.parametrize("prefix", ["", "x", "\n", "é", "\U0001f9ff", "a = 1\n" * 2000])
def test_any_prefix_gets_an_answer(answers, prefix):
    assert of(wire.Done, answer(answers, complete(prefix=prefix, suffix=prefix)))


def test_a_truncated_frame_is_the_end_of_the_stream():
    assert read_frame(BytesIO(b"")) is None
    assert read_frame(BytesIO(b"\0\0")) is None
    assert read_frame(BytesIO(struct.pack(">I", 5) + b"abc")) is None


def test_a_frame_is_read_as_it_was_written():
    out = BytesIO()
    message = wire.Failed(id="a", code="busy", message="b")
    write_frame(out, message)
    out.seek(0)
    assert wire.decode_from_model(read_frame(out)) == message


def start(config):
    process = subprocess.Popen(
        [sys.executable, "-m", "dgemma_lsp.model_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    body = msgspec.msgpack.encode(config)
    process.stdin.write(struct.pack(">I", len(body)) + body)
    process.stdin.flush()
    said = wire.decode_from_model(read_frame(process.stdout))
    loaded = []
    while isinstance(said, wire.Loading):
        loaded.append(said.progress)
        said = wire.decode_from_model(read_frame(process.stdout))
    return process, loaded, said


def test_the_process_says_that_it_is_ready_and_ends_with_its_stdin():
    process, loaded, ready = start(Config())
    with process:
        assert isinstance(ready, wire.Ready)
        assert (ready.model, ready.device, ready.pid) == ("nano", "cpu", process.pid)
        assert (loaded[0], loaded[-1]) == (0, 100)
        assert loaded == sorted(set(loaded))
        process.stdin.close()
        assert process.wait(60) == 0


def test_the_process_says_why_a_model_cannot_be_used(tmp_path):
    process, loaded, answer = start(Config(model=Model(name=str(tmp_path))))
    with process:
        assert loaded == []
        assert isinstance(answer, wire.Unusable)
        assert str(tmp_path) in answer.message
        process.stdin.close()


def test_a_killed_process_ends_its_stdout():
    process, _, _ = start(Config())
    with process:
        os.kill(process.pid, signal.SIGKILL)
        assert read_frame(process.stdout) is None
        process.stdin.close()
