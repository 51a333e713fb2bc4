"""A config.json in, a model with random weights of that shape on the device out; nothing is loaded.

Built on the meta device, as ``ethtune estimate`` does for its trace, then filled where it will run,
one tensor at a time: a linear layer is quantised before the next one is drawn, so that 16-bit
weights of the whole model never exist.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

SPREAD = 0.02  # standard deviation of weights, as models are initialised


def random_model(
    folder: Path, *, dtype: torch.dtype, attention: str | None, device: torch.device, wanted: Any
) -> Any:
    """Weights are the same every time; ``wanted`` is a BitsAndBytesConfig or None."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    described = json.loads((folder / "config.json").read_text("utf-8"))
    built = AutoConfig.for_model(described.pop("model_type"), **described)
    chosen = {"attn_implementation": attention} if attention else {}  # else what it is best at
    with torch.device("meta"), no_init_weights():
        model = AutoModelForCausalLM.from_config(built, dtype=dtype, **chosen)
    if wanted is not None:
        _make_quantized(model, wanted)
    drawn = torch.Generator(device).manual_seed(1)
    for module in model.modules():
        _fill(module, drawn, device)
    model.tie_weights()
    model.config.use_cache = False
    return model


def _make_quantized(model: Any, wanted: Any) -> None:
    from transformers.quantizers.auto import AutoHfQuantizer

    from ethtune.model.hollow import quantize

    quantize(model, wanted)
    model.is_quantized = model.is_loaded_in_4bit = True
    model.hf_quantizer = AutoHfQuantizer.from_config(wanted, pre_quantized=False)
    model.quantization_method = wanted.quant_method
    model.config.quantization_config = wanted


def _fill(module: nn.Module, drawn: torch.Generator, device: torch.device) -> None:
    for name, parameter in list(module._parameters.items()):
        if parameter is not None and parameter.is_meta:
            module._parameters[name] = _drawn(parameter, drawn, device)
    if any(buffer is not None and buffer.is_meta for buffer in module._buffers.values()):
        fresh = type(module)(module.config).to(device)  # rotary positions: computed, not learned
        module._buffers.update(fresh._buffers)
        vars(module).update(
            {key: item for key, item in vars(fresh).items() if isinstance(item, torch.Tensor)}
        )


def _drawn(parameter: nn.Parameter, drawn: torch.Generator, device: torch.device) -> nn.Parameter:
    shape, dtype = parameter.shape, parameter.dtype
    if parameter.ndim == 1:  # norms, and biases, whose values do not matter here
        return nn.Parameter(torch.ones(shape, dtype=dtype, device=device), requires_grad=False)
    values = torch.empty(shape, dtype=dtype, device=device)
    values.normal_(0.0, SPREAD, generator=drawn)
    if not hasattr(parameter, "quant_state"):
        return nn.Parameter(values, requires_grad=False)
    packed: Any = type(parameter)(
        values,
        requires_grad=False,
        compress_statistics=parameter.compress_statistics,
        quant_type=parameter.quant_type,
        quant_storage=parameter.quant_storage,
    )
    return packed.to(device)
