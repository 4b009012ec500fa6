"""The Denoiser protocol, and its implementation over a transformers checkpoint. No sampling here.

    prefill(ids)                  causal encoder: the prompt's keys and values
    denoise(prefix, ids, signal)  bidirectional decoder: one step's logits; reads the prefix only
    commit(prefix, ids)           causal encoder: a finished canvas joins the prefix; what the
                                  causal side thinks of each of its tokens falls out

transformers' modules keep the weights, so that whatever it loads (sizes, dtypes, quantization,
`device_map`) is served the same way.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from sampler.params import InvalidParameter, SamplingParams

NANO = Path(__file__).parent / "nano"


class UnusableModel(Exception):
    """The model cannot be loaded as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Prefix:
    """Keys and values of `length` encoded tokens for `batch` rows; owned by one request.

    `last` [B, D] is the encoder's output at the last token, which predicts the next one.
    """

    cache: Any
    length: int
    batch: int
    last: Tensor | None = None


class Denoiser(Protocol):
    """What the sampler needs of a model; tests bring small ones of their own."""

    vocab_size: int
    device: torch.device

    def prefill(self, ids: Tensor) -> Prefix:
        """Encode a prompt, ids [B, T]."""

    def commit(self, prefix: Prefix, ids: Tensor) -> tuple[Prefix, Tensor]:
        """Encode ids [B, C] behind `prefix`; returns the longer prefix and log p [B, C] in nats."""

    def widen(self, prefix: Prefix, batch: int) -> Prefix:
        """Return a prefix of one row as one of `batch` equal rows."""

    def denoise(self, prefix: Prefix, ids: Tensor, signal: Tensor | None) -> Tensor:
        """Return float32 logits [B, C, V] of the canvas ids [B, C]; `signal` [B, C, V] or None."""


class TransformersDenoiser:
    """A `DiffusionGemmaForBlockDiffusion` of transformers as a Denoiser."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocab_size: int = model.config.text_config.vocab_size
        self.device: torch.device = model.device
        self._signal_dtype = model.model.decoder.embed_tokens.weight.dtype

    @torch.no_grad()
    def prefill(self, ids: Tensor) -> Prefix:
        """Encode a prompt, ids [B, T]."""
        return self._encode(None, ids)[0]

    @torch.no_grad()
    def widen(self, prefix: Prefix, batch: int) -> Prefix:
        """Repeat the one row of `prefix`; the prefix given is used up."""
        if batch == 1:
            return prefix
        assert prefix.last is not None
        prefix.cache.batch_repeat_interleave(batch)
        return Prefix(prefix.cache, prefix.length, batch, prefix.last.expand(batch, -1))

    @torch.no_grad()
    def commit(self, prefix: Prefix, ids: Tensor) -> tuple[Prefix, Tensor]:
        """Encode ids [B, C]; log p [B, C] is the causal side's. The prefix given is used up."""
        assert prefix.last is not None
        longer, hidden = self._encode(prefix, ids)
        before = torch.cat((prefix.last[:, None], hidden[:, :-1]), 1)
        cap = self.model.final_logit_softcapping
        logits = torch.tanh(self.model.lm_head(before).float() / cap) * cap
        return longer, logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]

    def _encode(self, prefix: Prefix | None, ids: Tensor) -> tuple[Prefix, Tensor]:
        past = prefix.length if prefix else 0
        positions = torch.arange(past, past + ids.shape[1], device=ids.device)[None]
        out = self.model.model.encoder(
            input_ids=ids,
            position_ids=positions,
            past_key_values=prefix.cache if prefix else None,
        )
        hidden: Tensor = out.last_hidden_state
        longer = Prefix(out.past_key_values, past + ids.shape[1], ids.shape[0], hidden[:, -1])
        return longer, hidden

    @torch.no_grad()
    def denoise(self, prefix: Prefix, ids: Tensor, signal: Tensor | None) -> Tensor:
        """Return float32 logits [B, C, V]."""
        positions = torch.arange(prefix.length, prefix.length + ids.shape[1], device=ids.device)
        out = self.model(
            decoder_input_ids=ids,
            past_key_values=prefix.cache,
            decoder_position_ids=positions[None],
            self_conditioning_logits=None if signal is None else signal.to(self._signal_dtype),
        )
        logits: Tensor = out.logits
        return logits


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to sample; it was trained on `max_positions` tokens, canvas included."""

    name: str
    denoiser: TransformersDenoiser
    tokenizer: Any
    defaults: SamplingParams
    max_positions: int


def load(name: str, *, device: str = "auto", dtype: str = "auto") -> LoadedModel:
    """Load "nano", a local folder or a hub id.

    `device` "auto" takes an accelerator where there is one; `dtype` "auto" means float32 on a CPU
    and the checkpoint's own elsewhere. Raises UnusableModel with one line that says what to do.
    """
    from transformers import AutoConfig, AutoTokenizer, DiffusionGemmaForBlockDiffusion

    source = str(NANO) if name == "nano" else os.path.expanduser(name)
    where = _pick_device(device)
    try:
        config = AutoConfig.from_pretrained(source)
        if config.model_type != "diffusion_gemma":
            raise UnusableModel(
                f"{name}: a {config.model_type!r} checkpoint, not 'diffusion_gemma'; "
                "give a DiffusionGemma checkpoint or leave --model out for nano"
            )
        model = DiffusionGemmaForBlockDiffusion.from_pretrained(
            source,
            dtype=_pick_dtype(dtype, where),
            **({"device_map": "auto"} if where == "cuda" else {}),
        )
        if where != "cuda":
            model = model.to(where)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except torch.OutOfMemoryError as exc:
        raise UnusableModel(f"{name}: too large for the memory of {where}: {exc}") from exc
    except (OSError, ValueError) as exc:
        raise UnusableModel(f"{name}: cannot be loaded: {_first_line(exc)}") from exc
    defaults = params_from_checkpoint(model)
    positions = model.config.text_config.max_position_embeddings
    return LoadedModel(name, TransformersDenoiser(model.eval()), tokenizer, defaults, positions)


def params_from_checkpoint(model: Any) -> SamplingParams:
    """Return the checkpoint's generation config as parameters; what it leaves out is DG's default.

    Raises UnusableModel where the generation config is out of range.
    """
    given = model.generation_config
    eos = given.eos_token_id
    values = {
        "canvas_length": model.config.canvas_length,
        "max_new_tokens": given.max_new_tokens,
        "max_steps": given.max_denoising_steps,
        "t_min": given.t_min,
        "t_max": given.t_max,
        "entropy_bound": given.sampler_config.entropy_bound if given.sampler_config else None,
        "stability_threshold": given.stability_threshold,
        "confidence_threshold": given.confidence_threshold,
        "eos_token_ids": (eos,) if isinstance(eos, int) else tuple(eos) if eos else None,
        "pad_token_id": given.pad_token_id,
    }
    try:
        return SamplingParams(**{k: v for k, v in values.items() if v is not None})
    except InvalidParameter as exc:
        raise UnusableModel(f"generation_config.json: {exc}") from exc


def _pick_device(device: str) -> str:
    if device != "auto":
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as exc:
            raise UnusableModel(
                f"device {device!r} cannot be used here: {_first_line(exc)}; try 'auto' or 'cpu'"
            ) from exc
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _pick_dtype(dtype: str, device: str) -> Any:
    if dtype == "auto":
        return torch.float32 if device == "cpu" else "auto"
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype):
        raise UnusableModel(f"dtype {dtype!r} is none of torch; try 'auto', 'float32', 'bfloat16'")
    return chosen


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
