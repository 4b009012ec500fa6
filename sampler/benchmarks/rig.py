"""One model twice: for our engine, and as transformers' own object; and how each is asked.

Ours lays weights of the loaded modules side by side, so transformers gets modules of its own.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sampler import compiled
from sampler import load as loading
from sampler.cache import PrefixCache
from sampler.canvas import Noise
from sampler.engine import Ended, Engine, Failed, Request
from sampler.events import Event
from sampler.forward import Denoiser
from sampler.params import SamplingParams
from sampler.prompts import Prompts

# What the encoded texts may take, and the rows at once; as the daemon has it by default.
CACHE_BYTES = 512 * 2**20
ROWS = 32
# How many requests may wait; more than any section ever has waiting.
QUEUE = 100_000

# transformers wants an entropy above 0 to stop below; no text of a real model is that sure.
NEVER = 1e-9

# Is told in a few words what is being measured.
Told = Callable[[str], None]


@dataclass(frozen=True)
class Rig:
    """A model, asked through our engine and through transformers' `generate`."""

    model: loading.LoadedModel
    denoiser: Denoiser
    reference: Any
    prompts: Prompts

    @cached_property
    def text(self) -> str:
        """The sampler's own sources: real code that is at hand everywhere and trained nobody."""
        files = sorted(Path(loading.__file__).parent.glob("*.py"))
        return "\n".join(file.read_text(encoding="utf-8") for file in files)

    @cached_property
    def ids(self) -> list[int]:
        """The text's token ids."""
        return self.prompts.encode(self.text)

    @property
    def text_hash(self) -> str:
        """Tells whether two runs read the same text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def engine(self, cache: PrefixCache | None = None) -> Engine:
        """Return an engine with nothing encoded yet."""
        if cache is None:
            cache = PrefixCache(self.denoiser.new_kv, CACHE_BYTES)
        return Engine(self.denoiser, cache, rows=ROWS, queue=QUEUE)

    def noise(self, seeds: Sequence[int]) -> Noise:
        """Return the random numbers of rows, each with a seed of its own."""
        return Noise(seeds, self.denoiser.vocab_size, self.denoiser.device)

    def tensor(self, ids: Sequence[int]) -> Tensor:
        """Return ids as transformers wants them, [1, L]."""
        return torch.tensor([list(ids)], device=self.denoiser.device)


def build(name: str, *, device: str, dtype: str, quantize: loading.Quantize) -> Rig:
    """Load a model twice; raises UnusableModel."""
    ours, theirs = (
        loading.load(name, device=device, dtype=dtype, quantize=quantize) for _ in range(2)
    )
    return Rig(ours, compiled.forward(ours.model), theirs.model, Prompts(ours.tokenizer))


def fixed(params: SamplingParams, *, canvas: int, steps: int, blocks: int = 1) -> SamplingParams:
    """Return parameters that take exactly `steps` steps for each of `blocks` canvases."""
    return replace(
        params,
        canvas_length=canvas,
        max_new_tokens=canvas * blocks,
        max_steps=steps,
        temperature_steps=None,
        confidence_threshold=0.0,
        eos_token_ids=(),
    )


def answer(engine: Engine, request: Request) -> list[Event]:
    """Let the engine do one request alone; returns its events and raises what failed."""
    engine.submit("alone", request)
    return [event for _, event in finish(engine)]


def finish(engine: Engine) -> list[tuple[str, Event]]:
    """Step until nothing is left to do; returns all events and raises what failed."""
    events: list[tuple[str, Event]] = []
    while not engine.idle:
        for key, event in engine.step():
            if isinstance(event, Failed):
                raise event.error
            if not isinstance(event, Ended):
                events.append((key, event))
    return events


def generate(model: Any, ids: Tensor, params: SamplingParams, *, cache: str | None = None) -> Any:
    """Ask transformers for one canvas behind ids [B, L], taking all the steps there are.

    `cache` "static" compiles. Raises RuntimeError where it stopped early, for then its time would
    be that of another amount of work.
    """
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        EntropyBoundSamplerConfig,
    )

    model.config.canvas_length = params.canvas_length
    out = model.generate(
        ids,
        max_new_tokens=params.canvas_length,
        max_denoising_steps=params.max_steps,
        t_min=params.t_min,
        t_max=params.t_max,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=params.entropy_bound),
        # As many equal canvases as there are steps never come: a model may well be sure enough.
        stability_threshold=params.max_steps,
        confidence_threshold=NEVER,
        pad_token_id=params.pad_token_id,
        cache_implementation=cache,
    )
    written = (out.sequences[:, ids.shape[1] :] != params.pad_token_id).sum(-1)
    # Tokens for each forward pass are all it tells; where a row has none, neither does it tell.
    took = (written / out.tokens_per_forward)[written > 0].round()
    if bool((took != params.max_steps).any()):
        raise RuntimeError(f"transformers took {took.tolist()} steps instead of {params.max_steps}")
    return out
