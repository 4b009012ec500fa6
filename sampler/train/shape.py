"""The shape of nano and its first weights: a DiffusionGemma with one expert. No training."""

import torch
from torch import nn
from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    DiffusionGemmaGenerationConfig,
    EntropyBoundSamplerConfig,
)

from sampler.train import tokenizer

# So many tokens of a completion are proposed to be written one after another too: MODEL_CARD.md.
CAUSAL_TOKENS = 8
# ... and one that is worth so many nats a token without denoising is shown without.
DENOISE_BELOW = -2.5


def build_config(
    *,
    vocab_size: int,
    hidden: int,
    layers: int,
    heads: int,
    window: int,
    canvas: int,
    positions: int,
) -> DiffusionGemmaConfig:
    """Return the configuration of a nano model of a given size.

    Every second layer is a full one, K = V in it as in the real checkpoint; one expert makes the
    mixture a plain MLP; the class cannot leave its vision tower out, so that is one tiny layer.
    """
    head_dim = hidden // heads
    text = {
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": head_dim,
        "global_head_dim": head_dim,
        "num_global_key_value_heads": heads,
        "sliding_window": window,
        "num_experts": 1,
        "top_k_experts": 1,
        "moe_intermediate_size": 32,
        "max_position_embeddings": positions,
        "layer_types": [
            "full_attention" if (i + 1) % 2 == 0 else "sliding_attention" for i in range(layers)
        ],
        "pad_token_id": tokenizer.PAD,
        "eos_token_id": tokenizer.EOS,
        "bos_token_id": tokenizer.BOS,
    }
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "global_head_dim": 16,
        "patch_size": 4,
        "position_embedding_size": 16,
    }
    return DiffusionGemmaConfig(
        text_config=text,
        vision_config=vision,
        canvas_length=canvas,
        boi_token_id=tokenizer.IMAGE_BEGIN,
        eoi_token_id=tokenizer.IMAGE_END,
        image_token_id=tokenizer.IMAGE_SOFT,
        causal_tokens=CAUSAL_TOKENS,
        denoise_below=DENOISE_BELOW,
    )


def build_model(config: DiffusionGemmaConfig, seed: int) -> DiffusionGemmaForBlockDiffusion:
    """Return a model with first weights fit for training from scratch, in float32."""
    torch.manual_seed(seed)
    model = DiffusionGemmaForBlockDiffusion(config)
    text = config.text_config
    for name, param in model.model.decoder.named_parameters():
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            # Attention has no 1/sqrt(head_dim) of its own: the norms must bring it.
            nn.init.constant_(param, text.head_dim**-0.25)
        elif "post_" in name:
            nn.init.constant_(param, 0.5)
        elif name == "embed_tokens.weight":
            nn.init.normal_(param, std=text.hidden_size**-0.5)
        elif param.dim() >= 2:
            nn.init.normal_(param, std=0.5 * param.shape[-1] ** -0.5)
    return model


def grow(
    small: DiffusionGemmaForBlockDiffusion, config: DiffusionGemmaConfig, seed: int
) -> DiffusionGemmaForBlockDiffusion:
    """Return a model that computes what `small` does, with room in its gated units to learn more.

    New units are random where they read and zero where they write. Raises ValueError where another
    size than `intermediate_size` differs.
    """
    model = build_model(config, seed)
    old = dict(small.model.decoder.named_parameters())
    with torch.no_grad():
        for name, param in model.model.decoder.named_parameters():
            source = old[name].to(param.dtype)
            if param.shape == source.shape:
                param.copy_(source)
            elif name.endswith(("gate_proj.weight", "up_proj.weight")):
                param[: len(source)] = source
            elif name.endswith("down_proj.weight"):
                param.zero_()[:, : source.shape[1]] = source
            else:
                raise ValueError(
                    f"{name}: {tuple(source.shape)} cannot become {tuple(param.shape)}"
                )
    return model


def generation_config() -> DiffusionGemmaGenerationConfig:
    """Return nano's sampling defaults.

    DiffusionGemma's entropies are a hundredth of a nat where a model of this size has one or two:
    with its bounds nano would accept one token a step and never be sure. These values are from the
    grid in MODEL_CARD.md.
    """
    return DiffusionGemmaGenerationConfig(
        max_new_tokens=256,
        max_denoising_steps=4,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=6.0),
        t_min=0.2,
        t_max=0.5,
        stability_threshold=1,
        confidence_threshold=0.5,
        bos_token_id=tokenizer.BOS,
        eos_token_id=[tokenizer.EOS],
        pad_token_id=tokenizer.PAD,
    )
