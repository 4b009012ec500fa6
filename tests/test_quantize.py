import pytest
import torch
from tiny_model import CANVAS, VOCAB, tiny_model
from torch import nn
from torch.nn.functional import cosine_similarity
from transformers import DiffusionGemmaForBlockDiffusion

from sampler import memory
from sampler.load import NANO
from sampler.memory import is_packed
from sampler.quantize import PackingConfig, pack

# A normal weight's cosine with itself rounded. NF4's 16 levels leave a root mean square error of
# about 9.5 % in blocks of 64, so 1 - 0.095^2 / 2 = 0.9955; 8 bits leave about 0.8 %.
CLOSE = {4: 0.995, 8: 0.9999}


def logits(model, vocab=VOCAB, canvas=CANVAS):
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(8, vocab, (1, 40), generator=random)
    drawn = torch.randint(8, vocab, (1, canvas), generator=random)
    with torch.no_grad():
        return model(input_ids=ids, decoder_input_ids=drawn).logits


def size(module):
    tensors = [*module.parameters(), *module.buffers()]
    return sum(t.numel() * t.element_size() for t in {id(t): t for t in tensors}.values())


@pytest.fixture(scope="module")
def plain():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    plain.save_pretrained(path)
    return path


@pytest.fixture(scope="module", params=[4, 8])
def bits(request):
    return request.param


@pytest.fixture(scope="module")
def packed(folder, bits):
    return DiffusionGemmaForBlockDiffusion.from_pretrained(
        folder, quantization_config=PackingConfig(bits=bits), dtype=torch.float32
    ).eval()


def weights(model):
    """The weights by their plain names, unpacked."""
    layers = model.model.decoder.layers
    for name, _ in tiny_model().model.decoder.layers.named_parameters():
        owner, _, attribute = name.rpartition(".")
        yield name, getattr(layers.get_submodule(owner), attribute)


@pytest.mark.parametrize("shape", [(8, 96, 64), (64, 64), (32, 32), (4, 24, 40), (3, 1003)])
def test_a_packed_weight_is_close_and_small(bits, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    module = nn.Module()
    pack(module, "weight", weight, bits)
    assert module.weight.shape == weight.shape
    assert cosine_similarity(module.weight.flatten(), weight.flatten(), 0) > CLOSE[bits]
    # A scale of four bytes for each begun block of 64 or 256, and the table of levels.
    block, table = {4: (64, 16), 8: (256, 256)}[bits]
    bytes_ = -(-weight.numel() * bits // 8)
    assert size(module) == bytes_ + 4 * (-(-weight.numel() // block) + table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_weight_keeps_its_dtype(bits, dtype):
    module = nn.Linear(48, 40, bias=False, dtype=dtype)
    pack(module, "weight", module.weight.data, bits)
    assert module.weight.dtype == dtype
    assert module(torch.ones(3, 48, dtype=dtype)).dtype == dtype


def test_every_matrix_of_the_layers_is_packed_with_the_experts(plain, packed, bits):
    for name, weight in weights(packed):
        original = plain.model.decoder.layers.get_parameter(name)
        if is_packed(f"model.decoder.layers.{name}"):
            cosine = cosine_similarity(weight.flatten(), original.flatten(), 0)
            assert CLOSE[bits] - 0.0005 < cosine < 1 - 1e-7, name
        else:
            assert torch.equal(weight, original), name
    assert torch.equal(packed.lm_head.weight, plain.lm_head.weight)


def test_the_layers_take_a_fraction_of_the_bytes(packed, plain, bits):
    full, small = size(plain.model.decoder.layers), size(packed.model.decoder.layers)
    weights = memory.count(plain.config)
    layers = memory.needs(weights, torch.float32)[f"{bits}bit"].layers
    # The tables of levels, one for each of up to nine matrices, are not worth counting elsewhere.
    tables = 9 * 4 * {4: 16, 8: 256}[bits]
    assert sum(layers) <= small <= sum(layers) + len(layers) * tables
    assert small < full / 2
    # One copy for both sides.
    both = nn.ModuleList([packed.model.decoder.layers, packed.model.encoder.language_model.layers])
    assert size(both) - small == sum(
        layer.layer_scalar.nbytes for layer in packed.model.encoder.language_model.layers
    )


def test_the_logits_are_those_of_a_plain_model_with_the_rounded_weights(packed):
    rounded = tiny_model()
    with torch.no_grad():
        for name, weight in weights(packed):
            rounded.model.decoder.layers.get_parameter(name).copy_(weight)
    torch.testing.assert_close(logits(packed), logits(rounded), atol=1e-5, rtol=1e-5)


def test_a_trained_model_says_nearly_the_same(bits):
    def load(**options):
        return DiffusionGemmaForBlockDiffusion.from_pretrained(NANO, dtype=torch.float32, **options)

    full = logits(load(), 4096, 32)
    rounded = logits(load(quantization_config=PackingConfig(bits=bits)), 4096, 32)
    # In a chain of 4 layers of a few matrices the errors of the weights add up as squares do.
    assert cosine_similarity(full.flatten(), rounded.flatten(), 0) > {4: 0.98, 8: 0.999}[bits]
