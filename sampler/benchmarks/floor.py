"""What a denoising step must read and compute at least, and how long that takes. Nothing is run.

Left out: activations and logits, which a step need not send to memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attention:
    """One layer's attention: widths [H * hd] and [2 * Hkv * hd], and its window if it has one."""

    query: int
    keys_and_values: int
    window: int | None

    def seen(self, context: int) -> int:
        """How many of the tokens before the canvas it reads."""
        return context if self.window is None else min(context, self.window)


@dataclass(frozen=True)
class Work:
    """How many weights a step reads: `linear` once, one of `experts` in all layers, the embedding.

    The embedding is read twice: as the head, and to condition the next step.
    """

    linear: int
    expert: int
    experts: int
    top_k: int
    embedding: int
    attention: Sequence[Attention]


def work_of(model: Any) -> Work:
    """Count the weights of a `DiffusionGemmaForBlockDiffusion` on any device, "meta" too."""
    text, decoder = model.config.text_config, model.model.decoder
    linear = sum(p.numel() for p in decoder.self_conditioning.parameters())
    attention, expert = [], 0
    for layer in decoder.layers:
        own = layer.self_attn
        linear += sum(
            p.numel() for part in (own, layer.mlp, layer.router) for p in part.parameters()
        )
        expert += sum(p.numel() for p in layer.experts.parameters()) // text.num_experts
        sliding = own.layer_type == "sliding_attention"
        attention.append(
            Attention(
                own.q_proj.weight.shape[0],
                2 * own.k_proj.weight.shape[0],
                text.sliding_window if sliding else None,
            )
        )
    embedding = decoder.embed_tokens.weight.numel()
    return Work(linear, expert, text.num_experts, text.top_k_experts, embedding, attention)


def step_bytes(work: Work, *, visited: float, rows: int, context: int, width: int) -> float:
    """Return the bytes that `rows` canvases read in a step, `width` bytes a number.

    `visited` experts are read in each layer; each row has `context` tokens of its own before it.
    """
    weights = work.linear + work.expert * visited + 2 * work.embedding
    kept = sum(a.seen(context) * a.keys_and_values for a in work.attention)
    return (weights + rows * kept) * width


def step_flops(work: Work, *, rows: int, canvas: int, context: int) -> float:
    """Return the floating-point operations of a step of `rows` canvases of `canvas` tokens."""
    each = work.linear + work.expert * work.top_k + 2 * work.embedding
    mixing = sum(2 * a.query * (a.seen(context) + canvas) for a in work.attention)
    return 2 * rows * canvas * (each + mixing)


def floor_ms(read: float, computed: float, *, bandwidth: float, peak: float) -> tuple[float, str]:
    """Return the least milliseconds, and which of the two it is that takes them.

    `bandwidth` in bytes a second, `peak` in operations a second.
    """
    reading, computing = 1e3 * read / bandwidth, 1e3 * computed / peak
    return (reading, "memory") if reading >= computing else (computing, "arithmetic")
