"""What the hardware can do decides; what it cannot do is refused with the way out."""

from __future__ import annotations

import pytest
import torch

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.model import device as module
from ethtune.model.device import choose_device, memory_use, peak_process_bytes


def wanting(**precision):
    return Config.model_validate({"optimization": precision})


@pytest.fixture
def machine(monkeypatch):
    """``machine(capability)``: a GPU of that compute capability, or with None a CPU."""

    def pretend(capability, *, cpu_has_bf16=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A card")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)  # by emulation
        monkeypatch.setattr(module, "_cpu_has_bf16", lambda: cpu_has_bf16)

    return pretend


@pytest.mark.parametrize(
    ("capability", "cpu_has_bf16", "wants", "precision"),
    [
        ((8, 6), False, {}, "bf16"),
        ((9, 0), False, {"bf16": True, "fp16": False}, "bf16"),
        ((8, 6), False, {"fp16": True}, "fp16"),
        ((8, 6), False, {"bf16": False, "fp16": False}, "fp32"),
        ((7, 5), False, {}, "fp16"),  # Turing only emulates bfloat16
        ((7, 5), False, {"fp16": False}, "fp32"),
        (None, False, {}, "fp32"),
        (None, True, {}, "bf16"),
        (None, True, {"bf16": False}, "fp32"),
        (None, True, {"bf16": True, "fp16": False}, "bf16"),
    ],
)
def test_precision(machine, capability, cpu_has_bf16, wants, precision):
    machine(capability, cpu_has_bf16=cpu_has_bf16)
    chosen = choose_device(wanting(**wants))
    assert chosen.precision == precision
    assert chosen.kind == ("cuda" if capability else "cpu")
    assert {"bf16": 2, "fp16": 2, "fp32": 4}[precision] == chosen.dtype.itemsize


@pytest.mark.parametrize(
    ("capability", "wants", "message"),
    [
        ((7, 5), {"bf16": True}, "bf16 is true, but A card has no bfloat16 units"),
        (None, {"bf16": True}, "bf16 is true, but CPU, .* has no bfloat16 units"),
        (None, {"fp16": True}, "fp16 is true, but float16 training needs a GPU"),
    ],
)
def test_what_the_hardware_cannot_do_is_refused(machine, capability, wants, message):
    machine(capability)
    with pytest.raises(ConfigError, match=message) as caught:
        choose_device(wanting(**wants))
    assert "=auto" in caught.value.hint


def test_memory_is_that_of_this_process():
    use = memory_use()
    assert use.process_bytes > 50e6
    assert (peak_process_bytes() or use.process_bytes) >= use.process_bytes * 0.5
    if not torch.cuda.is_available():
        assert (use.allocated_bytes, use.reserved_bytes, use.peak_reserved_bytes) == (None,) * 3
