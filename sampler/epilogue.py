"""What a step's logits say of each position: the end of a forward pass. No canvas, no choice here.

    raw logits -> soft-capped, forbidden tokens struck out, divided by the temperature
               -> the most likely token, a drawn token, the entropy, the whole distribution

Random numbers come in as `uniform`, so that a text depends on its own generator alone and the same
numbers give the same tokens on every device. `read_torch` is the plain way and the CPU's;
`read_triton` is one kernel (`epilogue_kernel`) and takes a row of logits through the GPU once.

Both compute with the *cost* of a token, which the soft cap gives more exactly than logits:
cap * tanh(x / cap) = cap - 2 * cap * sigmoid(-2 * x / cap), and a distribution does not ask for
the constant. So the cost is the sigmoid, least for the likeliest token and without rounding there
(a tanh near 1 has lost its last digits, and takes a CPU six times as long).
"""

import logging
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

log = logging.getLogger("sampler.epilogue")

# The cost of a forbidden token. Large, so that its probability underflows to exactly 0, and
# finite: an infinite one would turn the entropy into NaN.
FORBIDDEN = 1e4

# So many logits are read at once: a CPU's cache then holds them from one operation to the next.
_AT_ONCE = 1 << 20

# Tokens are summed up and searched in blocks of at most so many, then in one block alone.
_BLOCK = 128


@dataclass(frozen=True)
class Reading:
    """What one step's logits say of T positions.

    `sampled` [T] int64: drawn from the distribution by inverse CDF. `likely` [T] int64: the most
    likely token, the lowest of equals. `entropy` [T] float32: of the distribution, in nats; NaN
    where a logit was infinite or NaN, and the rest of such a row then means nothing (its tokens are
    valid ids). `probs` [T, V]: the distribution, tempered and soft-capped.
    """

    sampled: Tensor
    likely: Tensor
    entropy: Tensor
    probs: Tensor


def read(
    raw: Tensor,
    softcap: float | None,
    temperature: Tensor,
    uniform: Tensor,
    *,
    out_dtype: torch.dtype,
    forbidden: Tensor | None = None,
) -> Reading:
    """Read raw logits [T, V], of any float dtype and before soft-capping.

    `temperature` [T] float32 is above 0. `uniform` [T], float32 or float64 in [0, 1], draws the
    tokens: the first whose cumulated probability is above it. `probs` comes in `out_dtype`.
    `forbidden` [T, V] is true for tokens that a position may not take; not for all of a row.
    """
    way = read_triton if raw.is_cuda and _kernel_runs(raw.device) else read_torch
    return way(raw, softcap, temperature, uniform, out_dtype=out_dtype, forbidden=forbidden)


def read_torch(
    raw: Tensor,
    softcap: float | None,
    temperature: Tensor,
    uniform: Tensor,
    *,
    out_dtype: torch.dtype,
    forbidden: Tensor | None = None,
) -> Reading:
    """Do what `read` does by plain torch on any device, some rows at a time."""
    rows, vocab = raw.shape
    raw = raw.contiguous()
    probs = torch.empty_like(raw, dtype=out_dtype)
    at_once = max(1, _AT_ONCE // vocab)
    parts = [slice(start, start + at_once) for start in range(0, max(1, rows), at_once)]
    read_parts = [
        _read_rows(
            raw[part],
            softcap,
            temperature[part],
            uniform[part],
            None if forbidden is None else forbidden[part],
            probs[part],
        )
        for part in parts
    ]
    sampled, likely, entropy = (torch.cat(column) for column in zip(*read_parts, strict=True))
    return Reading(sampled, likely, entropy, probs)


def read_triton(
    raw: Tensor,
    softcap: float | None,
    temperature: Tensor,
    uniform: Tensor,
    *,
    out_dtype: torch.dtype,
    forbidden: Tensor | None = None,
) -> Reading:
    """Do what `read` does by one kernel. Raises ImportError where triton is not installed."""
    from sampler.epilogue_kernel import BLOCK, WARPS, read_row

    rows, vocab = raw.shape
    raw = raw.contiguous()
    struck = raw if forbidden is None else forbidden.contiguous().view(torch.uint8)
    reading = Reading(
        sampled=torch.empty(rows, dtype=torch.int64, device=raw.device),
        likely=torch.empty(rows, dtype=torch.int64, device=raw.device),
        entropy=torch.empty(rows, dtype=torch.float32, device=raw.device),
        probs=torch.empty_like(raw, dtype=out_dtype),
    )
    if rows == 0:
        return reading
    # Triton launches on the current device.
    with torch.cuda.device(raw.device if raw.is_cuda else -1):
        read_row[(rows,)](
            raw,
            struck,
            temperature.contiguous(),
            uniform.contiguous(),
            reading.sampled,
            reading.likely,
            reading.entropy,
            reading.probs,
            vocab,
            softcap or 0.0,
            FORBIDDEN,
            HAS_CAP=softcap is not None,
            HAS_FORBIDDEN=forbidden is not None,
            BLOCK=BLOCK,
            num_warps=WARPS,
        )
    return reading


@cache
def _kernel_runs(device: torch.device) -> bool:
    """Tell whether the kernel runs here; triton also needs a C compiler when it first runs one."""
    one = torch.ones(1, device=device)
    try:
        read_triton(one[:, None], None, one, one, out_dtype=torch.float32).sampled.tolist()
    except ImportError as error:
        log.warning("no triton on %s, so plain torch reads the logits, slower: %s", device, error)
    except Exception as error:
        # Whatever keeps triton from building a kernel, the plain way needs nothing of it.
        log.warning(
            "triton does not work on %s, so plain torch reads the logits, slower: %s: %s",
            device,
            type(error).__name__,
            error,
        )
    else:
        return True
    return False


def _read_rows(
    raw: Tensor,
    softcap: float | None,
    temperature: Tensor,
    uniform: Tensor,
    forbidden: Tensor | None,
    probs: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill `probs` [n, V]; return sampled, likely and entropy [n] of raw [n, V]."""
    logits = raw.float()
    if softcap is None:
        cost, scale = -logits, 1 / temperature.float()
    else:
        cost = (logits * (-2 / softcap)).sigmoid_()
        scale = 2 * softcap / temperature.float()
    if forbidden is not None:
        cost.masked_fill_(forbidden, FORBIDDEN)
    least, likely = _least(cost)
    # 0 for a sound row, and NaN for one with an infinite logit, which the sigmoid would hide.
    least += logits.sum(-1, keepdim=True) * 0
    tempered = torch.sub(least, cost, out=cost).mul_(scale[:, None])
    p = probs if probs.dtype == torch.float32 else torch.empty_like(cost)
    torch.softmax(tempered, -1, out=p)
    # The likeliest token's tempered logit is 0, so the logarithm of the sum is that of its p.
    log_sum = -p.gather(-1, likely)[:, 0].log()
    entropy = log_sum - tempered.mul_(p).sum(-1)
    sampled = _draw(p, uniform[:, None]).masked_fill_(entropy.isnan(), 0)
    if p is not probs:
        probs.copy_(p)
    return sampled, likely[:, 0], entropy


def _least(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least cost of each row and where it first stands, both [n, 1]. cost [n, V].

    A minimum without its place is quick to find: first the block's, then the place in one block.
    """
    blocks = _in_blocks(cost)
    of_blocks = blocks.amin(-1)
    block = of_blocks.argmin(-1, keepdim=True)
    inside = _take(blocks, block).argmin(-1, keepdim=True)
    return of_blocks.gather(-1, block), block * blocks.shape[-1] + inside


def _draw(p: Tensor, uniform: Tensor) -> Tensor:
    """Return the first token [n] whose cumulated p [n, V] is above `uniform` [n, 1] of the sum."""
    # Apple's GPUs have no float64.
    exact = torch.float32 if p.device.type == "mps" else torch.float64
    blocks = _in_blocks(p)
    mass = blocks.sum(-1).cumsum(-1, dtype=exact)
    target = uniform.to(exact) * mass[:, -1:]
    block = _first_above(mass, target)
    before = torch.where(block > 0, mass.gather(-1, (block - 1).clamp_(min=0)), 0)
    inside = _first_above(_take(blocks, block).cumsum(-1, dtype=exact), target - before)
    return (block * blocks.shape[-1] + inside)[:, 0]


def _first_above(cumulated: Tensor, target: Tensor) -> Tensor:
    """Return where cumulated [n, k] first exceeds target [n, 1], or else where it last grows."""
    total = cumulated[:, -1:].contiguous()
    above = torch.searchsorted(cumulated, target, right=True)
    grown = torch.searchsorted(cumulated, total)
    # A row of NaN is sorted nowhere.
    return torch.minimum(above, grown).clamp_(max=cumulated.shape[-1] - 1)


def _in_blocks(x: Tensor) -> Tensor:
    """[n, V] -> [n, V / b, b], b the largest power of two that fits."""
    rows, vocab = x.shape
    size = math.gcd(vocab, _BLOCK)
    return x.view(rows, vocab // size, size)


def _take(blocks: Tensor, block: Tensor) -> Tensor:
    """Return one block of each row: blocks [n, k, b], block [n, 1] -> [n, b]."""
    return blocks[torch.arange(len(blocks), device=blocks.device), block[:, 0]]
