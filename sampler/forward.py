"""The model's two sides, computed over transformers' modules with keys and values in place.

    encode(spans, ids)          causal: hidden states of tokens behind their prefixes
    decode(spans, ids, soft)    bidirectional: hidden states of canvases behind their prefixes

transformers' modules keep the weights, so that whatever it loads (sizes, dtypes, quantization,
several devices) is served. The same functions of them are computed here without copying a prefix
and without building masks, positions or rotary tables anew in every layer of every step. The
tokens of all requests lie one behind the other in one `[T, D]`; only attention tells them apart.
No sampling and no scheduling here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sampler import masks
from sampler.epilogue import Reading, read
from sampler.kv import KV, LayerShape

# Keys are taken from and up to multiples of so many positions, where that keeps results the same.
# A page of `kv` holds a whole number of them.
ALIGNED = 64
# Of two requests that are stepped in turn, for both kinds of layers.
MASKS_KEPT = 4


@dataclass(frozen=True)
class Span:
    """Rows of `widths` tokens that stand side by side behind the same encoded text."""

    kv: KV
    widths: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the rows have together."""
        return sum(self.widths)


class Denoiser(Protocol):
    """What the engine needs of a model; tests bring small ones of their own."""

    vocab_size: int
    device: torch.device

    def new_kv(self) -> KV:
        """Return an empty text."""

    def encode(self, spans: Sequence[Span], ids: Tensor) -> Tensor:
        """Return the causal side's hidden states [T, D] of ids [T]."""

    def decode(self, spans: Sequence[Span], ids: Tensor, soft: Tensor | None) -> Tensor:
        """Return the bidirectional side's hidden states [T, D]; `soft` [T, D] conditions it."""

    def read(
        self, hidden: Tensor, temperature: Tensor, uniform: Tensor, forbidden: Tensor | None
    ) -> Reading:
        """Read tokens off hidden states [T, D]; see `sampler.epilogue`."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return soft-capped float32 logits [T, V] of hidden states [T, D]."""

    def soften(self, probs: Tensor) -> Tensor:
        """Return the mean embedding [T, D] under distributions [T, V]."""

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embedding [T, D] of ids [T]."""


@dataclass(frozen=True)
class _Attend:
    """How one span attends in one kind of layer: to the keys `seen`, under `mask`."""

    rows: slice
    kv: KV
    seen: slice
    mask: Tensor | None
    triangle: bool


class Forward:
    """A `DiffusionGemmaForBlockDiffusion` of transformers as a Denoiser.

    `compile_` is given the functions of a layer around its attention, which see nothing of a
    request but its number of tokens: `torch.compile(..., dynamic=True)` compiles them once.
    """

    def __init__(self, model: Any, compile_: Callable[[Any], Any] = lambda f: f) -> None:
        self.model = model
        config = model.config.text_config
        decoder = model.model.decoder
        self.vocab_size: int = config.vocab_size
        self.window: int = config.sliding_window
        self.softcap: float | None = config.final_logit_softcapping
        self._embed = decoder.embed_tokens
        self._condition = decoder.self_conditioning
        self._norm = decoder.norm
        self._head = model.lm_head
        self.layers = [
            _Layer(layer, decoder_scale=layer.layer_scalar, encoder_scale=twin.layer_scalar)
            for layer, twin in zip(
                decoder.layers, model.model.encoder.language_model.layers, strict=True
            )
        ]
        # The steps of a canvas have one mask for each kind of layer.
        self._added_canvases = lru_cache(MASKS_KEPT)(
            lambda seen, widths: self._added(masks.canvases(seen, widths))
        )
        self._before = compile_(_before_attention)
        self._after = compile_(_after_attention)
        self.device: torch.device = self._embed.weight.device
        self.dtype: torch.dtype = self._embed.weight.dtype
        # A CPU has instructions for bf16 products, which its fused attention does without.
        self._multiplies = (
            self.device.type == "cpu"
            and self.dtype == torch.bfloat16
            and all(layer.heads == layer.kv_heads for layer in self.layers)
        )
        self._rotary = {
            kind: _Rotary(decoder.rotary_emb, kind, self._embed.weight)
            for kind in sorted(set(config.layer_types))
        }
        self._shapes = [
            LayerShape(layer.kv_heads, layer.head_dim, self.dtype, layer.device)
            for layer in self.layers
        ]

    def new_kv(self) -> KV:
        """Return an empty text."""
        return KV(self._shapes)

    @torch.no_grad()
    def encode(self, spans: Sequence[Span], ids: Tensor) -> Tensor:
        """Return hidden states [T, D]; keys and values are written behind each span's text."""
        plans = {kind: self._plan_causal(spans, kind) for kind in self._rotary}
        return self._run(spans, self._embed(ids), plans, [x.encoder_scale for x in self.layers])

    @torch.no_grad()
    def decode(self, spans: Sequence[Span], ids: Tensor, soft: Tensor | None) -> Tensor:
        """Return hidden states [T, D]; `soft` None is the first step's."""
        plans = {kind: self._plan_canvases(spans, kind) for kind in self._rotary}
        embedded = self._embed(ids)
        conditioned = self._condition(
            embedded, torch.zeros_like(embedded) if soft is None else soft
        )
        return self._run(spans, conditioned, plans, [x.decoder_scale for x in self.layers])

    @torch.no_grad()
    def read(
        self, hidden: Tensor, temperature: Tensor, uniform: Tensor, forbidden: Tensor | None
    ) -> Reading:
        """Read tokens off hidden states [T, D]."""
        return read(
            self._head(hidden),
            self.softcap,
            temperature,
            uniform,
            out_dtype=self.dtype,
            forbidden=forbidden,
        )

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """Return soft-capped float32 logits [T, V]."""
        logits: Tensor = self._head(hidden).float()
        if self.softcap is None:
            return logits
        return torch.tanh(logits / self.softcap) * self.softcap

    @torch.no_grad()
    def soften(self, probs: Tensor) -> Tensor:
        """Return the mean embedding [T, D] under distributions [T, V]."""
        weight: Tensor = self._embed.weight
        scale: Tensor = self._embed.embed_scale.to(self.dtype)
        return probs.to(self.dtype) @ weight * scale

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Return the embedding [T, D] of ids [T]."""
        embedded: Tensor = self._embed(ids)
        return embedded

    def _run(
        self,
        spans: Sequence[Span],
        x: Tensor,
        plans: dict[str, list[_Attend]],
        scales: Sequence[Tensor | None],
    ) -> Tensor:
        for span in spans:
            span.kv.reserve(span.tokens)
        needed = max((span.kv.length + max(span.widths) for span in spans), default=0)
        positions = _positions(spans, x.device)
        tables = {kind: rotary.at(positions, needed) for kind, rotary in self._rotary.items()}
        for index, (layer, scale) in enumerate(zip(self.layers, scales, strict=True)):
            x = x.to(layer.device)
            cos, sin = (table.to(layer.device) for table in tables[layer.kind])
            q, k, v = self._before(layer, x, cos, sin)
            parts = [_attend(a, index, q, k, v, self._multiplies) for a in plans[layer.kind]]
            mixed = parts[0] if len(parts) == 1 else torch.cat(parts)
            x = self._after(layer, x, mixed.flatten(1))
            if scale is not None:
                x = x * scale
        normed: Tensor = self._norm(x.to(self._norm.weight.device))
        return normed.to(self.device)

    def _plan_canvases(self, spans: Sequence[Span], kind: str) -> list[_Attend]:
        plans, at = [], 0
        for span in spans:
            length = span.kv.length
            start = masks.first_seen(length, self._window(kind))
            added = self._added_canvases(length - start, span.widths)
            rows = slice(at, at := at + span.tokens)
            plans.append(self._plan(span, rows, start, added, False))
        return plans

    def _plan_causal(self, spans: Sequence[Span], kind: str) -> list[_Attend]:
        window, plans, at = self._window(kind), [], 0
        for span in spans:
            length = span.kv.length
            start = masks.first_seen(length, window)
            # The two common cases need no mask: a new text in a full layer, and a single token.
            alone = len(span.widths) == 1 and span.tokens <= (window or span.tokens)
            triangle = alone and length == 0 and not self._multiplies
            mask = None
            if not triangle and not (alone and span.tokens == 1):
                mask = masks.causal(length, start, span.widths, window)
            rows = slice(at, at := at + span.tokens)
            plans.append(self._plan(span, rows, start, self._added(mask), triangle))
        return plans

    def _plan(
        self, span: Span, rows: slice, start: int, added: Tensor | None, triangle: bool
    ) -> _Attend:
        """Return the plan of a span that sees from `start` on, `added` [T, n] being added."""
        end = span.kv.length + span.tokens
        if self._multiplies:
            # The keys always begin and end at a border of ALIGNED, so that what a token gets from
            # each does not depend on how many stand beside it: a text has the same keys and values
            # to the last bit in whatever pieces it was encoded.
            left, right = start % ALIGNED, -end % ALIGNED
            plain = torch.zeros(1, end - start, dtype=self.dtype) if added is None else added
            added = F.pad(plain, (left, right), value=-torch.inf)
            start, end = start - left, end + right
        return _Attend(rows, span.kv, slice(start, end), added, triangle)

    def _window(self, kind: str) -> int | None:
        return self.window if kind == "sliding_attention" else None

    def _added(self, mask: Tensor | None) -> Tensor | None:
        """Return the mask as what attention adds, once for all layers of a kind."""
        if mask is None:
            return None
        added = torch.zeros(mask.shape, dtype=self.dtype).masked_fill_(~mask, -torch.inf)
        return added.to(self.device)


def _positions(spans: Sequence[Span], device: torch.device) -> Tensor:
    parts = [
        torch.arange(span.kv.length, span.kv.length + width)
        for span in spans
        for width in span.widths
    ]
    return torch.cat(parts).to(device)


def _attend(plan: _Attend, index: int, q: Tensor, k: Tensor, v: Tensor, multiplies: bool) -> Tensor:
    """Write a span's keys and values behind its text and attend. q [T, H, hd] -> [n, H, hd].

    With `multiplies` by plain products, which are quicker on some CPUs than the fused attention.
    """
    kv, rows = plan.kv, plan.rows
    end = kv.length + rows.stop - rows.start
    kv.keys[index][0, :, kv.length : end].copy_(k[rows].transpose(0, 1))
    kv.values[index][0, :, kv.length : end].copy_(v[rows].transpose(0, 1))
    keys, values = (part[index][:, :, plan.seen] for part in (kv.keys, kv.values))
    if multiplies:
        assert plan.mask is not None
        scores = q[rows].transpose(0, 1) @ keys[0].transpose(-1, -2)
        scores += plan.mask
        return (scores.softmax(-1) @ values[0]).transpose(0, 1)
    mixed = F.scaled_dot_product_attention(
        q[rows].transpose(0, 1)[None],
        keys,
        values,
        attn_mask=None if plan.mask is None else plan.mask.to(q.device),
        is_causal=plan.triangle,
        scale=1.0,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return mixed[0].transpose(0, 1)


class _Rotary:
    """Cosines and sines of all positions met so far; positions repeat in every request."""

    def __init__(self, embedding: Any, kind: str, like: Tensor) -> None:
        self._embedding, self._kind, self._like = embedding, kind, like
        self._cos: Tensor | None = None
        self._sin: Tensor | None = None

    def at(self, positions: Tensor, needed: int) -> tuple[Tensor, Tensor]:
        """Return tables [T, 1, hd] of positions [T] below `needed`.

        The sine's first half is negative: so a head that is rolled by half of itself and multiplied
        with it is what rotary embedding adds, its halves exchanged and the first one negated.
        """
        if self._cos is None or self._sin is None or needed > len(self._cos):
            every = torch.arange(-(-needed // 1024) * 1024, device=self._like.device)[None]
            cos, sin = self._embedding(self._like, every, self._kind)
            left, right = sin.chunk(2, -1)
            self._cos = cos[0, :, None]
            self._sin = torch.cat((-left, right), -1)[0, :, None]
        return self._cos[positions], self._sin[positions]


class _Layer:
    """One layer's modules and numbers, and its plain weights laid side by side.

    Projections of the same input become one product where they are plain `nn.Linear`s: their
    weights move into one tensor and the modules keep views of it, so nothing is held twice.
    """

    def __init__(self, layer: Any, *, decoder_scale: Tensor, encoder_scale: Tensor) -> None:
        attention = layer.self_attn
        self.module = layer
        self.kind: str = attention.layer_type
        self.head_dim: int = attention.head_dim
        self.device: torch.device = layer.input_layernorm.weight.device
        self.heads: int = attention.config.num_attention_heads
        self.kv_heads: int = self.heads // attention.num_key_value_groups
        self.shares_kv = attention.v_proj is None
        self.input_norm = _Norm(layer.input_layernorm)
        self.after_attention = _Norm(layer.post_attention_layernorm)
        self.before_dense = _Norm(layer.pre_feedforward_layernorm)
        self.after_dense = _Norm(layer.post_feedforward_layernorm_1)
        self.before_experts = _Norm(layer.pre_feedforward_layernorm_2)
        self.after_experts = _Norm(layer.post_feedforward_layernorm_2)
        self.after_both = _Norm(layer.post_feedforward_layernorm)
        parts = [attention.q_proj, attention.k_proj]
        self.qkv = _SideBySide(parts if self.shares_kv else [*parts, attention.v_proj])
        self.out = _SideBySide([attention.o_proj])
        self.gate_up = _SideBySide([layer.mlp.gate_proj, layer.mlp.up_proj])
        self.down = _SideBySide([layer.mlp.down_proj])
        self.head_norm = _Norm(attention.q_norm)
        # What the norms of all rotated heads multiply with, so that one product applies it.
        q, k = self.head_norm.weight, attention.k_norm.weight.detach().float()
        scales = torch.cat((q.expand(self.heads, -1), k.expand(self.kv_heads, -1)))
        self.head_scale = scales * self.head_dim**0.5
        # A scale of one is the common case: no product then.
        self.decoder_scale = None if bool((decoder_scale == 1).all()) else decoder_scale
        self.encoder_scale = None if bool((encoder_scale == 1).all()) else encoder_scale


class _SideBySide:
    """Linear modules of one input as one product."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._weight: Tensor | None = None
        plain = all(type(p) is nn.Linear and p.bias is None for p in parts)
        if plain and not any(hasattr(p, "_hf_hook") for p in parts):
            if len(parts) == 1:
                self._weight = parts[0].weight.data
                return
            self._weight = torch.cat([p.weight.data for p in parts])
            sizes = [p.weight.shape[0] for p in parts]
            for part, view in zip(parts, torch.split(self._weight, sizes), strict=True):
                part.weight.data = view

    def __call__(self, x: Tensor) -> Tensor:
        if self._weight is not None:
            return F.linear(x, self._weight)
        return torch.cat([part(x) for part in self._parts], -1)


class _Norm:
    """A root mean square norm of transformers' over vectors of a given size, in float32.

    Of four operations instead of eight: x / sqrt(|x|^2 + D eps), times sqrt(D) and the weight.
    """

    def __init__(self, module: Any) -> None:
        self.weight: Tensor = module.weight.detach().float()
        self._scale: Tensor = self.weight * len(self.weight) ** 0.5
        self._floor = self._scale.new_tensor((len(self.weight) * module.eps) ** 0.5)

    def __call__(self, x: Tensor) -> Tensor:
        return (self.unit(x) * self._scale).to(x.dtype)

    def unit(self, x: Tensor) -> Tensor:
        """Return float32 vectors [..., D] of length 1, but shorter where they are next to 0."""
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return x / torch.hypot(length, self._floor)


def _before_attention(
    layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Norm, project, norm each head, rotate. x [T, D] -> q [T, H, hd], k and v [T, Hkv, hd]."""
    heads = layer.qkv(layer.input_norm(x)).view(len(x), -1, layer.head_dim)
    unit = layer.head_norm.unit(heads)
    rotated = layer.heads + layer.kv_heads
    # Where keys and values share a projection, a value is the key without its norm's weight.
    v = unit[:, layer.heads :] if layer.shares_kv else unit[:, rotated:]
    qk = (unit[:, :rotated] * layer.head_scale).to(x.dtype)
    turned = qk * cos + qk.roll(layer.head_dim // 2, -1) * sin
    v = (v * layer.head_dim**0.5).to(x.dtype)
    return turned[:, : layer.heads], turned[:, layer.heads :], v


def _after_attention(layer: _Layer, x: Tensor, mixed: Tensor) -> Tensor:
    """Everything of a layer behind its attention. x [T, D], mixed [T, H * hd] -> [T, D]."""
    x = x + layer.after_attention(layer.out(mixed))
    gate, up = layer.gate_up(layer.before_dense(x)).chunk(2, -1)
    dense = layer.down(layer.module.mlp.act_fn(gate) * up)
    routed = _experts(layer.module, x, layer.before_experts(x))
    return x + layer.after_both(layer.after_dense(dense) + layer.after_experts(routed))


def _experts(m: Any, x: Tensor, normed: Tensor) -> Tensor:
    if m.experts.num_experts > 1:
        _, weights, index = m.router(x)
        routed: Tensor = m.experts(normed, index, weights)
        return routed
    # A single expert has all of the router's weight: only its own scale is left of the routing.
    gate, up = F.linear(normed, m.experts.gate_up_proj[0]).chunk(2, -1)
    scale: Tensor = m.router.per_expert_scale
    return F.linear(m.experts.act_fn(gate) * up, m.experts.down_proj[0]) * scale
