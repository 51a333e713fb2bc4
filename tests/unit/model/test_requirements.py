"""What a config needs of the machine: refused with the way out, before anything is loaded."""

from __future__ import annotations

import pytest

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError
from ethtune.model import requirements as module
from ethtune.model.device import Device
from ethtune.model.requirements import require_runnable

CPU = Device("cpu", "A processor", "fp32")
AMPERE, TURING = Device("cuda", "A card", "bf16"), Device("cuda", "An old card", "fp16")
IN_FULL = Device("cuda", "A card", "fp32")
FLASH = {"model": {"attn_implementation": "flash_attention_2"}}
LIGER = {"optimization": {"use_liger_kernel": True}}
ZERO = {"training": {"num_processes": 2, "deepspeed": {"zero_optimization": {"stage": 2}}}}
EIGHT = ZERO | {"optimization": {"optim": "adamw_8bit"}}
DORA = {"training": {"num_processes": 2, "fsdp": True}, "lora": {"use_dora": True}}
WRONG = {"training": {"num_processes": 2, "deepspeed": {"zero_optimization": {"stage": 1}}}}
COMPUTE = {"quantization": {"bnb_4bit_compute_dtype": "bfloat16"}}


@pytest.fixture
def said(monkeypatch):
    """``said(device, sections, *packages)``: where only those optional packages are installed."""

    def judge(device, sections, *packages):
        monkeypatch.setattr(module, "find_spec", lambda name: name if name in packages else None)
        monkeypatch.setattr(module, "has_bfloat16", lambda: device in (AMPERE, IN_FULL))
        return list(require_runnable(Config.model_validate(sections), device))

    return judge


@pytest.mark.parametrize(
    ("device", "sections", "packages", "error", "fault", "hint"),
    [
        (CPU, FLASH, ["flash_attn"], ConfigError, "which needs a CUDA GPU: A processor", "sdpa"),
        (TURING, FLASH, ["flash_attn"], ConfigError, "capability 8.0: An old card", "sdpa"),
        (IN_FULL, FLASH, ["flash_attn"], ConfigError, "the run is in float32", "bf16=auto"),
        (AMPERE, FLASH, [], MachineError, "flash-attn is not installed", "pip install flash-attn"),
        (AMPERE, ZERO, [], MachineError, "DeepSpeed is not installed", "ethtune[deepspeed]"),
        (TURING, ZERO, ["deepspeed"], ConfigError, "the run is in float16", "--fsdp"),
        (AMPERE, EIGHT, ["deepspeed"], ConfigError, "is adamw_8bit", "--fsdp"),
        (AMPERE, DORA, ["deepspeed"], ConfigError, "DoRA reads the base weights", "use_dora=false"),
        (AMPERE, WRONG, ["deepspeed"], ConfigError, "stage is 1: 2 or 3", "zero2.json"),
        (CPU, LIGER, ["liger_kernel"], ConfigError, "kernels need a GPU: A processor", "=auto"),
        (AMPERE, LIGER, [], MachineError, "liger-kernel is not", "pip install liger-kernel"),
    ],
)
def test_what_is_not_there_is_refused(said, device, sections, packages, error, fault, hint):
    with pytest.raises(error) as caught:
        said(device, sections, *packages)
    assert fault in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("device", "sections", "packages"),
    [
        (AMPERE, FLASH, ["flash_attn"]),
        (AMPERE, LIGER, ["liger_kernel"]),
        (AMPERE, COMPUTE, []),
        (CPU, {}, []),
    ],
)
def test_what_is_there_is_taken_without_a_word(said, device, sections, packages):
    assert said(device, sections, *packages) == []


@pytest.mark.parametrize("device", [CPU, TURING])
def test_emulated_arithmetic_is_said(said, device):
    (sentence,) = said(device, COMPUTE)
    assert f"bfloat16, which {device.name} only emulates" in sentence
    plain = {"load_in_4bit": False, "bnb_4bit_compute_dtype": "bfloat16"}
    assert said(device, {"quantization": plain}) == []
