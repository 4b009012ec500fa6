"""What messages of several kinds are made of: ids, names, sampling, times. No message stands here.

The evolution rule of `wire` holds for them too.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Role = Literal["system", "user", "assistant"]
Trigger = Literal["automatic", "invoked"]
Priority = Literal["interactive", "bulk"]
ModelState = Literal["loading", "ready", "restarting", "failed", "asleep"]
Reason = Literal[
    "eos",
    "length",
    "settled",
    "steps",
    "deadline",
    "reported",
    "stopping",
    "kept",
    "deleted",
]


class Sampling(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request may ask of the sampler; None leaves a value to the configuration or model."""

    max_steps: Annotated[int, Meta(ge=1, le=1024)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=65536)] | None = None
    canvas_length: Annotated[int, Meta(ge=8, le=4096)] | None = None
    entropy_bound: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Timings(Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds, and how many tokens and denoising steps it bought."""

    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    denoise_ms: float = 0.0
    total_ms: float = 0.0
    prompt_tokens: int = 0
    tokens: int = 0
    steps: int = 0
