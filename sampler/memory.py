"""How much memory a checkpoint takes in each precision, and what of it fits where. Loads nothing.

The weights are counted on the meta device, tied ones once. A layer is the unit that is placed on
one of several devices; all that is not in a layer goes to the first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import torch

GIB = 2**30

# Weights that share one float32 scale, by bits: bitsandbytes' own choice for NF4.
BLOCK = {4: 64, 8: 256}
BITS = {"4bit": 4, "8bit": 8}

_LAYER = re.compile(r"^model\.decoder\.layers\.(\d+)\.(.+)")
_PACKED = re.compile(
    r"self_attn\.[qkvo]_proj\.weight|mlp\.(gate|up|down)_proj\.weight|experts\.(gate_up|down)_proj"
)


def is_packed(name: str) -> bool:
    """Whether 4 and 8 bits are meant for this parameter; see `sampler.quantize`."""
    found = _LAYER.match(name)
    return found is not None and _PACKED.fullmatch(found[2]) is not None


@dataclass(frozen=True)
class Weights:
    """How many numbers a model holds: of each layer those that can be packed and the others.

    `logits` is how many come out of one canvas.
    """

    packed: tuple[int, ...]
    others: tuple[int, ...]
    outside: int
    logits: int


@dataclass(frozen=True)
class Need:
    """Bytes in one precision: of each layer, of the rest, and on every device while it works."""

    layers: tuple[int, ...]
    rest: int
    working: int

    @property
    def total(self) -> int:
        """Bytes on a single device."""
        return sum(self.layers) + self.rest + self.working


def count(config: Any) -> Weights:
    """Count the weights of a DiffusionGemma by its config."""
    from transformers import DiffusionGemmaForBlockDiffusion

    with torch.device("meta"):
        model = DiffusionGemmaForBlockDiffusion(config)
    model.tie_weights()
    # The decoder's names: tied parameters appear under the encoder's otherwise.
    tied = {id(p) for p in model.model.decoder.parameters()}
    layers = len(model.model.decoder.layers)
    packed, others = [0] * layers, [0] * layers
    outside = sum(p.numel() for p in model.parameters() if id(p) not in tied)
    for name, parameter in model.model.decoder.named_parameters(prefix="model.decoder"):
        if not (found := _LAYER.match(name)):
            outside += parameter.numel()
        else:
            (packed if is_packed(name) else others)[int(found[1])] += parameter.numel()
    logits = config.canvas_length * config.text_config.vocab_size
    return Weights(tuple(packed), tuple(others), outside, logits)


def needs(weights: Weights, dtype: torch.dtype) -> dict[str, Need]:
    """Return what every precision needs, the finest first, where plain weights are of `dtype`.

    Working memory is three canvases of float32 logits (values, probabilities, order) and, where
    weights are packed, the largest layer unpacked.
    """
    logits = 3 * 4 * weights.logits
    result = {}
    for plain in dict.fromkeys((dtype, torch.bfloat16)):
        size = plain.itemsize
        layers = [(p + o) * size for p, o in zip(weights.packed, weights.others, strict=True)]
        result[str(plain).removeprefix("torch.")] = Need(
            tuple(layers), weights.outside * size, logits
        )
    for name in ("8bit", "4bit"):
        bits, size = BITS[name], dtype.itemsize
        rate = bits / 8 + 4 / BLOCK[bits]
        layers = [
            int(p * rate) + o * size for p, o in zip(weights.packed, weights.others, strict=True)
        ]
        unpacked = max(weights.packed, default=0) * size
        result[name] = Need(tuple(layers), weights.outside * size, logits + unpacked)
    return result


def place(need: Need, free: Sequence[int]) -> list[int] | None:
    """Return each layer's device, given the bytes free on each; None where it does not fit.

    One device where that is enough; else all are filled to about the same part, in order, so that
    each keeps room for keys and values.
    """
    for part in range(1, 101) if need.total > free[0] else (100,):
        rooms = [room * part // 100 - need.working for room in free]
        rooms[0] -= need.rest
        if (devices := _fill(need.layers, rooms)) is not None:
            return devices
    return None


def _fill(layers: Sequence[int], rooms: list[int]) -> list[int] | None:
    if rooms[0] < 0:
        return None
    devices, device = [], 0
    for size in layers:
        while rooms[device] < size:
            device += 1
            if device == len(rooms):
                return None
        rooms[device] -= size
        devices.append(device)
    return devices


def refusal(
    name: str, needs: Mapping[str, Need], chosen: str, free: Sequence[int], where: str
) -> str:
    """Say that `chosen` does not fit into the bytes free on each device, and what would."""
    here = f"{where} has" if len(free) == 1 else f"{len(free)} {where} devices have"
    short = (
        f"{name} in {chosen} takes {_size(needs[chosen].total)} and {here} {_size(sum(free))} free"
    )
    smaller = [n for n in needs if needs[n].total < needs[chosen].total]
    for other in smaller:
        if place(needs[other], free) is not None:
            option = f"--quantize {other}" if other in BITS else f"dtype {other!r}"
            return f"{short}; {option} takes {_size(needs[other].total)} and would fit"
    smallest = min(smaller, key=lambda n: needs[n].total, default="")
    least = f", not even {smallest} ({_size(needs[smallest].total)})" if smallest else ""
    return f"{short}; nothing would fit{least}: free some memory or use nano"


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"


def free_memory(device: str) -> dict[str, int]:
    """Return the free bytes of the device, or of all of its kind where it has no number.

    The one with the most comes first.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return {device: psutil.virtual_memory().available}
    numbers = [int(number)] if number else range(torch.cuda.device_count())
    free = {f"cuda:{i}": torch.cuda.mem_get_info(i)[0] for i in numbers}
    return dict(sorted(free.items(), key=lambda item: -item[1]))
