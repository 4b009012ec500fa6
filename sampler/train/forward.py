"""The training forward and loss, written for speed over transformers' parameters. No sampling.

transformers' modules keep the weights; this file computes the same functions of them (a test
holds both together) with what a CPU needs: copies in a fast dtype made once per step, fused norms
and gates through `torch.compile`, one expert as a plain MLP, canvases as a batch with their own
prefix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import DiffusionGemmaForBlockDiffusion

from sampler.load import fast_dtype
from sampler.train.objective import Batch
from sampler.train.own_steps import OwnSteps, Predicted, advance, pin_soft, predict

# So many queries attend together.
QUERIES = 256


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
def _gate(gate: Tensor, up: Tensor) -> Tensor:
    gate32 = gate.float()
    # gelu_pytorch_tanh, with tanh(z) written as 2 sigmoid(2 z) - 1: one exponential, no tanh.
    inner = 1.5957691216057308 * (gate32 + 0.044715 * gate32 * gate32 * gate32)
    return (gate32 * torch.sigmoid(inner) * up.float()).to(gate.dtype)


def _gated(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Return a gated MLP, its halves multiplied apart: a join is slow to go back through."""
    return F.linear(_gate(F.linear(x, gate), F.linear(x, up)), down)


@dataclass(frozen=True)
class _Part:
    """Some queries of a window, the clean keys that any of them sees, and what hides the others."""

    rows: slice
    seen: slice
    mask: Tensor


def _added(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
        hidden, -torch.inf
    )


class _Attention(torch.autograd.Function):
    """Attention of some windows, part by part, and the way back through it.

    A CPU multiplies matrices many times faster than its fused attention does, and the scores of so
    few queries stay in its cache. Written out, because autograd makes a zero tensor as long as the
    window for each part of the keys that it goes back through.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, own_k: Tensor | None, own_v: Tensor | None,
        plans: list[list[_Part]],
    ) -> Tensor:  # fmt: skip
        """Attend: q [B, H, T, hd] to k, v [B, H, L, hd], own_k, own_v [B, H, T, hd] or None."""
        out, shares = torch.empty_like(q), []
        for b, part in _each(plans):
            keys, values = _seen(k, own_k, b, part), _seen(v, own_v, b, part)
            scores = torch.baddbmm(part.mask, q[b][:, part.rows], keys.transpose(-1, -2))
            shares.append(torch.softmax(scores, -1))
            out[b][:, part.rows] = shares[-1] @ values
        ctx.save_for_backward(q, k, v, own_k, own_v, *shares)
        ctx.plans = plans
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of q, k, v, own_k and own_v."""
        q, k, v, own_k, own_v, *shares = ctx.saved_tensors
        grad_q = torch.empty_like(q)
        grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
        own = None if own_k is None else (torch.empty_like(own_k), torch.empty_like(own_v))
        for (b, part), share in zip(_each(ctx.plans), shares, strict=True):
            keys, values = _seen(k, own_k, b, part), _seen(v, own_v, b, part)
            above = grad[b][:, part.rows]
            scores = torch.ops.aten._softmax_backward_data(
                above @ values.transpose(-1, -2), share, -1, share.dtype
            )
            grad_q[b][:, part.rows] = scores @ keys
            of_keys = scores.transpose(-1, -2) @ q[b][:, part.rows]
            of_values = share.transpose(-1, -2) @ above
            before = part.seen.stop - part.seen.start
            grad_k[b][:, part.seen] += of_keys[:, :before]
            grad_v[b][:, part.seen] += of_values[:, :before]
            if own is not None:  # only this part sees them
                own[0][b][:, part.rows] = of_keys[:, before:]
                own[1][b][:, part.rows] = of_values[:, before:]
        return grad_q, grad_k, grad_v, *(own or (None, None)), None


def _each(plans: list[list[_Part]]) -> Iterator[tuple[int, _Part]]:
    return ((b, part) for b, parts in enumerate(plans) for part in parts)


def _seen(shared: Tensor, own: Tensor | None, b: int, part: _Part) -> Tensor:
    before = shared[b][:, part.seen]
    return before if own is None else torch.cat((before, own[b][:, part.rows]), 1)


def _attention(
    q: Tensor, k: Tensor, v: Tensor, own: tuple[Tensor, Tensor] | None, plans: list[list[_Part]]
) -> Tensor:
    mixed: Tensor = _Attention.apply(q, k, v, *(own or (None, None)), plans)  # type: ignore[no-untyped-call]
    return mixed


class TrainingForward:
    """Losses of a batch under a `DiffusionGemmaForBlockDiffusion` with one expert and no GQA.

    `fast_dtype` is the one in which the model's device multiplies fastest.
    """

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
        self.kinds = sorted(set(self.shape.sliding))
        device = decoder.embed_tokens.weight.device
        self.fast_dtype = fast_dtype(device.type)
        positions = torch.arange(max_positions, device=device)[None]
        like = torch.zeros(1, device=device)
        self.rotary = [
            tuple(table[0] for table in decoder.rotary_emb(like, positions, kind))
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
        self,
        w: dict[str, Tensor],
        batch: Batch,
        self_condition: bool,
        temperature: float,
        own: OwnSteps | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return (causal loss on the clean copy, denoising loss on the canvases), in nats.

        With `self_condition`, a first pass without gradient feeds its tempered prediction to the
        second one, except in the canvases of pure noise, which stand for a first denoising step.
        With `own`, the canvases go so many steps along the sampler's way first, conditioned so.
        """
        device = w["embed_tokens.weight"].device
        clean = torch.from_numpy(batch.clean).to(device)
        hidden, cache = self.encode(w, clean)
        causal = _mean_loss(self, w, hidden[:, :-1], clean[:, 1:], None)
        soft = None
        with torch.no_grad():
            if own is not None:
                batch, soft = self._walk(w, batch, cache, own)
            elif self_condition:
                uniform = torch.zeros(batch.noisy.shape, device=device).flatten(0, 1)
                soft, _ = self._predict(w, batch, cache, None, temperature, uniform)
                keep = torch.from_numpy(~batch.pure).to(device, soft.dtype).view(-1, 1, 1)
                soft = soft * keep
        hidden = self.decode(w, batch, cache, soft)
        target = torch.from_numpy(batch.target).to(device)
        weight = torch.from_numpy(batch.weight).to(device)
        return causal, _mean_loss(self, w, hidden, target, weight)

    def _walk(
        self, w: dict[str, Tensor], batch: Batch, cache: list[tuple[Tensor, Tensor]], own: OwnSteps
    ) -> tuple[Batch, Tensor | None]:
        """Take the sampler's own steps; returns the canvases and what conditions the next one."""
        embed = w["embed_tokens.weight"]
        generator = torch.Generator(embed.device).manual_seed(own.seed)
        shape, soft = torch.Size([batch.noisy[..., 0].size, batch.noisy.shape[-1]]), None
        for _ in range(own.steps):
            uniform = torch.rand(shape, generator=generator, device=embed.device)
            fresh = torch.randint(0, len(embed), shape, generator=generator, device=embed.device)
            soft, said = self._predict(w, batch, cache, soft, own.temperature, uniform)
            batch = advance(batch, said, own, fresh)
        return batch, soft

    def _predict(
        self,
        w: dict[str, Tensor],
        batch: Batch,
        cache: list[tuple[Tensor, Tensor]],
        soft: Tensor | None,
        temperature: float,
        uniform: Tensor,
    ) -> tuple[Tensor, Predicted]:
        """Return what conditions the next pass, scaled [N, C, D], and what this one says."""
        embed = w["embed_tokens.weight"]
        raw = F.linear(self.decode(w, batch, cache, soft), embed)
        said = predict(raw, self.shape.softcap, temperature, uniform, embed)
        return pin_soft(said.soft, batch, embed) * self.shape.embed_scale, said

    def encode(
        self, w: dict[str, Tensor], clean: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run the causal side. clean [B, L] -> hidden [B, L, D] and per layer keys, values."""
        length = clean.shape[1]
        x = F.embedding(clean, w["embed_tokens.weight"]) * self.shape.embed_scale
        position = torch.arange(length, device=clean.device)
        plans = {sliding: self._plan_causal(position, sliding, x.dtype) for sliding in self.kinds}
        cache = []
        for index, sliding in enumerate(self.shape.sliding):
            q, k, v = self._qkv(w, index, x, position)
            cache.append((k, v))
            mixed = _attention(q, k, v, None, [plans[sliding]] * len(q))
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
        windows, _, size = batch.noisy.shape
        device = w["embed_tokens.weight"].device
        noisy = torch.from_numpy(batch.noisy).to(device).reshape(windows, -1)
        offset = torch.from_numpy(batch.offset).to(device)
        x = F.embedding(noisy, w["embed_tokens.weight"]) * self.shape.embed_scale
        x = self._self_condition(w, x, None if soft is None else soft.view_as(x))
        positions = (offset[..., None] + torch.arange(size, device=device)).reshape(windows, -1)
        plans = {
            sliding: [self._plan_canvases(row, size, sliding, x.dtype) for row in batch.offset]
            for sliding in self.kinds
        }
        for index, sliding in enumerate(self.shape.sliding):
            q, k, v = self._qkv(w, index, x, positions)
            mixed = _attention(q, *cache[index], (k, v), plans[sliding])
            x = self._rest(w, index, x, mixed)
        return _norm(x, w["norm.weight"], self.shape.eps).view(-1, size, x.shape[-1])

    def _plan_causal(self, position: Tensor, sliding: bool, dtype: torch.dtype) -> list[_Part]:
        """Cut the queries of a window into parts that each see few keys."""
        parts = []
        for start in range(0, len(position), QUERIES):
            rows = position[start : start + QUERIES]
            first = max(0, start - self.shape.window + 1) if sliding else 0
            seen = slice(first, start + len(rows))
            ahead = position[seen] - rows[:, None]
            mask = (ahead > 0) | (ahead <= -self.shape.window if sliding else ahead > 0)
            parts.append(_Part(slice(start, start + len(rows)), seen, _added(mask, dtype)))
        return parts

    def _plan_canvases(
        self, offset: NDArray[np.int64], size: int, sliding: bool, dtype: torch.dtype
    ) -> list[_Part]:
        """Cut a window's canvases, sorted by `offset` [N], into parts that lie near each other.

        All of a canvas sees the tokens before it, in a sliding layer the last window - 1 of them:
        the rule by which the released model was trained.
        """
        together, parts = max(1, QUERIES // size), []
        device = self.rotary[0][0].device
        for start in range(0, len(offset), together):
            at = torch.from_numpy(offset[start : start + together]).to(device)
            first = max(0, int(at[0]) - self.shape.window + 1) if sliding else 0
            seen = slice(first, int(at[-1]))
            key = torch.arange(seen.start, seen.stop, device=device)
            before = key >= at[:, None]
            if sliding:
                before |= key <= at[:, None] - self.shape.window
            other = ~torch.eye(len(at), dtype=torch.bool, device=device)
            mask = torch.cat((before, other.repeat_interleave(size, 1)), 1)
            rows = slice(start * size, (start + len(at)) * size)
            parts.append(_Part(rows, seen, _added(mask.repeat_interleave(size, 0), dtype)))
        return parts

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
        v = _norm(v, torch.ones(s.head_dim, device=v.device), s.eps)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def _rest(self, w: dict[str, Tensor], index: int, x: Tensor, mixed: Tensor) -> Tensor:
        """Everything of a layer behind its attention. x [B, T, D], mixed [B, H, T, hd]."""
        at, eps = f"layers.{index}.", self.shape.eps
        out = F.linear(mixed.transpose(1, 2).flatten(2), w[at + "self_attn.o_proj.weight"])
        x = _add_norm(x, out, w[at + "post_attention_layernorm.weight"], eps)
        h = _norm(x, w[at + "pre_feedforward_layernorm.weight"], eps)
        dense = _gated(h, *(w[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up", "down")))
        h = _norm(x, w[at + "pre_feedforward_layernorm_2.weight"], eps)
        gate, up = w[at + "experts.gate_up_proj"][0].chunk(2)
        expert = _gated(h, gate, up, w[at + "experts.down_proj"][0])
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
            h = _norm(soft, w[at + "pre_norm.weight"], eps)
            x = x + _gated(h, *(w[f"{at}{name}_proj.weight"] for name in ("gate", "up", "down")))
        return _norm(x, torch.ones(x.shape[-1], device=x.device), eps)

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
    # tanh by way of a sigmoid, which is several times faster on a CPU. The softmax of capped
    # logits needs no maximum taken off: exp(30) is far from overflow.
    capped = cap - 2 * cap * torch.sigmoid(raw.float() * (-2 / cap))
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
