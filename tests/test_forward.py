import random
from copy import deepcopy

import pytest
import torch
from tiny_model import CANVAS, VOCAB, WINDOW, tiny_model
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from sampler.forward import Forward, Span
from sampler.kv import PAGE
from sampler.load import load, pick_dtype

NANO_WIDTH = 256
# Prompts within, at and beyond the sliding window, and two tokens around its border.
LENGTHS = [1, 5, WINDOW - 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 2]


def scaled(model):
    """Give every layer a scale of its own, and the encoder others than the decoder."""
    for side, first in ((model.model.decoder, 0.7), (model.model.encoder.language_model, 0.9)):
        for index, layer in enumerate(side.layers):
            layer.layer_scalar.fill_(first + index / 10)
    return model


@pytest.fixture(autouse=True)
def same_numbers():
    """What is drawn is the same at every run."""
    torch.manual_seed(1)


@pytest.fixture(scope="module", params=[4, 1], ids=["four experts", "one expert"])
def model(request):
    return scaled(tiny_model(experts=request.param))


@pytest.fixture(scope="module")
def forward(model):
    return Forward(model)


def ids_of(length: int, seed: int = 1) -> Tensor:
    return torch.randint(3, VOCAB, (length,), generator=torch.Generator().manual_seed(seed))


def encoded(forward: Forward, ids: Tensor, pieces=None):
    """Return `ids` as an encoded text, in pieces of these lengths, and its hidden states."""
    kv, states, at = forward.new_kv(), [], 0
    for piece in pieces or [len(ids)]:
        part = ids[at : at + piece]
        state = forward.encode([Span(kv, (len(part),))], part)
        kv.extend(part.tolist(), state[-1])
        states.append(state)
        at += piece
    assert kv.ids == ids.tolist()
    return kv, torch.cat(states)


@torch.no_grad()
def theirs_encoded(model, ids: Tensor) -> Tensor:
    """Return transformers' hidden states [T, D] of the causal side."""
    return model.model.encoder(input_ids=ids[None]).last_hidden_state[0]


@torch.no_grad()
def theirs_decoded(model, prompt: Tensor, canvas: Tensor, before: Tensor | None) -> Tensor:
    """Return transformers' logits [C, V] of a canvas; `before` [C, V] are the last step's."""
    cache = model.model.encoder(input_ids=prompt[None]).past_key_values
    positions = torch.arange(len(prompt), len(prompt) + len(canvas))
    return model(
        decoder_input_ids=canvas[None],
        cache=cache,
        decoder_position_ids=positions[None],
        self_conditioning_logits=None if before is None else before[None],
    ).logits[0]


def decoded(forward: Forward, spans, ids: Tensor, before: Tensor | None) -> Tensor:
    soft = None if before is None else forward.soften(before.softmax(-1))
    return forward.logits(forward.decode(spans, ids, soft))


def assert_close(got, expected):
    """Hold both together to 3e-5 of the largest value: logits go up to the soft cap of 30.

    float32 rounds 25 draws by 6e-6 in the mean and 1.7e-5 at most, whichever way they are summed.
    """
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(got, expected, atol=3e-5 * scale, rtol=0)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_text_is_encoded_as_by_transformers(model, forward, length):
    ids = ids_of(length)
    _, states = encoded(forward, ids)
    assert_close(states, theirs_encoded(model, ids))


@pytest.mark.parametrize("widths", [(CANVAS,), (CANVAS, CANVAS), (5, 1, 11)])
@pytest.mark.parametrize("length", LENGTHS)
def test_rows_behind_a_text_are_encoded_as_by_transformers(model, forward, length, widths):
    prompt, ids = ids_of(length), ids_of(sum(widths), seed=2)
    kv, _ = encoded(forward, prompt)
    states = forward.encode([Span(kv, widths)], ids)
    for row, state in zip(ids.split(widths), states.split(widths), strict=True):
        assert_close(state, theirs_encoded(model, torch.cat((prompt, row)))[length:])


@pytest.mark.parametrize("conditioned", [False, True], ids=["first step", "later step"])
@pytest.mark.parametrize("widths", [(CANVAS,), (CANVAS, CANVAS), (5, 1, 11)])
@pytest.mark.parametrize("length", LENGTHS)
def test_canvases_are_decoded_as_by_transformers(model, forward, length, widths, conditioned):
    prompt, ids = ids_of(length), ids_of(sum(widths), seed=2)
    before = torch.randn(len(ids), VOCAB) if conditioned else None
    kv, _ = encoded(forward, prompt)
    logits = decoded(forward, [Span(kv, widths)], ids, before)
    parts = before.split(widths) if conditioned else [None] * len(widths)
    for row, got, given in zip(ids.split(widths), logits.split(widths), parts, strict=True):
        assert_close(got, theirs_decoded(model, prompt, row, given))


def test_texts_of_many_requests_are_worked_on_at_once_as_by_transformers(model, forward):
    prompts = [ids_of(length, seed=length) for length in LENGTHS]
    every = [(CANVAS,), (3, 3), (1,), (20,), (2, 7, 1), (CANVAS,) * 4, (1, 1)]
    widths = [width for of_span in every for width in of_span]
    spans = [Span(encoded(forward, p)[0], w) for p, w in zip(prompts, every, strict=True)]
    ids = ids_of(sum(widths), seed=9)
    before = torch.randn(len(ids), VOCAB)
    first = decoded(forward, spans, ids, None).split(widths)
    later = decoded(forward, spans, ids, before).split(widths)
    causal = forward.encode(spans, ids).split(widths)
    owners = [p for p, of_span in zip(prompts, every, strict=True) for _ in of_span]
    for index, (prompt, row) in enumerate(zip(owners, ids.split(widths), strict=True)):
        given = before.split(widths)[index]
        assert_close(first[index], theirs_decoded(model, prompt, row, None))
        assert_close(later[index], theirs_decoded(model, prompt, row, given))
        assert_close(causal[index], theirs_encoded(model, torch.cat((prompt, row)))[len(prompt) :])


def test_positions_far_behind_all_those_met_before_are_encoded_as_by_transformers(model):
    forward, ids = Forward(model), ids_of(1030)
    encoded(forward, ids[:5])
    kv, states = encoded(forward, ids, [1020, 4, 1, 5])
    assert_close(states, theirs_encoded(model, ids))
    canvas = ids_of(CANVAS, seed=2)
    got = decoded(forward, [Span(kv, (CANVAS,))], canvas, None)
    assert_close(got, theirs_decoded(model, ids, canvas, None))


def pieces_of(total: int, seed: int) -> list[int]:
    rng, pieces = random.Random(seed), []
    while sum(pieces) < total:
        pieces.append(min(rng.randint(1, WINDOW + 4), total - sum(pieces)))
    return pieces


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("cut", ["token by token", 1, 2, 3])
def test_a_text_in_pieces_is_the_text_at_once(forward, length, cut):
    ids, canvas = ids_of(length), ids_of(CANVAS, seed=2)
    whole, states = encoded(forward, ids)
    pieces = [1] * length if cut == "token by token" else pieces_of(length, cut)
    kv, of_pieces = encoded(forward, ids, pieces)
    assert_close(of_pieces, states)
    assert_close(kv.last, whole.last)
    for mine, theirs in zip([*kv.keys, *kv.values], [*whole.keys, *whole.values], strict=True):
        assert_close(mine[:, :, :length], theirs[:, :, :length])
    got, expected = (decoded(forward, [Span(k, (CANVAS,))], canvas, None) for k in (kv, whole))
    assert_close(got, expected)


@pytest.mark.parametrize("kept", [1, WINDOW - 1, WINDOW + 1, 40])
def test_a_text_cut_back_and_continued_is_the_new_text(forward, kept):
    old, canvas = ids_of(50), ids_of(CANVAS, seed=2)
    new = torch.cat((old[:kept], ids_of(12, seed=3)))
    kv, _ = encoded(forward, old)
    kv.crop(kept)
    state = forward.encode([Span(kv, (12,))], new[kept:])
    kv.extend(new[kept:].tolist(), state[-1])
    whole, _ = encoded(forward, new)
    got, expected = (decoded(forward, [Span(k, (CANVAS,))], canvas, None) for k in (kv, whole))
    assert_close(got, expected)


@pytest.mark.parametrize("side", ["encode", "decode"])
@pytest.mark.parametrize("length", [5, WINDOW, 3 * WINDOW])
def test_a_row_never_sees_its_neighbours(forward, length, side):
    first, _ = encoded(forward, ids_of(length))
    second, _ = encoded(forward, ids_of(length + 3, seed=7))
    widths = [6, 9, 4, 7]
    spans = [Span(first, (6, 9)), Span(second, (4, 7))]
    ids = ids_of(sum(widths), seed=2)
    soft = [torch.randn(len(ids), 32)] if side == "decode" else []
    before = getattr(forward, side)(spans, ids, *soft).split(widths)
    for changed in range(len(widths)):
        others = ids.clone()
        others.split(widths)[changed].add_(1).remainder_(VOCAB)
        after = getattr(forward, side)(spans, others, *soft).split(widths)
        for row in range(len(widths)):
            # Experts sum another row's tokens in other groups, which moves the last digits.
            same = bool(((before[row] - after[row]).abs() < 1e-4).all())
            assert same == (row != changed)


@pytest.mark.parametrize("length", [1, WINDOW - 1, 2 * WINDOW])
def test_nothing_leaks_from_later_tokens_to_earlier_ones(forward, length):
    kv, _ = encoded(forward, ids_of(length))
    ids = ids_of(20, seed=2)
    before = forward.encode([Span(kv, (20,))], ids)
    for at in range(20):
        changed = ids.clone()
        changed[at] = (ids[at] + 1) % VOCAB
        after = forward.encode([Span(kv, (20,))], changed)
        difference = (before - after).abs().amax(-1)
        assert bool((difference[:at] < 1e-4).all())
        assert bool(difference[at] > 1e-3)


def test_a_canvas_sees_itself_from_end_to_end_wider_than_the_window(forward):
    kv, _ = encoded(forward, ids_of(5))
    width = 2 * WINDOW
    ids = ids_of(width, seed=2)
    before = forward.decode([Span(kv, (width,))], ids, None)
    for at in (0, width - 1):
        changed = ids.clone()
        changed[at] = (ids[at] + 1) % VOCAB
        after = forward.decode([Span(kv, (width,))], changed, None)
        assert bool(((before - after).abs().amax(-1) > 1e-6).all())


def test_denoising_reads_the_text_where_it_lies_and_leaves_it_as_it_was(forward):
    kv, _ = encoded(forward, ids_of(100))
    kv.reserve(4 * CANVAS)
    buffers = [*kv.keys, *kv.values]
    pointers = [b.data_ptr() for b in buffers]
    text = [b[:, :, :100].clone() for b in buffers]
    taken = kv.nbytes
    for step in range(6):
        forward.decode(
            [Span(kv, (CANVAS,) * (step % 4 + 1))], ids_of((step % 4 + 1) * CANVAS), None
        )
        forward.encode([Span(kv, (CANVAS,))], ids_of(CANVAS))
    assert [b.data_ptr() for b in [*kv.keys, *kv.values]] == pointers
    assert all(map(torch.equal, text, [b[:, :, :100] for b in buffers]))
    assert kv.nbytes == taken
    assert kv.ids == ids_of(100).tolist()


@pytest.mark.parametrize("rows", [1, 8, 60])
def test_candidates_share_one_text_and_take_no_more_than_their_own_positions(forward, rows):
    kv, _ = encoded(forward, ids_of(200))
    forward.decode([Span(kv, (CANVAS,) * rows)], ids_of(rows * CANVAS), None)
    assert kv.capacity == -(-(200 + rows * CANVAS) // PAGE) * PAGE


def test_half_precision_rounds_as_transformers_does(model):
    half = deepcopy(model).bfloat16()
    forward, prompt, canvas = Forward(half), ids_of(50), ids_of(2 * CANVAS, seed=2)
    before = torch.randn(len(canvas), VOCAB).bfloat16()
    kv, states = encoded(forward, prompt)
    logits = decoded(forward, [Span(kv, (CANVAS, CANVAS))], canvas, before)
    rows = list(zip(canvas.split(CANVAS), before.split(CANVAS), strict=True))
    theirs = torch.cat([theirs_decoded(half, prompt, *row) for row in rows])
    exact = torch.cat([theirs_decoded(model, prompt, r, b.float()) for r, b in rows])
    for ours, other, true in (
        (states, theirs_encoded(half, prompt), theirs_encoded(model, prompt)),
        (logits, theirs, exact),
    ):
        rounding = float((other.float() - true).abs().mean())
        assert float((ours.float() - true).abs().mean()) < 1.2 * rounding
        assert float((ours - other).abs().mean()) < rounding


@pytest.mark.skipif(
    pick_dtype("auto", "cpu", NANO_WIDTH) != torch.bfloat16,
    reason="this CPU runs nano in float32",
)
@pytest.mark.parametrize("pieces", [[150, 150], [299, 1], [7] * 42 + [6], [290, *[1] * 10]])
def test_where_bf16_is_the_default_pieces_and_neighbours_change_no_bit(pieces):
    forward = Forward(load("nano", dtype="bfloat16").model)
    ids, canvas = torch.arange(300) % 97 + 20, torch.arange(32) + 50
    kv, states = encoded(forward, ids)
    other, others = encoded(forward, ids, pieces)
    assert torch.equal(states, others)
    alone = forward.decode([Span(kv, (32,))], canvas, None)
    beside = [Span(encoded(forward, ids[:40])[0], (5,)), Span(other, (32, 8))]
    together = forward.decode(beside, torch.cat((canvas[:5], canvas, canvas[:8])), None)
    assert torch.equal(alone, together[5:37])


def test_the_embedded_model_gives_what_transformers_gives_beyond_its_window():
    model = load("nano", dtype="float32").model
    vocab, window = model.config.text_config.vocab_size, model.config.text_config.sliding_window
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(3, vocab, (2 * window + 44,), generator=generator)
    canvas = torch.randint(3, vocab, (32,), generator=generator)
    forward = Forward(model)
    kv, states = encoded(forward, prompt)
    assert_close(states, theirs_encoded(model, prompt))
    span, before = [Span(kv, (32,))], None
    for _ in range(3):
        logits = decoded(forward, span, canvas, before)
        expected = theirs_decoded(model, prompt, canvas, before)
        assert_close(logits, expected)
        canvas, before = logits.argmax(-1), logits


def storages(tensors) -> dict[int, int]:
    """Return how many bytes lie at which address."""
    found = [tensor.untyped_storage() for tensor in tensors]
    return {storage.data_ptr(): storage.nbytes() for storage in found}


def test_the_weights_stay_in_transformers_modules_and_are_held_once():
    model = tiny_model()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = sum(storages(model.state_dict().values()).values())
    forward = Forward(model)
    joined = [w for layer in forward.layers for w in (layer.qkv._weight, layer.gate_up._weight)]
    assert set(storages(joined)) <= set(storages(model.state_dict().values()))
    assert sum(storages([*model.state_dict().values(), *joined]).values()) == before
    after = model.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    for ours, theirs in zip(
        model.model.decoder.layers, model.model.encoder.language_model.layers, strict=True
    ):
        assert ours.self_attn.q_proj.weight is theirs.self_attn.q_proj.weight


def test_transformers_own_generate_gives_the_same_as_before():
    model = tiny_model()

    def generated():
        torch.manual_seed(3)
        return model.generate(ids_of(20)[None], max_new_tokens=2 * CANVAS, max_denoising_steps=4)

    before = generated().sequences
    Forward(model)
    assert generated().sequences.tolist() == before.tolist()


class Packed(nn.Linear):
    """A linear layer of another kind, as quantization brings them."""


def test_linear_modules_of_another_kind_are_called_and_not_taken_apart():
    model, packed = tiny_model(), tiny_model()
    for module in packed.modules():
        if type(module) is nn.Linear:
            module.__class__ = Packed
    pointers = {name: tensor.data_ptr() for name, tensor in packed.state_dict().items()}
    plain, forward = Forward(model), Forward(packed)
    assert {name: t.data_ptr() for name, t in packed.state_dict().items()} == pointers
    prompt, canvas = ids_of(20), ids_of(CANVAS, seed=2)
    (kv, got), (other, expected) = encoded(forward, prompt), encoded(plain, prompt)
    assert_close(got, expected)
    assert_close(
        forward.decode([Span(kv, (CANVAS,))], canvas, None),
        plain.decode([Span(other, (CANVAS,))], canvas, None),
    )


def test_a_model_without_a_soft_cap_has_plain_logits():
    model = tiny_model()
    model.config.text_config.final_logit_softcapping = None
    forward = Forward(model)
    hidden = torch.randn(5, 32)
    assert_close(forward.logits(hidden), hidden @ model.lm_head.weight.detach().T)


def test_logits_read_off_hidden_states_are_those_of_the_distribution(forward):
    hidden = torch.randn(6, 32)
    one = torch.ones(6)
    reading = forward.read(hidden, one, one / 2, None)
    assert_close(reading.probs, forward.logits(hidden).softmax(-1))
    assert reading.likely.tolist() == forward.logits(hidden).argmax(-1).tolist()


def test_a_mean_embedding_of_a_sure_token_is_its_embedding(forward):
    ids = ids_of(9)
    sure = nn.functional.one_hot(ids, VOCAB).float()
    assert_close(forward.soften(sure), forward.embed(ids))


def compiled_runs(forward: Forward):
    """Run requests of many lengths, widths and rows; yield what they give."""
    for length, widths in (
        (5, (8,)),
        (40, (8, 8)),
        (100, (3, 8, 5)),
        (17, (1,)),
        (1, (6,)),
        (2, (2,)),
        (33, (4,) * 7),
    ):
        prompt, canvas = ids_of(length), ids_of(sum(widths), seed=2)
        kv, states = encoded(forward, prompt)
        yield states
        yield forward.decode([Span(kv, widths)], canvas, None)


def test_compiled_layers_give_the_same_and_are_compiled_once_for_all_requests():
    model = scaled(tiny_model(layers=12))
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = Forward(model, lambda f: torch.compile(f, backend=counter, dynamic=True))
    expected = list(compiled_runs(Forward(model)))
    for got, wanted in zip(compiled_runs(compiled), expected, strict=True):
        assert_close(got, wanted)
    # Before and after attention, in two kinds of layers, for a single token and for several.
    assert counter.frame_count == 2 * 2 * 2
    with torch._dynamo.config.patch(error_on_recompile=True):
        for got, wanted in zip(compiled_runs(compiled), expected, strict=True):
            assert_close(got, wanted)
        kv, _ = encoded(compiled, ids_of(70), [50, 20])
        compiled.decode([Span(kv, (2, 9, 30))], ids_of(41), torch.randn(41, 32))
    assert counter.frame_count == 2 * 2 * 2
