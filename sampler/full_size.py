"""A DiffusionGemma of a released size with random weights, for timing; what it says means nothing.

Built on its device: the full size never passes through the CPU. A random router spreads its tokens
evenly over the experts, which a trained one does not: of the released model's 128 experts the
tokens of one canvas of 256 visit about 84 in a layer. "biased" routing is made to do the same, by
rows of the router's weights of unlike length: a longer row gives scores that reach the top more
often. It meets that one point; at fewer tokens it visits more experts than a trained router would.
"""

import copy
from typing import Any, Literal

import torch
from torch import Tensor

from sampler import memory
from sampler.load import UnusableModel
from sampler.params import InvalidParameter
from sampler.twins import drop_encoder_copies, share_layers

Routing = Literal["as-is", "biased"]

# The published config.json; what stands in neither is the config classes' default.
SHAPES: dict[str, dict[str, Any]] = {
    "26b-a4b": {
        "canvas_length": 256,
        "text_config": {
            "vocab_size": 262_144,
            "hidden_size": 2816,
            "intermediate_size": 2112,
            "num_hidden_layers": 30,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "num_global_key_value_heads": 2,
            "head_dim": 256,
            "global_head_dim": 512,
            "sliding_window": 1024,
            "max_position_embeddings": 262_144,
            "num_experts": 128,
            "top_k_experts": 8,
            "moe_intermediate_size": 704,
            "use_bidirectional_attention": "vision",
        },
        "vision_config": {
            "model_type": "gemma4_vision",
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": 72,
            "global_head_dim": 72,
            "patch_size": 16,
            "pooling_kernel_size": 3,
            "standardize": True,
        },
    },
}

# Distinct experts that the released router visits in a layer, of how many, in so many tokens.
VISITED, EXPERTS, TOKENS = 84, 128, 256


def config_of(shape: str) -> Any:
    """Return transformers' config of a shape; raises UnusableModel for an unknown one."""
    from transformers import DiffusionGemmaConfig

    if shape not in SHAPES:
        raise UnusableModel(f"shape {shape!r} is unknown; there is {', '.join(SHAPES)}")
    return DiffusionGemmaConfig(**copy.deepcopy(SHAPES[shape]))


def build(
    shape: str,
    *,
    device: str,
    dtype: torch.dtype = torch.bfloat16,
    routing: Routing = "as-is",
) -> Any:
    """Return a `DiffusionGemmaForBlockDiffusion` with the same random weights each time.

    Raises UnusableModel for an unknown shape, and where it would not fit on the one device.
    """
    config = config_of(shape)
    need = memory.needs(memory.count(config), dtype)
    chosen = str(dtype).removeprefix("torch.")
    name, free = next(iter(memory.free_memory(device).items()))
    if memory.place(need[chosen], [free]) is None:
        # Packed weights come from a checkpoint only.
        plain = {key: value for key, value in need.items() if key not in memory.BITS}
        raise UnusableModel(memory.refusal(shape, plain, chosen, [free], name))
    return random_model(config, device=name, dtype=dtype, routing=routing)


def random_model(config: Any, *, device: str, dtype: torch.dtype, routing: Routing) -> Any:
    """Return a model of any config with random weights, each held once."""
    from transformers import DiffusionGemmaForBlockDiffusion

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            model = DiffusionGemmaForBlockDiffusion(config)
    finally:
        torch.set_default_dtype(before)
    drop_encoder_copies(model)
    model.to_empty(device=device)
    model.tie_weights(recompute_mapping=False)
    share_layers(model)
    accelerators = [] if device == "cpu" else [device]
    with torch.random.fork_rng(accelerators), torch.no_grad():
        torch.manual_seed(0)
        for module in model.modules():
            # What was initialized on the meta device is empty now.
            module._is_hf_initialized = False
        model.initialize_weights()
        for layer in model.model.encoder.language_model.layers:
            layer.layer_scalar.fill_(1)
        if routing == "biased":
            bias_routers(model)
    return model.eval()


def bias_routers(model: Any) -> None:
    """Make every layer's router visit as large a part of its experts as the released one does."""
    text = model.config.text_config
    wanted = VISITED / EXPERTS * text.num_experts
    lengths = row_lengths(text.num_experts, text.top_k_experts, TOKENS, wanted)
    for layer in model.model.decoder.layers:
        weight = layer.router.proj.weight
        # Popular experts lie anywhere.
        order = torch.randperm(text.num_experts)
        weight.mul_(lengths[order, None].to(weight))


def row_lengths(experts: int, top_k: int, tokens: int, wanted: float) -> Tensor:
    """Return lengths [E] of a router's rows so that `tokens` visit about `wanted` experts.

    They fall as a power of the rank, found by halving. Raises InvalidParameter for a number that
    no such router visits.
    """
    ranks = torch.arange(1, experts + 1, dtype=torch.float32)
    low, high = 0.0, 16.0
    most, least = (expected_distinct(ranks**-power, top_k, tokens) for power in (low, high))
    if not least <= wanted <= most:
        raise InvalidParameter(
            f"{tokens} tokens visit from {least:.1f} to {most:.1f} of {experts} experts, "
            f"not {wanted}"
        )
    for _ in range(24):
        middle = (low + high) / 2
        if expected_distinct(ranks**-middle, top_k, tokens) > wanted:
            low = middle
        else:
            high = middle
    return ranks**-high


def expected_distinct(lengths: Tensor, top_k: int, tokens: int) -> float:
    """Return how many experts `tokens` visit, each the `top_k` of scores normal with `lengths` [E].

    An estimate from 8,192 tokens, always the same ones; the tokens of a random model are alike to
    independent.
    """
    samples, experts = 8192, len(lengths)
    scores = torch.randn(samples, experts, generator=torch.Generator().manual_seed(0)) * lengths
    chosen = scores.topk(top_k).indices.flatten()
    part = torch.bincount(chosen, minlength=experts) / samples
    return float((1 - (1 - part) ** tokens).sum())
