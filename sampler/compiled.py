"""Which forward pass a model gets: compiled where that works, plain elsewhere. No forward here.

On an accelerator a layer around its attention is some twenty small kernels, whose launches cost as
much as their work; compiled they are a few. What is compiled sees nothing of a request but its
number of tokens, so it is compiled once for all requests (a test holds that).
"""

import logging
from functools import partial
from typing import Any

import torch

from sampler.forward import Forward, Span

log = logging.getLogger("sampler.compiled")


def forward(model: Any) -> Forward:
    """Return the fastest forward pass of a `DiffusionGemmaForBlockDiffusion` that runs here.

    A CPU's is plain: compiling takes longer there than it saves, and needs a C++ compiler.
    """
    plain = Forward(model)
    if plain.device.type == "cpu":
        return plain
    return tried(model, plain)


def tried(model: Any, plain: Forward) -> Forward:
    """Return the compiled forward pass if it compiles and gives numbers, else the plain one."""
    try:
        compiled = Forward(model, partial(torch.compile, dynamic=True))
        ids = torch.arange(8, device=compiled.device)
        span = Span(compiled.new_kv(), (8,))
        hidden = (compiled.encode([span], ids), compiled.decode([span], ids, None))
        if all(bool(h.isfinite().all()) for h in hidden):
            return compiled
        log.warning("the compiled model gives no numbers; going on with the plain one")
    except Exception as exc:  # whatever a compiler may raise: the plain one needs none
        log.warning("the model cannot be compiled here, which makes it slower: %s", exc)
    return plain
