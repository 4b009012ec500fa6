import pytest
import torch
from tiny_model import CANVAS, VOCAB, tiny_model
from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

from sampler import full_size, memory
from sampler.full_size import build, config_of, expected_distinct, random_model, row_lengths
from sampler.load import UnusableModel
from sampler.params import InvalidParameter


def small_config(**text):
    tiny = tiny_model().config
    values = tiny.text_config.to_dict() | {"num_experts": 32, "top_k_experts": 4} | text
    return DiffusionGemmaConfig(
        text_config=values, vision_config=tiny.vision_config.to_dict(), canvas_length=256
    )


def small_model(**options):
    given = {"device": "cpu", "dtype": torch.float32, "routing": "as-is"} | options
    return random_model(small_config(), **given)


def inputs(tokens=256):
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(8, VOCAB, (1, 40), generator=random)
    return ids, torch.randint(8, VOCAB, (1, tokens), generator=random)


def run(model, tokens=256):
    ids, canvas = inputs(tokens)
    with torch.no_grad():
        return model(input_ids=ids, decoder_input_ids=canvas).logits


def visited(model):
    """Distinct experts that the canvas visits in each layer."""
    found = []
    for layer in model.model.decoder.layers:
        layer.router.register_forward_hook(
            lambda _, __, out: found.append(out[2].unique().numel()) if len(out[2]) == 256 else None
        )
    run(model)
    assert len(found) == len(model.model.decoder.layers)
    return found


def test_the_released_shape_has_the_parameters_it_is_named_for():
    with torch.device("meta"):
        model = DiffusionGemmaForBlockDiffusion(config_of("26b-a4b"))
    model.tie_weights()
    text = {id(p): p.numel() for p in model.model.decoder.parameters()}
    assert sum(text.values()) == pytest.approx(25.25e9, rel=0.002)
    experts = 30 * 128 * 3 * 2816 * 704
    # What one token reads: an embedding row, 8 experts of 128, and the output head (the embedding).
    active = sum(text.values()) - experts * 120 // 128 - 3 * 2816 * 2112
    assert active == pytest.approx(3.82e9, rel=0.01)


@pytest.mark.parametrize(
    ("layer", "kind", "q", "kv", "has_v"),
    [(0, "sliding_attention", 4096, 2048, True), (5, "full_attention", 8192, 1024, False)],
)
def test_its_attention_has_the_published_widths(layer, kind, q, kv, has_v):
    config = config_of("26b-a4b")
    assert config.text_config.layer_types[layer] == kind
    assert config.text_config.layer_types.count("full_attention") == 5
    with torch.device("meta"):
        attention = DiffusionGemmaForBlockDiffusion(config).model.decoder.layers[layer].self_attn
    assert attention.q_proj.out_features == q
    assert attention.k_proj.out_features == kv
    assert (attention.v_proj is not None) == has_v


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_random_model_runs_and_holds_each_weight_once(dtype):
    model = small_model(dtype=dtype)
    assert model.dtype == dtype
    assert bool(run(model).isfinite().all())
    weights = memory.count(model.config)
    counted = sum(weights.packed) + sum(weights.others) + weights.outside
    assert sum(p.numel() for p in model.parameters()) == counted
    assert not [name for name, p in model.named_parameters() if p.is_meta]
    assert not [name for name, b in model.named_buffers() if b.is_meta]


def test_its_numbers_that_are_not_random_are_those_of_a_plain_model():
    model, plain = small_model(), DiffusionGemmaForBlockDiffusion(small_config())
    expected = dict(plain.named_buffers())
    assert expected.keys() == dict(model.named_buffers()).keys()
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, expected[name], msg=name)
    norms = [n for n, p in plain.named_parameters() if bool((p == 1).all())]
    assert norms
    for name in norms:
        assert bool((model.get_parameter(name) == 1).all()), name


def test_the_same_model_is_built_each_time_and_the_callers_random_numbers_are_left_alone():
    config = small_config()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model = random_model(config, device="cpu", dtype=torch.float32, routing="biased")
    assert torch.rand(1) == expected
    again = random_model(config, device="cpu", dtype=torch.float32, routing="biased")
    assert torch.equal(run(model), run(again))
    assert torch.get_default_dtype() == torch.float32


def test_a_router_as_it_falls_visits_nearly_all_experts():
    # 32 * (1 - (1 - 4/32) ** 256)
    assert min(visited(small_model())) == 32


def test_a_biased_router_visits_as_large_a_part_as_the_released_one():
    found = visited(small_model(routing="biased"))
    assert sum(found) / len(found) == pytest.approx(32 * 84 / 128, rel=0.15)


@pytest.mark.parametrize(
    ("experts", "top_k", "tokens", "wanted"),
    [(128, 8, 256, 84.0), (16, 2, 32, 9.0), (32, 4, 256, 21.0)],
)
def test_row_lengths_give_the_number_wanted(experts, top_k, tokens, wanted):
    lengths = row_lengths(experts, top_k, tokens, wanted)
    # Counted anew, in tokens that were not looked at when the lengths were chosen.
    random = torch.Generator().manual_seed(1)
    counts = [
        (torch.randn(tokens, experts, generator=random) * lengths).topk(top_k).indices.unique()
        for _ in range(50)
    ]
    mean = sum(found.numel() for found in counts) / len(counts)
    assert mean == pytest.approx(wanted, rel=0.03)
    assert bool((lengths.diff() <= 0).all())


@pytest.mark.parametrize("tokens", [1, 32, 256])
def test_rows_of_one_length_visit_what_even_routing_does(tokens):
    even = 128 * (1 - (1 - 8 / 128) ** tokens)
    assert expected_distinct(torch.ones(128), 8, tokens) == pytest.approx(even, rel=0.01)


@pytest.mark.parametrize("wanted", [7, 129, 0])
def test_a_number_that_no_router_visits_is_refused(wanted):
    with pytest.raises(InvalidParameter, match=f"not {wanted}"):
        row_lengths(128, 8, 256, wanted)


def test_an_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(UnusableModel, match="'7b' is unknown; there is 26b-a4b"):
        build("7b", device="cpu")


def test_what_would_not_fit_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: {device: 2**34})
    with pytest.raises(UnusableModel, match=r"26b-a4b in bfloat16 takes 48\.9 GiB and cpu has 16"):
        build("26b-a4b", device="cpu")


def test_a_shape_that_fits_is_built(monkeypatch):
    config = small_config()
    shape = {"canvas_length": CANVAS, "vision_config": config.vision_config.to_dict()}
    shape["text_config"] = config.text_config.to_dict()
    monkeypatch.setitem(full_size.SHAPES, "small", shape)
    model = build("small", device="cpu", routing="biased")
    assert model.dtype == torch.bfloat16
    assert run(model, CANVAS).shape == (1, CANVAS, VOCAB)
