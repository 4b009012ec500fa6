"""Weights packed in 4 or 8 bits: which ones, and the hook by which transformers packs on loading.

transformers' own bitsandbytes route takes `nn.Linear` only and, of this model's, none that the
encoder shares with the decoder; the experts, nine tenths of the weights, would stay as they are.
Here every matrix of the decoder's layers is packed by bitsandbytes, the experts included: NF4 in
blocks of 64 or 8-bit in blocks of 256, each with a float32 scale. Router, norms, embeddings, output
head, self-conditioning and the vision tower keep their precision. No arithmetic in few bits: a
weight is unpacked whenever it is read, so modules go on as if it were whole.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers.core_model_loading import ConversionOps
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from sampler.memory import BLOCK, is_packed
from sampler.twins import drop_encoder_copies, share_layers

# Its optional kernels for some CPUs, which nothing here uses, are missed aloud on import.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

from bitsandbytes import functional as bnb  # noqa: E402


class Packed(nn.Module):
    """What a packed weight looks like to whoever reads it: the parametrization of a parameter."""

    absmax: Tensor
    code: Tensor

    def __init__(self, bits: int, shape: torch.Size, state: Any) -> None:
        super().__init__()
        self.bits, self.shape, self.dtype = bits, shape, state.dtype
        # As buffers they move with the module.
        self.register_buffer("absmax", state.absmax)
        self.register_buffer("code", state.code)

    @torch.no_grad()
    def forward(self, packed: Tensor) -> Tensor:
        """Return the weight in its own shape and dtype."""
        unpack = bnb.dequantize_4bit if self.bits == 4 else bnb.dequantize_blockwise
        state = bnb.QuantState(
            absmax=self.absmax,
            shape=_rows(self.shape, BLOCK[self.bits]),
            code=self.code,
            blocksize=BLOCK[self.bits],
            quant_type="nf4",
            dtype=self.dtype,
        )
        weight: Tensor = unpack(packed, state)
        return weight.view(self.shape)


def _rows(shape: torch.Size, block: int) -> torch.Size:
    """Return a shape of as many numbers in which no block begins within a row.

    bitsandbytes 0.50 unpacks such blocks with another's scale on a CPU.
    """
    numbers = shape.numel()
    return torch.Size((numbers // block, block) if numbers % block == 0 else (1, numbers))


def pack(module: nn.Module, name: str, weight: Tensor, bits: int) -> None:
    """Make `weight` the parameter `name` of `module`, packed."""
    block = BLOCK[bits]
    rows = weight.reshape(_rows(weight.shape, block))
    if bits == 4:
        packed, state = bnb.quantize_4bit(rows, blocksize=block, quant_type="nf4")
    else:
        packed, state = bnb.quantize_blockwise(rows, blocksize=block)
    setattr(module, name, nn.Parameter(packed, requires_grad=False))
    parametrize.register_parametrization(
        module, name, Packed(bits, weight.shape, state), unsafe=True
    )


METHOD = "dgemma"


@register_quantization_config(METHOD)
@dataclass
class PackingConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """Asks `from_pretrained` to pack weights in `bits` bits, 4 or 8."""

    bits: int = 4
    quant_method: str = METHOD


@register_quantizer(METHOD)
class PackingQuantizer(HfQuantizer):  # type: ignore[misc]
    """Packs a plain checkpoint weight by weight, so that it is never whole in memory."""

    def param_needs_quantization(self, model: Any, param_name: str, **_: Any) -> bool:
        """Tell transformers which weights to hand to `_Pack`."""
        return is_packed(param_name)

    @property
    def quantized_element_size(self) -> float:
        """Bytes of a packed weight."""
        return float(self.quantization_config.bits / 8)

    def get_quantize_ops(self) -> "_Pack":
        """Return what packs one weight."""
        return _Pack(self.quantization_config.bits)

    def is_serializable(self) -> bool:
        """Return False: the plain checkpoint is at hand, and packs in moments."""
        return False

    @property
    def is_trainable(self) -> bool:
        """Packed weights have no gradients."""
        return False

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:
        drop_encoder_copies(model)

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> Any:
        share_layers(model)
        return model


class _Pack(ConversionOps):  # type: ignore[misc]
    def __init__(self, bits: int) -> None:
        self.bits = bits

    def convert(
        self,
        input_dict: dict[str, Any],
        *,
        model: Any,
        full_layer_name: str,
        missing_keys: set[str],
        **rest: Any,
    ) -> dict[str, Tensor]:
        """Put the one weight of `input_dict` into the model; there is nothing left to set."""
        (weight,) = input_dict.values()
        owner, _, name = full_layer_name.rpartition(".")
        module = model.get_submodule(owner)
        pack(module, name, weight[0] if isinstance(weight, list) else weight, self.bits)
        missing_keys.discard(full_layer_name)
        module._is_hf_initialized = True
        return {}
