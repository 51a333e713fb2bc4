"""A base model of which only the sizes are there: a config.json's contents in, fake tensors out.

transformers, bitsandbytes and peft build it as they do for a run, on the meta device, where tensors
have no memory. Then each parameter gives way to a fake tensor of the size that it has once it is
loaded, and quantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.model.load import add_adapter, quantization

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BLOCK = 64  # weights that share a scale
_OUTER_BLOCK = 256  # scales that share one, doubly quantised


# The package is not needed for sizes: PyTorch has the same kernel.
_ATTENTION = {"auto": None, "flash_attention_2": "sdpa"}


def hollow_model(plain: Mapping[str, Any], config: Config, dtype: torch.dtype) -> Any:
    """The model of a config.json with its adapter, on the meta device.

    Raises ConfigError for one that transformers cannot build.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    described, wanted = dict(plain), config.model.attn_implementation
    try:
        built = AutoConfig.for_model(described.pop("model_type"), **described)
        with torch.device("meta"), no_init_weights():
            model = AutoModelForCausalLM.from_config(
                built, dtype=dtype, attn_implementation=_ATTENTION.get(wanted, wanted)
            )
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"transformers cannot build this model: {first_line}") from error
    model.tie_weights()
    model.config.use_cache = False
    if config.quantization.load_in_4bit:
        quantize(model, quantization(config, dtype))
    with torch.device("meta"):
        return add_adapter(model, config.lora, seed=config.training.seed)


def quantize(model: PreTrainedModel, wanted: Any) -> None:
    """As transformers does while it loads; ``wanted`` is a BitsAndBytesConfig."""
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    kept = get_keys_to_not_convert(model)
    replace_with_bnb_linear(model, modules_to_not_convert=kept, quantization_config=wanted)
    model.is_loaded_in_4bit = True


def fill(model: nn.Module, *, adapter_dtype: torch.dtype = torch.float32) -> None:
    """Give every tensor of a model on the meta device its size; call under a fake-tensor mode.

    Adapters are trained in ``adapter_dtype``.
    """
    filled: dict[int, nn.Parameter] = {}  # tied ones stay tied
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in filled:
                filled[id(parameter)] = _filled(parameter, adapter_dtype)
            module._parameters[name] = filled[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _filled(parameter: nn.Parameter, adapter_dtype: torch.dtype) -> Any:
    if hasattr(parameter, "quant_state"):
        return _packed(parameter)
    dtype = adapter_dtype if parameter.requires_grad else parameter.dtype
    return nn.Parameter(torch.empty(parameter.shape, dtype=dtype), parameter.requires_grad)


def _packed(parameter: Any) -> Any:
    """Two weights a byte, with their scales, as quantising leaves them."""
    from bitsandbytes.functional import QuantState

    whole = torch.empty(parameter.shape, dtype=parameter.dtype)  # what is quantised
    count, is_double = parameter.numel(), parameter.compress_statistics
    blocks = -(-count // _BLOCK)
    outer = None
    if is_double:
        outer = QuantState(
            absmax=torch.empty(-(-blocks // _OUTER_BLOCK)),
            code=torch.empty(256),
            blocksize=_OUTER_BLOCK,
            dtype=torch.float32,
        )
    weight: Any = nn.Parameter(torch.empty((count + 1) // 2, 1, dtype=torch.uint8), False)
    weight.quant_state = QuantState(
        absmax=torch.empty(blocks, dtype=torch.uint8 if is_double else torch.float32),
        shape=parameter.shape,
        code=torch.empty(16),
        blocksize=_BLOCK,
        quant_type=parameter.quant_type,
        dtype=parameter.dtype,
        offset=torch.empty(()) if is_double else None,
        state2=outer,
    )
    del whole
    return weight
