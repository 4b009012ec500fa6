"""The training forward and loss, written for speed over transformers' parameters. No sampling.

transformers' modules keep the weights; this file computes the same functions of them (a test
holds both together) with what a CPU needs: bf16 copies made once per step, fused norms and gates
through `torch.compile`, one expert as a plain MLP, canvases as a batch with their own prefix.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DiffusionGemmaForBlockDiffusion

from sampler.train.objective import Batch


@dataclass(frozen=True)
class Shape:
    """The numbers of the architecture that the forward needs."""

    heads: int
    head_dim: int
    window: int
    sliding: tuple[bool, ...]
    embed_scale: float
    softcap: float
    eps: float


@torch.compile(dynamic=True)
def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


@torch.compile(dynamic=True)
def _add_norm(residual: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    x32 = x.float()
    normed = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps) * weight
    return (residual.float() + normed).to(x.dtype)


@torch.compile(dynamic=True)
def _sum_norm(
    residual: Tensor, a: Tensor, wa: Tensor, b: Tensor, wb: Tensor, w: Tensor, eps: float
) -> Tensor:
    a32, b32 = a.float(), b.float()
    both = a32 * torch.rsqrt(a32.square().mean(-1, keepdim=True) + eps) * wa
    both = both + b32 * torch.rsqrt(b32.square().mean(-1, keepdim=True) + eps) * wb
    normed = both * torch.rsqrt(both.square().mean(-1, keepdim=True) + eps) * w
    return (residual.float() + normed).to(a.dtype)


@torch.compile(dynamic=True)
def _rotate(x: Tensor, weight: Tensor, cos: Tensor, sin: Tensor, eps: float) -> Tensor:
    """Norm over the head, then rotary embedding. x [..., T, H, hd], cos and sin [..., T, 1, hd]."""
    x32 = x.float()
    x32 = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps) * weight
    left, right = x32.chunk(2, dim=-1)
    return (x32 * cos + torch.cat((-right, left), -1) * sin).to(x.dtype)


@torch.compile(dynamic=True)
def _gate(both: Tensor) -> Tensor:
    gate, up = both.float().chunk(2, dim=-1)
    # gelu_pytorch_tanh, with tanh(z) written as 2 sigmoid(2 z) - 1: one exponential, no tanh.
    inner = 1.5957691216057308 * (gate + 0.044715 * gate * gate * gate)
    return (gate * torch.sigmoid(inner) * up).to(both.dtype)


class TrainingForward:
    """Losses of a batch under a `DiffusionGemmaForBlockDiffusion` with one expert and no GQA."""

    def __init__(self, model: DiffusionGemmaForBlockDiffusion, max_positions: int) -> None:
        self.model = model
        config = model.config.text_config
        decoder = model.model.decoder
        self.shape = Shape(
            heads=config.num_attention_heads,
            head_dim=config.head_dim,
            window=config.sliding_window,
            sliding=tuple(kind == "sliding_attention" for kind in config.layer_types),
            embed_scale=config.hidden_size**0.5,
            softcap=config.final_logit_softcapping,
            eps=config.rms_norm_eps,
        )
        positions = torch.arange(max_positions)[None]
        self.rotary = [
            tuple(table[0] for table in decoder.rotary_emb(torch.zeros(1), positions, kind))
            for kind in config.layer_types
        ]
        self.params = {
            name: p
            for name, p in decoder.named_parameters()
            if not name.endswith(("router.proj.weight", "router.scale"))
        }

    def cast(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return copies of the weights in `dtype` that gather the gradients of one step."""
        return {n: p.detach().to(dtype).requires_grad_() for n, p in self.params.items()}

    def collect(self, copies: dict[str, Tensor]) -> None:
        """Move the gradients of the copies to the master weights."""
        for name, param in self.params.items():
            grad = copies[name].grad
            param.grad = None if grad is None else grad.to(param.dtype)

    def losses(
        self, w: dict[str, Tensor], batch: Batch, self_condition: bool, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return (causal loss on the clean copy, denoising loss on the canvases), in nats.

        With `self_condition`, a first pass without gradient feeds its tempered prediction to the
        second one, except in the canvases of pure noise, which stand for a first denoising step.
        A pinned position is fed its own token, as the sampler does: the model is certain of it.
        """
        clean = torch.from_numpy(batch.clean)
        hidden, cache = self.encode(w, clean)
        causal = _mean_loss(self, w, hidden[:, :-1], clean[:, 1:], None)
        soft = None
        if self_condition:
            with torch.no_grad():
                first = self.decode(w, batch, cache, None)
                embed = w["embed_tokens.weight"]
                soft = torch.cat(
                    [
                        torch.softmax(self.logits(w, part).float() / temperature, -1).to(part.dtype)
                        @ embed
                        for part in torch.split(first, 64)
                    ]
                )
                pinned = torch.from_numpy(batch.weight == 0).reshape(*soft.shape[:2], 1)
                target = torch.from_numpy(batch.target).reshape(soft.shape[:2])
                soft = torch.where(pinned, F.embedding(target, embed), soft)
                keep = torch.from_numpy(~batch.pure).reshape(-1, 1, 1)
                soft = soft * self.shape.embed_scale * keep.to(soft.dtype)
        hidden = self.decode(w, batch, cache, soft)
        size = hidden.shape[1]
        target = torch.from_numpy(batch.target).reshape(-1, size)
        weight = torch.from_numpy(batch.weight).reshape(-1, size)
        return causal, _mean_loss(self, w, hidden, target, weight)

    def encode(
        self, w: dict[str, Tensor], clean: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run the causal side. clean [B, L] -> hidden [B, L, D] and per layer keys, values."""
        length = clean.shape[1]
        x = F.embedding(clean, w["embed_tokens.weight"]) * self.shape.embed_scale
        near = torch.ones(length, length, dtype=torch.bool).tril()
        near = near & ~near.tril(-self.shape.window)
        cache = []
        for index, sliding in enumerate(self.shape.sliding):
            q, k, v = self._qkv(w, index, x, torch.arange(length))
            cache.append((k, v))
            if sliding:
                mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=near, scale=1.0)
            else:
                mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            x = self._rest(w, index, x, mixed)
        return _norm(x, w["norm.weight"], self.shape.eps), cache

    def decode(
        self,
        w: dict[str, Tensor],
        batch: Batch,
        cache: list[tuple[Tensor, Tensor]],
        soft: Tensor | None,
    ) -> Tensor:
        """Run the bidirectional side on all canvases. -> hidden [B * N, C, D]."""
        windows, per_window, size = batch.noisy.shape
        noisy = torch.from_numpy(batch.noisy).reshape(-1, size)
        offset = torch.from_numpy(batch.offset).reshape(-1)
        x = F.embedding(noisy, w["embed_tokens.weight"]) * self.shape.embed_scale
        x = self._self_condition(w, x, soft)
        positions = offset[:, None] + torch.arange(size)
        row = torch.arange(windows).repeat_interleave(per_window)
        for index, sliding in enumerate(self.shape.sliding):
            q, k, v = self._qkv(w, index, x, positions)
            prefix, mask = self._prefix(cache[index], row, offset, sliding)
            mask = F.pad(mask, (0, size), value=True)[:, None, None, :]
            mixed = F.scaled_dot_product_attention(
                q,
                torch.cat((prefix[0], k), 2),
                torch.cat((prefix[1], v), 2),
                attn_mask=mask.expand(-1, 1, size, -1),
                scale=1.0,
            )
            x = self._rest(w, index, x, mixed)
        return _norm(x, w["norm.weight"], self.shape.eps)

    def _prefix(
        self, cache: tuple[Tensor, Tensor], row: Tensor, offset: Tensor, sliding: bool
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return each canvas's own keys and values of the clean copy, and which of them it sees."""
        keys, values = cache
        if not sliding:
            seen = torch.arange(keys.shape[2]) < offset[:, None]
            return (keys[row], values[row]), seen
        # The trained rule of sliding layers: all of a canvas sees the last window - 1 tokens.
        index = offset[:, None] + torch.arange(-(self.shape.window - 1), 0)
        at = index.clamp(min=0)
        keys = keys.transpose(1, 2)[row[:, None], at].transpose(1, 2)
        values = values.transpose(1, 2)[row[:, None], at].transpose(1, 2)
        return (keys, values), index >= 0

    def _qkv(
        self, w: dict[str, Tensor], index: int, x: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Project, norm and rotate. x [B, T, D] -> three of [B, H, T, hd]."""
        at, s = f"layers.{index}.self_attn.", self.shape
        h = _norm(x, w[f"layers.{index}.input_layernorm.weight"], s.eps)
        cos, sin = (table[positions][..., None, :] for table in self.rotary[index])
        split = (*x.shape[:2], s.heads, s.head_dim)
        q = F.linear(h, w[at + "q_proj.weight"]).view(split)
        k = F.linear(h, w[at + "k_proj.weight"]).view(split)
        name = at + "v_proj.weight"
        v = F.linear(h, w[name]).view(split) if name in w else k
        q = _rotate(q, w[at + "q_norm.weight"], cos, sin, s.eps)
        k = _rotate(k, w[at + "k_norm.weight"], cos, sin, s.eps)
        v = _norm(v, torch.ones(s.head_dim), s.eps)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def _rest(self, w: dict[str, Tensor], index: int, x: Tensor, mixed: Tensor) -> Tensor:
        """Everything of a layer behind its attention. x [B, T, D], mixed [B, H, T, hd]."""
        at, eps = f"layers.{index}.", self.shape.eps
        out = F.linear(mixed.transpose(1, 2).flatten(2), w[at + "self_attn.o_proj.weight"])
        x = _add_norm(x, out, w[at + "post_attention_layernorm.weight"], eps)
        h = _norm(x, w[at + "pre_feedforward_layernorm.weight"], eps)
        both = torch.cat((w[at + "mlp.gate_proj.weight"], w[at + "mlp.up_proj.weight"]))
        dense = F.linear(_gate(F.linear(h, both)), w[at + "mlp.down_proj.weight"])
        h = _norm(x, w[at + "pre_feedforward_layernorm_2.weight"], eps)
        expert = F.linear(
            _gate(F.linear(h, w[at + "experts.gate_up_proj"][0])), w[at + "experts.down_proj"][0]
        )
        # One expert has all the weight of the router, so only its own scale is left.
        expert = expert * w[at + "router.per_expert_scale"]
        return _sum_norm(
            x,
            dense,
            w[at + "post_feedforward_layernorm_1.weight"],
            expert,
            w[at + "post_feedforward_layernorm_2.weight"],
            w[at + "post_feedforward_layernorm.weight"],
            eps,
        )

    def _self_condition(self, w: dict[str, Tensor], x: Tensor, soft: Tensor | None) -> Tensor:
        at, eps = "self_conditioning.", self.shape.eps
        if soft is not None:
            both = torch.cat((w[at + "gate_proj.weight"], w[at + "up_proj.weight"]))
            h = _norm(soft, w[at + "pre_norm.weight"], eps)
            x = x + F.linear(_gate(F.linear(h, both)), w[at + "down_proj.weight"])
        return _norm(x, torch.ones(x.shape[-1]), eps)

    def logits(self, w: dict[str, Tensor], hidden: Tensor) -> Tensor:
        """Return soft-capped logits. hidden [..., D] -> [..., V]."""
        raw = F.linear(hidden, w["embed_tokens.weight"])
        return _softcap(raw, self.shape.softcap)


@torch.compile(dynamic=True)
def _softcap(raw: Tensor, cap: float) -> Tensor:
    return (torch.tanh(raw.float() / cap) * cap).to(raw.dtype)


@torch.compile(dynamic=True)
def _token_losses(raw: Tensor, target: Tensor, cap: float) -> Tensor:
    """Cross entropy of soft-capped logits. raw [T, V], target [T] -> [T]."""
    # The softmax of capped logits needs no maximum taken off: exp(30) is far from overflow.
    capped = torch.tanh(raw.float() / cap) * cap
    total = torch.exp(capped).sum(-1).log()
    return total - capped.gather(-1, target[:, None])[:, 0]


def _mean_loss(
    forward: TrainingForward,
    w: dict[str, Tensor],
    hidden: Tensor,
    target: Tensor,
    weight: Tensor | None,
) -> Tensor:
    hidden, target = hidden.reshape(-1, hidden.shape[-1]), target.reshape(-1)
    if weight is not None:
        weight = weight.reshape(-1)
        chosen = weight.nonzero()[:, 0]  # pinned positions carry no loss: do not pay for them
        hidden, target, weight = hidden[chosen], target[chosen], weight[chosen]
    raw = F.linear(hidden, w["embed_tokens.weight"])
    losses = _token_losses(raw, target, forward.shape.softcap)
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()
