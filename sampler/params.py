"""Frozen, checked sampling parameters. No tensors and no model here."""

from dataclasses import dataclass


class InvalidParameter(ValueError):
    """A sampling parameter or an input of the sampler is out of range; the message shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How to denoise; the defaults are those of the released DiffusionGemma.

    Temperatures fall linearly from `t_max` to `t_min` over `temperature_steps` steps (None:
    `max_steps`, as in transformers; a fixed number keeps the step cap and the heat apart).
    `entropy_bound` and `confidence_threshold` are in nats; see `canvas.accept` and
    `canvas.settled`. Raises InvalidParameter for a value out of range.
    """

    canvas_length: int = 256
    max_new_tokens: int = 256
    max_steps: int = 48
    temperature_steps: int | None = None
    t_min: float = 0.4
    t_max: float = 0.8
    entropy_bound: float = 0.1
    stability_threshold: int = 1
    confidence_threshold: float = 0.005
    eos_token_ids: tuple[int, ...] = (1, 106, 50)
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("canvas_length", 1),
            ("max_new_tokens", 1),
            ("max_steps", 1),
            ("stability_threshold", 0),
            ("pad_token_id", 0),
        ):
            value = getattr(self, name)
            if value < least:
                raise InvalidParameter(f"{name} must be at least {least}, not {value}")
        if self.temperature_steps is not None and self.temperature_steps < self.max_steps:
            raise InvalidParameter(
                f"temperature_steps must be at least max_steps ({self.max_steps}), "
                f"not {self.temperature_steps}"
            )
        if not 0 < self.t_min <= self.t_max:
            raise InvalidParameter(
                f"temperatures need 0 < t_min <= t_max, not {self.t_min} and {self.t_max}"
            )
        if not self.entropy_bound > 0:
            raise InvalidParameter(f"entropy_bound must be above 0, not {self.entropy_bound}")
        if not self.confidence_threshold >= 0:
            raise InvalidParameter(
                f"confidence_threshold must be at least 0, not {self.confidence_threshold}"
            )

    @property
    def num_blocks(self) -> int:
        """How many canvases `max_new_tokens` takes at most."""
        return -(-self.max_new_tokens // self.canvas_length)

    def temperature(self, step: int) -> float:
        """Return the temperature of denoising step `step`, counted from 1."""
        total = self.temperature_steps or self.max_steps
        return self.t_min + (self.t_max - self.t_min) * ((total - step + 1) / total)
