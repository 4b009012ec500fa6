import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import CANVAS, VOCAB, tiny_model
from transformers import (
    AutoTokenizer,
    BitsAndBytesConfig,
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
)
from transformers.utils import logging

from sampler import load as loading
from sampler import memory
from sampler.load import NANO, UnusableModel, device_map, load


def logits(model):
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(8, VOCAB, (1, 20), generator=random)
    canvas = torch.randint(8, VOCAB, (1, CANVAS), generator=random)
    with torch.no_grad():
        return model(input_ids=ids, decoder_input_ids=canvas).logits


def save(model, folder):
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(NANO).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def nano_copy(tmp_path):
    return shutil.copytree(NANO, tmp_path / "copy")


def edit_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_nano_loads_with_its_own_defaults():
    loaded = load("nano")
    given = json.loads((NANO / "generation_config.json").read_text())
    assert loaded.defaults.max_steps == given["max_denoising_steps"]
    assert loaded.defaults.t_max == given["t_max"]
    assert loaded.defaults.entropy_bound == given["sampler_config"]["entropy_bound"]
    assert loaded.defaults.eos_token_ids == tuple(given["eos_token_id"])
    assert loaded.defaults.canvas_length == 32
    assert loaded.model.dtype == loading.pick_dtype("auto", "cpu", 256)
    assert not loaded.model.training


@pytest.mark.parametrize(
    ("dtype", "expected"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_a_dtype_is_taken_as_asked(dtype, expected):
    assert load("nano", dtype=dtype).model.dtype == expected


BF16, TILES = {"avx512_bf16": True}, {"avx512_bf16": True, "amx_bf16": True}


@pytest.mark.parametrize(
    ("device", "has", "width", "expected"),
    [
        ("cpu", {}, 2816, torch.float32),
        ("cpu", {"avx512_bf16": False, "amx_bf16": False}, 256, torch.float32),
        ("cpu", BF16, 256, torch.bfloat16),
        ("cpu", TILES, 511, torch.float32),
        ("cpu", TILES, 512, torch.bfloat16),
        ("cuda", {}, 256, torch.bfloat16),
        ("cuda", TILES, 256, torch.bfloat16),
    ],
)
def test_the_automatic_dtype_is_bfloat16_where_that_is_faster(
    monkeypatch, device, has, width, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert loading.pick_dtype("auto", device, width) == expected


@pytest.mark.parametrize("has", [{}, BF16, TILES])
def test_training_takes_bfloat16_wherever_there_are_instructions_for_it(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert loading.fast_dtype("cpu") == (torch.bfloat16 if has else torch.float32)


def test_the_share_of_the_weights_that_is_loaded_is_told_as_it_grows():
    told = []
    load("nano", told=told.append)
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert told == sorted(told)
    assert len(told) > 20


def test_loading_leaves_the_bars_of_others_as_they_were():
    before = logging.set_tqdm_hook(None)
    load("nano")
    assert logging.set_tqdm_hook(before) is None


def test_a_folder_loads_like_a_name(nano_copy):
    assert load(str(nano_copy)).max_positions == load("nano").max_positions == 1152


def test_a_loaded_model_says_what_the_saved_one_said(tiny):
    said = logits(load(str(tiny), dtype="float32").model)
    torch.testing.assert_close(said, logits(tiny_model()), atol=1e-4, rtol=1e-4)


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


def with_a_lost_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.decoder.layers.2.experts.down_proj"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_a_weight_of_another_shape(folder):
    weights = load_file(folder / "model.safetensors")
    weights["model.decoder.norm.weight"] = torch.ones(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_two_sets_of_weights(folder):
    edit_json(folder / "config.json", tie_word_embeddings=False)


def stored_by_an_unknown_method(folder):
    edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (without_weights, "cannot be loaded"),
        (of_another_kind, "a 'gpt2' checkpoint, not 'diffusion_gemma'"),
        (with_broken_config, "cannot be loaded"),
        (with_a_bound_of_zero, "entropy_bound"),
        (
            with_a_lost_weight,
            r"[1-9] weights are not in the checkpoint, \S+layers\.2\.experts\.down_proj first",
        ),
        (with_a_weight_of_another_shape, "cannot be loaded"),
        (with_two_sets_of_weights, "its encoder and decoder have weights of their own"),
        (stored_by_an_unknown_method, "cannot be loaded"),
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


@pytest.mark.parametrize("quantize", ["", "4bit", "8bit"])
def test_loading_prints_nothing(tiny, quantize, capfd):
    load(str(tiny), quantize=quantize)
    assert capfd.readouterr() == ("", "")


def test_what_transformers_may_print_is_left_as_it_was(tiny):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(str(tiny))
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_packing_takes_the_memory_that_was_told(tiny, quantize):
    model = load(str(tiny), dtype="float32", quantize=quantize).model
    need = memory.needs(memory.count(tiny_model().config), torch.float32)[quantize]
    tensors = {id(t): t for t in [*model.model.decoder.layers.parameters()]}
    # The tables of levels are buffers, and the same few bytes whatever the size.
    scales = [b for n, b in model.model.decoder.layers.named_buffers() if n.endswith("absmax")]
    held = sum(t.nbytes for t in [*tensors.values(), *scales])
    assert held == pytest.approx(sum(need.layers), abs=4 * len(scales))
    plain = memory.needs(memory.count(tiny_model().config), torch.float32)["float32"]
    assert held < sum(plain.layers) / 2


@pytest.mark.parametrize(("quantize", "bound"), [("4bit", 0.98), ("8bit", 0.999)])
def test_packed_nano_says_nearly_the_same(quantize, bound):
    def said(model):
        ids = torch.arange(100, 140)[None]
        with torch.no_grad():
            return model(input_ids=ids, decoder_input_ids=ids[:, :32]).logits.flatten()

    full, packed = said(load("nano").model), said(load("nano", quantize=quantize).model)
    assert torch.nn.functional.cosine_similarity(full, packed, 0) > bound


def test_packing_without_the_library_names_the_command(tiny, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnusableModel, match="needs bitsandbytes: python -m pip install"):
        load(str(tiny), quantize="4bit")


@pytest.mark.skipif(sys.platform != "linux", reason="bitsandbytes' own classes need its CPU build")
def test_a_checkpoint_that_is_stored_quantized_is_loaded_as_it_is(tmp_path):
    # transformers' own bitsandbytes layers want rows of whole blocks.
    tiny = tiny_model().config
    text = tiny.text_config.to_dict() | {
        "hidden_size": 64,
        "intermediate_size": 128,
        "head_dim": 32,
        "per_layer_config": {2: {"head_dim": 64, "num_key_value_heads": 1}},
    }
    config = DiffusionGemmaConfig(
        text_config=text, vision_config=tiny.vision_config.to_dict(), canvas_length=CANVAS
    )
    torch.manual_seed(0)
    DiffusionGemmaForBlockDiffusion(config).save_pretrained(tmp_path / "plain")
    quantized = DiffusionGemmaForBlockDiffusion.from_pretrained(
        tmp_path / "plain",
        dtype=torch.float32,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            llm_int8_skip_modules=["lm_head", "router.proj", "vision_tower", "embed_vision"],
        ),
    )
    folder = save(quantized, tmp_path / "stored")
    # transformers 5.23 also stores what describes the encoder's tied weights, and then stumbles.
    weights = load_file(folder / "model.safetensors")
    kept = {
        name: weight
        for name, weight in weights.items()
        if not (name.startswith("model.encoder.language_model.") and "quant_state" in name)
    }
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    loaded = load(str(folder)).model
    assert type(loaded.model.decoder.layers[0].mlp.gate_proj).__name__ == "Linear4bit"
    torch.testing.assert_close(logits(loaded), logits(quantized), atol=1e-5, rtol=1e-5)
    with pytest.raises(UnusableModel, match=r"stored quantized \(bitsandbytes\); leave --quantize"):
        load(str(folder), quantize="8bit")


def give_memory(monkeypatch, **devices):
    monkeypatch.setattr(memory, "free_memory", lambda device: devices)


def test_what_does_not_fit_is_refused_before_it_is_loaded(nano_copy, monkeypatch):
    without_weights(nano_copy)
    give_memory(monkeypatch, cpu=8 * 2**20)
    with pytest.raises(UnusableModel) as caught:
        load(str(nano_copy), dtype="float32")
    assert str(caught.value).startswith(f"{nano_copy} in float32 takes 24.4 ")
    assert "MiB and cpu has 8.0 MiB free; " in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "fits", "said", "options"),
    [
        ("float32", "bfloat16", "dtype 'bfloat16'", {"dtype": "bfloat16"}),
        ("bfloat16", "8bit", "--quantize 8bit", {"dtype": "bfloat16", "quantize": "8bit"}),
        ("bfloat16", "4bit", "--quantize 4bit", {"dtype": "bfloat16", "quantize": "4bit"}),
    ],
)
def test_what_was_told_to_fit_does(tiny, monkeypatch, dtype, fits, said, options):
    needs = memory.needs(memory.count(tiny_model().config), getattr(torch, dtype))
    give_memory(monkeypatch, cpu=needs[fits].total)
    with pytest.raises(UnusableModel, match=f"; {said} takes .* and would fit"):
        load(str(tiny), dtype=dtype)
    assert load(str(tiny), **options).name == str(tiny)


def test_memory_that_runs_out_while_loading_is_told(tiny, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(DiffusionGemmaForBlockDiffusion, "from_pretrained", fail)
    with pytest.raises(UnusableModel, match="cpu ran out of memory while loading") as caught:
        load(str(tiny))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "devices", "expected"),
    [
        ([0, 0], ["cpu"], {"": "cpu"}),
        ([0, 0], ["cuda:1"], {"": "cuda:1"}),
        ([0, 0], ["cuda:1", "cuda:0"], {"": "cuda:1"}),
        (
            [0, 1],
            ["cuda:1", "cuda:0"],
            {
                "": "cuda:1",
                "model.encoder.language_model.layers.0": "cuda:1",
                "model.decoder.layers.0": "cuda:1",
                "model.encoder.language_model.layers.1": "cuda:0",
                "model.decoder.layers.1": "cuda:0",
            },
        ),
    ],
)
def test_both_sides_of_a_layer_go_to_one_device(layers, devices, expected):
    assert device_map(layers, devices) == expected


@pytest.mark.parametrize("away", ["cpu", "disk"])
def test_a_stored_checkpoint_is_never_offloaded_in_silence(tiny, monkeypatch, away):
    def placed(source, **options):
        assert options["device_map"] == "auto"
        model = tiny_model()
        model.hf_device_map = {"model.decoder.layers.0": 0, "model.decoder.layers.1": away}
        return model, {"missing_keys": set()}

    config = tiny_model().config
    config.quantization_config = {"quant_method": "fp8"}
    monkeypatch.setattr(loading, "_config", lambda name, source: config)
    monkeypatch.setattr(loading, "pick_device", lambda device: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(DiffusionGemmaForBlockDiffusion, "from_pretrained", placed)
    with pytest.raises(UnusableModel, match=f"parts would go to {away}"):
        load(str(tiny))
