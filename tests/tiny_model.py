"""A small random DiffusionGemma of the real checkpoint's classes, with experts, for CPU tests."""

import torch
from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

VOCAB = 97
WINDOW = 16
CANVAS = 8


def tiny_model(
    *,
    seed: int = 0,
    experts: int = 4,
    layers: int = 3,
    vocab: int = VOCAB,
    positions: int = 512,
    canvas: int = CANVAS,
) -> DiffusionGemmaForBlockDiffusion:
    """Return a model of random weights; every third layer of `layers` is a full one."""
    text = {
        "vocab_size": vocab,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "global_head_dim": 16,
        "num_global_key_value_heads": 1,
        "sliding_window": WINDOW,
        "num_experts": experts,
        "top_k_experts": min(2, experts),
        "moe_intermediate_size": 16,
        "max_position_embeddings": positions,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * (layers // 3),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
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
    torch.manual_seed(seed)
    config = DiffusionGemmaConfig(
        text_config=text,
        vision_config=vision,
        canvas_length=canvas,
        boi_token_id=5,
        eoi_token_id=6,
        image_token_id=7,
    )
    model = DiffusionGemmaForBlockDiffusion(config).eval()
    with torch.no_grad():
        for param in model.model.decoder.parameters():
            # Wider than the default, so that the random model has opinions worth sampling.
            param.copy_(torch.randn_like(param) * 0.4 + (1.0 if param.dim() == 1 else 0.0))
    return model
