import json
import shutil

import pytest
import torch
from tiny_model import CANVAS, VOCAB, WINDOW, tiny_model

from sampler.model import NANO, TransformersDenoiser, UnusableModel, load


def ids_of(length, rows=1, seed=1):
    return torch.randint(8, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def denoiser():
    return TransformersDenoiser(tiny_model())


@pytest.mark.parametrize("total", [WINDOW - 3, WINDOW + 1, 3 * WINDOW])
@pytest.mark.parametrize("cuts", [(1,), (5,), (5, 7, 11)])
def test_encoding_in_pieces_gives_the_logits_of_encoding_at_once(denoiser, total, cuts):
    ids, canvas = ids_of(total), ids_of(CANVAS, seed=2)
    whole = denoiser.prefill(ids)
    pieces, at = None, 0
    for cut in [*cuts, total]:
        if at < min(cut, total):
            piece = ids[:, at : min(cut, total)]
            pieces = denoiser.commit(pieces, piece)[0] if pieces else denoiser.prefill(piece)
        at = max(at, min(cut, total))
    assert pieces.length == whole.length == total
    torch.testing.assert_close(
        denoiser.denoise(pieces, canvas, None),
        denoiser.denoise(whole, canvas, None),
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize("length", [1, 5, WINDOW + 4])
def test_a_commit_tells_the_causal_probability_of_each_token(denoiser, length):
    prompt, ids = ids_of(length), ids_of(CANVAS, seed=2)
    _, log_probs = denoiser.commit(denoiser.prefill(prompt), ids)
    whole = torch.cat([prompt, ids], 1)
    model = denoiser.model
    with torch.no_grad():
        hidden = model.model.encoder(input_ids=whole).last_hidden_state
        logits = torch.tanh(model.lm_head(hidden) / 30.0) * 30.0
    expected = torch.log_softmax(logits, -1)[0, length - 1 : -1]
    torch.testing.assert_close(
        log_probs[0], expected.gather(-1, ids[0, :, None])[:, 0], atol=1e-4, rtol=1e-4
    )


def test_a_widened_prefix_serves_every_row_alike(denoiser):
    canvas = ids_of(CANVAS, seed=2)
    one = denoiser.denoise(denoiser.prefill(ids_of(20)), canvas, None)
    wide = denoiser.widen(denoiser.prefill(ids_of(20)), 3)
    three = denoiser.denoise(wide, canvas.expand(3, -1), None)
    torch.testing.assert_close(three, one.expand(3, -1, -1), atol=1e-4, rtol=1e-4)


def test_denoising_leaves_the_prefix_as_it_was(denoiser):
    prefix, canvas = denoiser.prefill(ids_of(20)), ids_of(CANVAS, seed=2)
    first = denoiser.denoise(prefix, canvas, None)
    denoiser.denoise(prefix, ids_of(CANVAS, seed=3), first)
    assert torch.equal(denoiser.denoise(prefix, canvas, None), first)


def test_nano_loads_with_its_own_defaults_in_float32():
    model = load("nano")
    given = json.loads((NANO / "generation_config.json").read_text())
    assert model.defaults.max_steps == given["max_denoising_steps"]
    assert model.defaults.entropy_bound == given["sampler_config"]["entropy_bound"]
    assert model.denoiser.model.dtype == torch.float32


@pytest.fixture
def nano_copy(tmp_path):
    return shutil.copytree(NANO, tmp_path / "copy")


def edit_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_loads_like_a_name(nano_copy):
    assert load(str(nano_copy)).max_positions == load("nano").max_positions


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def of_another_kind(folder):
    edit_json(folder / "config.json", model_type="gpt2")


def with_broken_config(folder):
    (folder / "config.json").write_text("{")


def with_a_bound_of_zero(folder):
    path = folder / "generation_config.json"
    edit_json(
        path, sampler_config={"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": -1.0}
    )


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (without_weights, "cannot be loaded"),
        (of_another_kind, "a 'gpt2' checkpoint, not 'diffusion_gemma'"),
        (with_broken_config, "cannot be loaded"),
        (with_a_bound_of_zero, "entropy_bound"),
    ],
)
def test_a_folder_that_cannot_be_loaded_says_why_in_one_line(nano_copy, harm, words):
    harm(nano_copy)
    with pytest.raises(UnusableModel, match=words) as caught:
        load(str(nano_copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "warp"}, "device 'warp' cannot be used here"),
        ({"dtype": "float7"}, "dtype 'float7' is none of torch"),
    ],
)
def test_a_wrong_device_or_dtype_is_refused_and_shown(options, words):
    with pytest.raises(UnusableModel, match=words):
        load("nano", **options)
