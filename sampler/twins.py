"""The encoder's layers are the decoder's: one set of weights, held once. No loading, no arithmetic.

transformers builds both and ties each weight of one to the other's. Where that is not possible
(packed weights) or too late (a model built whole on its device), the encoder's are dropped and its
layers are given the decoder's modules; only `layer_scalar` is a layer's own.
"""

from typing import Any


def drop_encoder_copies(model: Any) -> None:
    """Take from the encoder's layers what the decoder's have too; `layer_scalar` stays."""
    prefix = "encoder.language_model.layers."
    for owner, start in ((model, f"model.{prefix}"), (model.model, prefix)):
        for name in [n for n in owner.all_tied_weights_keys if n.startswith(start)]:
            del owner.all_tied_weights_keys[name]
    for layer in model.model.encoder.language_model.layers:
        for owner in (layer.self_attn, layer):
            for name, _ in list(owner.named_children()):
                if name != "self_attn":
                    delattr(owner, name)


def share_layers(model: Any) -> None:
    """Let the encoder's layers use the decoder's modules, so that transformers can run both."""
    pairs = zip(model.model.encoder.language_model.layers, model.model.decoder.layers, strict=True)
    for encoder, decoder in pairs:
        for to, of in ((encoder.self_attn, decoder.self_attn), (encoder, decoder)):
            for name, child in of.named_children():
                if name != "self_attn":
                    setattr(to, name, child)
