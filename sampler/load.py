"""A checkpoint -> a model in memory with its tokenizer and defaults, or one line that says why not.

"nano", a local folder or a hub id; plain weights, packed on loading, or stored quantized. What
would not fit is refused before anything is loaded, and nothing is ever offloaded to a CPU or a disk
behind the user's back. No forward pass here.
"""

import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from sampler import memory
from sampler.params import InvalidParameter, SamplingParams

NANO = Path(__file__).parent / "nano"

Quantize = Literal["", "4bit", "8bit"]
# The hidden size from which a CPU's matrix tiles (AMX) are faster in bfloat16 than float32 is.
WORTH_TILES = 512


class UnusableModel(Exception):
    """The model cannot be loaded as asked; the message says why and what to do."""


@dataclass(frozen=True)
class LoadedModel:
    """A `DiffusionGemmaForBlockDiffusion` of transformers and what belongs to it.

    It was trained on `max_positions` tokens, canvas included. `causal_tokens` is how many tokens
    of a completion it proposes to write one after another too, by its config, and `denoise_below`
    from which worth on, in nats a token, a text that is known without denoising is enough.
    """

    name: str
    model: Any
    tokenizer: Any
    defaults: SamplingParams
    max_positions: int
    causal_tokens: int = 0
    denoise_below: float = math.inf


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantize: Quantize = "",
    told: Callable[[float], None] = lambda share: None,
) -> LoadedModel:
    """Load "nano", a local folder or a hub id.

    `device` "auto" takes the accelerators where there are any; `dtype` "auto" means bfloat16, but
    float32 on a CPU that has no instructions for it or gains nothing by them. `quantize` packs the
    layers' weights, experts included, in 4 or 8 bits; a checkpoint that is stored quantized is
    loaded as it is. `told` hears which share of the weights is in memory, from 0 to 1, as it grows.
    Raises UnusableModel with one line that says what to do.
    """
    from transformers import AutoTokenizer

    source = str(NANO) if name == "nano" else os.path.expanduser(name)
    where = pick_device(device)
    try:
        with quiet():
            config = _config(name, source)
            wanted = pick_dtype(dtype, where, config.text_config.hidden_size)
            options = _options(name, config, where, wanted, quantize)
            with counted(told):
                model = _model(name, source, options)
            tokenizer = AutoTokenizer.from_pretrained(source)
    except torch.OutOfMemoryError as exc:
        raise UnusableModel(
            f"{name}: {where} ran out of memory while loading, though it had enough before: end "
            "what else uses it, or load less with --quantize 8bit or 4bit"
        ) from exc
    except UnusableModel:
        raise
    except Exception as exc:  # a damaged checkpoint makes transformers raise whatever it may
        raise UnusableModel(f"{name}: cannot be loaded: {_first_line(exc)}") from exc
    positions = model.config.text_config.max_position_embeddings
    proposed = {
        option: getattr(model.config, option)
        for option in ("causal_tokens", "denoise_below")
        if hasattr(model.config, option)
    }
    defaults = params_from_checkpoint(model)
    return LoadedModel(name, model.eval(), tokenizer, defaults, positions, **proposed)


def _config(name: str, source: str) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source)
    if config.model_type != "diffusion_gemma":
        raise UnusableModel(
            f"{name}: a {config.model_type!r} checkpoint, not 'diffusion_gemma'; "
            "give a DiffusionGemma checkpoint or leave --model out for nano"
        )
    if not config.tie_word_embeddings:
        raise UnusableModel(
            f"{name}: its encoder and decoder have weights of their own "
            "(tie_word_embeddings is false), which this sampler does not serve"
        )
    return config


def _options(
    name: str, config: Any, where: str, dtype: torch.dtype, quantize: Quantize
) -> dict[str, Any]:
    """Return how transformers is to load; raises UnusableModel for what would not fit."""
    stored = getattr(config, "quantization_config", None)
    if stored is not None:
        if quantize:
            method = stored.get("quant_method", "quantized")
            raise UnusableModel(
                f"{name}: its weights are stored quantized ({method}); leave --quantize out"
            )
        # How large it gets only its own library knows.
        several = where == "cuda" and torch.cuda.device_count() > 1
        return {"dtype": "auto", "device_map": "auto" if several else {"": where}}
    if quantize and importlib.util.find_spec("bitsandbytes") is None:
        raise UnusableModel(
            f"--quantize {quantize} needs bitsandbytes: python -m pip install 'bitsandbytes>=0.50'"
        )
    needs = memory.needs(memory.count(config), dtype)
    chosen = quantize or str(dtype).removeprefix("torch.")
    devices = memory.free_memory(where)
    free = list(devices.values())
    layers = memory.place(needs[chosen], free)
    if layers is None:
        raise UnusableModel(memory.refusal(name, needs, chosen, free, where))
    options: dict[str, Any] = {"dtype": dtype, "device_map": device_map(layers, list(devices))}
    if quantize:
        from sampler.quantize import PackingConfig

        options["quantization_config"] = PackingConfig(bits=memory.BITS[quantize])
    return options


def device_map(layers: list[int], devices: list[str]) -> dict[str, str]:
    """Return transformers' device map; `layers` says which of `devices` each layer goes to.

    The encoder's layer goes with the decoder's, whose weights it shares; the rest goes first.
    """
    return {"": devices[0]} | {
        f"{side}.layers.{i}": devices[number]
        for i, number in enumerate(layers)
        if len(devices) > 1 and any(layers)
        for side in ("model.encoder.language_model", "model.decoder")
    }


def _model(name: str, source: str, options: dict[str, Any]) -> Any:
    from transformers import DiffusionGemmaForBlockDiffusion

    model, info = DiffusionGemmaForBlockDiffusion.from_pretrained(
        source, output_loading_info=True, **options
    )
    # transformers would fill them with random numbers and go on.
    if missing := sorted(info["missing_keys"]):
        raise UnusableModel(
            f"{name}: {len(missing)} weights are not in the checkpoint, {missing[0]} first"
        )
    away = {str(d) for d in getattr(model, "hf_device_map", {}).values()} & {"cpu", "disk", "meta"}
    if away and options["device_map"] == "auto":
        raise UnusableModel(
            f"{name}: does not fit on the devices, parts would go to {' and '.join(sorted(away))}; "
            "free some memory or use nano"
        )
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and remarks off stderr; what matters of them is raised."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def counted(told: Callable[[float], None]) -> Iterator[None]:
    """Tell which share of a checkpoint's weights is loaded, where transformers would draw a bar."""
    from transformers.utils import logging

    def hook(make: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        # It draws bars of other things too, such as files that are fetched.
        if args and options.get("desc") == "Loading weights":
            return _counting(args[0], told)
        return make(*args, **options)

    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _counting(weights: Iterable[Any], told: Callable[[float], None]) -> Iterator[Any]:
    all_of_them = list(weights)
    for done, weight in enumerate(all_of_them):
        told(done / len(all_of_them))
        yield weight
    told(1.0)


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


def pick_device(device: str) -> str:
    """Return the device that "auto" or a name stands for; raises UnusableModel."""
    if device != "auto":
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as exc:
            raise UnusableModel(
                f"device {device!r} cannot be used here: {_first_line(exc)}; try 'auto' or 'cpu'"
            ) from exc
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_dtype(dtype: str, device: str, width: int) -> torch.dtype:
    """Return the dtype that "auto" or a name stands for, for a model of a hidden size of `width`.

    Raises UnusableModel.
    """
    if dtype == "auto":
        has = torch.cpu.get_capabilities()
        # Matrix tiles gain a small model nothing, and in bfloat16 they round a text by how many
        # others are multiplied with it: its tokens would change with its neighbours.
        tiles = has.get("amx_bf16", False) and width < WORTH_TILES
        return torch.float32 if device == "cpu" and tiles else fast_dtype(device)
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype):
        raise UnusableModel(f"dtype {dtype!r} is none of torch; try 'auto', 'float32', 'bfloat16'")
    return chosen


def fast_dtype(device: str) -> torch.dtype:
    """Return bfloat16, but float32 on a CPU without instructions for bf16 products.

    Those take a third of the time in large products.
    """
    has = torch.cpu.get_capabilities()
    multiplies = any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return torch.float32 if device == "cpu" and not multiplies else torch.bfloat16


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
