"""What a config asks of the device and of packages that are not always there.

Judged before anything is loaded: a config and a device in, an error or what is worth saying out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError
from ethtune.model.device import Device, has_bfloat16
from ethtune.model.zerosettings import disagreements

_OTHER_ATTENTION = "--set model.attn_implementation=sdpa needs no package"


def require_runnable(config: Config, device: Device) -> Iterator[str]:
    """Sentences for the log. Raises ConfigError for what the device cannot do, or MachineError."""
    if config.model.attn_implementation == "flash_attention_2":
        _require_flash_attention(device)
    if config.training.num_parts > 1 and config.lora.use_dora:
        raise ConfigError(
            "lora.use_dora is true: DoRA reads the base weights themselves, and by training.fsdp "
            "or ZeRO-3 each process has a part of them alone",
            hint="--set lora.use_dora=false; or the whole model on each card, with neither",
        )
    if config.training.deepspeed:
        _require_deepspeed(config, config.training.deepspeed, device)
    if config.optimization.use_liger_kernel is True:
        _require_liger(device)
    compute = config.quantization.bnb_4bit_compute_dtype
    if config.quantization.load_in_4bit and compute == "bfloat16" and not has_bfloat16():
        yield (
            f"quantization.bnb_4bit_compute_dtype is bfloat16, which {device.name} only emulates: "
            "slow; auto takes what it has units for"
        )


def _require_flash_attention(device: Device) -> None:
    asked = "model.attn_implementation is flash_attention_2"
    if device.kind == "cpu":
        raise ConfigError(f"{asked}, which needs a CUDA GPU: {device.name}", hint=_OTHER_ATTENTION)
    if not has_bfloat16():  # both came with compute capability 8.0
        raise ConfigError(
            f"{asked}, which needs compute capability 8.0: {device.name}", hint=_OTHER_ATTENTION
        )
    if device.precision == "fp32":
        raise ConfigError(
            f"{asked}, which knows float16 and bfloat16 alone, and the run is in float32",
            hint="--set optimization.bf16=auto; or --set model.attn_implementation=sdpa",
        )
    if find_spec("flash_attn") is None:
        raise MachineError(
            f"{asked}, and flash-attn is not installed",
            hint=f"pip install flash-attn --no-build-isolation; or {_OTHER_ATTENTION}",
        )


def _require_deepspeed(config: Config, file: Mapping[str, Any], device: Device) -> None:
    if find_spec("deepspeed") is None:
        raise MachineError(
            "training.deepspeed is set, and DeepSpeed is not installed",
            hint="pip install 'ethtune[deepspeed]'; --fsdp lays the model in parts without it",
        )
    if device.precision == "fp16":
        raise ConfigError(
            "training.deepspeed trains in bfloat16 or float32 here, and the run is in float16",
            hint="--fsdp, or DDP without either, scales float16's gradients",
        )
    if "8bit" in config.optimization.optim or config.optimization.optim == "adafactor":
        raise ConfigError(
            f"optimization.optim is {config.optimization.optim}, whose states belong to whole "
            "matrices, and DeepSpeed's ZeRO cuts through them",
            hint="--set optimization.optim=paged_adamw_32bit; or --fsdp, which leaves them whole",
        )
    wrong = [
        f"  {each.key} is {json.dumps(each.value)}: {each.wanted}"
        for each in disagreements(file, config, device.precision)
    ]
    if wrong:
        raise ConfigError(
            "training.deepspeed is not what the run is:\n" + "\n".join(wrong),
            hint="configs/deepspeed/zero2.json is a file that fits every run",
        )


def _require_liger(device: Device) -> None:
    asked = "optimization.use_liger_kernel is true"
    if device.kind == "cpu":
        raise ConfigError(
            f"{asked}, but its kernels need a GPU: {device.name}",
            hint="--set optimization.use_liger_kernel=auto",
        )
    if find_spec("liger_kernel") is None:
        raise MachineError(
            f"{asked}, and liger-kernel is not installed",
            hint="pip install liger-kernel; or --set optimization.use_liger_kernel=false",
        )
