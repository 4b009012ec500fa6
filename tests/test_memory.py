import pytest
import torch
from tiny_model import CANVAS, VOCAB, tiny_model

from sampler import full_size, memory
from sampler.memory import GIB, Need, Weights, free_memory, is_packed, needs, place, refusal


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.decoder.layers.0.self_attn.q_proj.weight", True),
        ("model.decoder.layers.29.self_attn.o_proj.weight", True),
        ("model.decoder.layers.3.mlp.gate_proj.weight", True),
        ("model.decoder.layers.3.experts.gate_up_proj", True),
        ("model.decoder.layers.3.experts.down_proj", True),
        ("model.decoder.layers.3.router.proj.weight", False),
        ("model.decoder.layers.3.router.per_expert_scale", False),
        ("model.decoder.layers.3.self_attn.q_norm.weight", False),
        ("model.decoder.layers.3.layer_scalar", False),
        ("model.decoder.embed_tokens.weight", False),
        ("model.decoder.self_conditioning.up_proj.weight", False),
        ("model.encoder.vision_tower.encoder.layers.0.mlp.up_proj.linear.weight", False),
        ("lm_head.weight", False),
    ],
)
def test_the_matrices_of_the_layers_are_packed_and_nothing_else(name, expected):
    assert is_packed(name) == expected


def test_every_weight_is_counted_once():
    model = tiny_model()
    weights = memory.count(model.config)
    counted = sum(weights.packed) + sum(weights.others) + weights.outside
    assert counted == sum(p.numel() for p in model.parameters())
    assert weights.logits == CANVAS * VOCAB
    layer = model.model.decoder.layers[0]
    experts = layer.experts.gate_up_proj.numel() + layer.experts.down_proj.numel()
    assert weights.packed[0] > experts
    assert weights.others[0] == sum(p.numel() for p in layer.parameters()) - weights.packed[0]


def test_the_released_size_is_counted_on_no_device():
    weights = memory.count(full_size.config_of("26b-a4b"))
    total = sum(weights.packed) + sum(weights.others) + weights.outside
    assert total == pytest.approx(25.8e9, rel=0.01)
    # Nine tenths are experts: 30 layers of 128 of 3 x 2816 x 704.
    assert sum(weights.packed) > 30 * 128 * 3 * 2816 * 704 > 0.88 * total


WEIGHTS = Weights(packed=(1000, 2000), others=(10, 10), outside=100, logits=5)


@pytest.mark.parametrize(
    ("dtype", "name", "expected"),
    [
        (torch.bfloat16, "bfloat16", Need((2020, 4020), 200, 60)),
        (torch.float32, "float32", Need((4040, 8040), 400, 60)),
        (torch.float32, "bfloat16", Need((2020, 4020), 200, 60)),
        # A byte and 4/256 for each packed weight; the largest layer is unpacked while it works.
        (torch.bfloat16, "8bit", Need((1035, 2051), 200, 60 + 4000)),
        (torch.bfloat16, "4bit", Need((582, 1145), 200, 60 + 4000)),
        (torch.float32, "4bit", Need((602, 1165), 400, 60 + 8000)),
    ],
)
def test_what_each_precision_needs(dtype, name, expected):
    assert needs(WEIGHTS, dtype)[name] == expected


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        (torch.float32, ["float32", "bfloat16", "8bit", "4bit"]),
        (torch.bfloat16, ["bfloat16", "8bit", "4bit"]),
    ],
)
def test_the_finest_precision_comes_first(dtype, names):
    assert list(needs(WEIGHTS, dtype)) == names


NEED = Need(layers=(10, 10, 10, 10), rest=20, working=5)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ([65], [0, 0, 0, 0]),
        ([64], None),
        ([100, 100], [0, 0, 0, 0]),
        # Equal devices: the first also holds the rest.
        ([50, 50], [0, 1, 1, 1]),
        ([35, 35], [0, 1, 1, 1]),
        ([34, 35], None),
        ([25, 65], [1, 1, 1, 1]),
        ([24, 65], None),
        ([35, 15, 35], [0, 1, 2, 2]),
        ([35, 14, 35], [0, 2, 2, 2]),
        ([35, 15, 15, 15], [0, 1, 2, 3]),
        ([35, 15, 15], None),
        ([0], None),
    ],
)
def test_layers_are_placed_where_they_fit(free, expected):
    assert place(NEED, free) == expected


@pytest.mark.parametrize("free", [[40, 40], [45, 30], [30, 30, 30], [35, 16, 40]])
def test_no_device_is_given_more_than_it_has(free):
    layers = place(NEED, free)
    for device, room in enumerate(free):
        given = sum(NEED.layers[i] for i, d in enumerate(layers) if d == device)
        assert given + NEED.working + (NEED.rest if device == 0 else 0) <= room


def sizes(**gib):
    return {name: Need((), int(size * GIB), 0) for name, size in gib.items()}


TABLE = {"bfloat16": 51.2, "8bit": 28.0, "4bit": 17.0}


@pytest.mark.parametrize(
    ("chosen", "free", "expected"),
    [
        (
            "bfloat16",
            [22.1],
            "26B in bfloat16 takes 51.2 GiB and cuda has 22.1 GiB free; "
            "--quantize 4bit takes 17.0 GiB and would fit",
        ),
        (
            "bfloat16",
            [40],
            "26B in bfloat16 takes 51.2 GiB and cuda has 40.0 GiB free; "
            "--quantize 8bit takes 28.0 GiB and would fit",
        ),
        (
            "bfloat16",
            [8],
            "26B in bfloat16 takes 51.2 GiB and cuda has 8.0 GiB free; nothing would fit, "
            "not even 4bit (17.0 GiB): free some memory or use nano",
        ),
        (
            "4bit",
            [8, 8],
            "26B in 4bit takes 17.0 GiB and 2 cuda devices have 16.0 GiB free; nothing would fit: "
            "free some memory or use nano",
        ),
    ],
)
def test_a_refusal_names_what_would_fit(chosen, free, expected):
    free = [int(size * GIB) for size in free]
    assert refusal("26B", sizes(**TABLE), chosen, free, "cuda") == expected


def test_on_a_cpu_a_smaller_dtype_is_offered_before_fewer_bits():
    said = refusal(
        "26B", sizes(float32=100, bfloat16=50, **{"4bit": 20}), "float32", [60 * GIB], "cpu"
    )
    assert said.endswith("; dtype 'bfloat16' takes 50.0 GiB and would fit")


def test_small_sizes_are_told_in_mebibytes():
    said = refusal("nano", {"float32": Need((), 2**24, 0)}, "float32", [2**20], "cpu")
    assert "takes 16.0 MiB and cpu has 1.0 MiB free" in said


def test_the_memory_of_a_cpu_is_what_is_available():
    free = free_memory("cpu")
    assert list(free) == ["cpu"]
    assert 2**24 < free["cpu"] < 2**50


def test_of_several_accelerators_the_emptiest_comes_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: ([10, 30, 20][i], 40))
    assert free_memory("cuda") == {"cuda:1": 30, "cuda:2": 20, "cuda:0": 10}
    assert list(free_memory("cuda")) == ["cuda:1", "cuda:2", "cuda:0"]
    assert free_memory("cuda:2") == {"cuda:2": 20}
