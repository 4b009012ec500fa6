import pytest
import torch
from tiny_model import CANVAS, VOCAB, tiny_model

from sampler.twins import drop_encoder_copies, share_layers


def logits(model):
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(8, VOCAB, (1, 20), generator=random)
    canvas = torch.randint(8, VOCAB, (1, CANVAS), generator=random)
    with torch.no_grad():
        return model(input_ids=ids, decoder_input_ids=canvas).logits


def test_shared_layers_give_the_logits_of_tied_ones():
    model = tiny_model()
    expected = logits(model)
    drop_encoder_copies(model)
    share_layers(model)
    torch.testing.assert_close(logits(model), expected, atol=0, rtol=0)


def test_what_is_dropped_is_all_but_the_layers_own_scale_and_their_ties():
    model = tiny_model()
    drop_encoder_copies(model)
    layers = model.model.encoder.language_model.layers
    assert list(layers.parameters()) == []
    assert [name for name, _ in layers.named_buffers()] == [
        f"{i}.layer_scalar" for i in range(len(layers))
    ]
    for owner in (model, model.model):
        assert not [name for name in owner.all_tied_weights_keys if ".layers." in name]
    assert "lm_head.weight" in model.all_tied_weights_keys


@pytest.mark.parametrize("seed", [0, 1])
def test_sharing_frees_copies_that_are_not_tied(seed):
    model = tiny_model(seed=seed)
    tied = sum(p.numel() for p in model.parameters())
    for layer in model.model.encoder.language_model.layers:
        layer.mlp.up_proj.weight = torch.nn.Parameter(layer.mlp.up_proj.weight.clone())
    assert sum(p.numel() for p in model.parameters()) > tied
    drop_encoder_copies(model)
    share_layers(model)
    assert sum(p.numel() for p in model.parameters()) == tied
