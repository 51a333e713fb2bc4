"""Runs in a child of ``ethtune doctor``: imports the stack and does one real QLoRA step.

Each stage writes one JSON line when it begins and one when it ends, so that a crash names its
stage. The order is that of need: a broken optional package must not hide the step.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

PACKAGES = {
    "transformers": "AutoModelForCausalLM",
    "peft": "LoraConfig",
    "accelerate": "Accelerator",
    "datasets": "Dataset",
    "trl": "SFTTrainer",
}
OPTIONAL = ("torchvision", "torchaudio", "flash_attn", "liger_kernel", "wandb")


def tell(stage: str, **facts: Any) -> None:
    """Write one line; stdout is the way to the parent."""
    sys.stdout.write("\n" + json.dumps({"stage": stage, **facts}) + "\n")


def attempt(stage: str, work: Callable[[], dict[str, Any]]) -> None:
    """Run one stage; its fault becomes a fact."""
    tell(stage, state="begun")
    begin = time.monotonic()
    try:
        facts = work()
    except Exception as error:  # noqa: BLE001  # any fault of a foreign package is a finding
        last = (str(error).strip().splitlines() or [""])[-1]
        tell(stage, state="failed", error=f"{type(error).__name__}: {last}"[:300])
    else:
        tell(stage, state="done", seconds=round(time.monotonic() - begin, 2), **facts)


def torch_build() -> dict[str, Any]:
    """What torch was built for, and what it sees."""
    import torch

    facts: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "is_available": torch.cuda.is_available(),
        "num_devices": torch.cuda.device_count(),
    }
    if facts["is_available"]:
        facts["arch_list"] = torch.cuda.get_arch_list()
        facts["capability"] = list(torch.cuda.get_device_capability(0))
        facts["device"] = torch.cuda.get_device_name(0)
    return facts


def native_bitsandbytes() -> dict[str, Any]:
    """A successful import does not say that the native library loaded."""
    import bitsandbytes
    from bitsandbytes import cextension

    library = type(cextension.lib).__name__
    return {
        "version": bitsandbytes.__version__,
        "library": library,
        "is_native": "Mock" not in library and "Error" not in library,
    }


def allocate() -> dict[str, Any]:
    """The driver may list a card on which CUDA cannot start."""
    import torch

    return {"sum": float(torch.ones(1024, device="cuda").sum())}


def qlora_step() -> dict[str, Any]:
    """NF4 layer, adapter beside it, forward, backward, optimizer step, on the real device."""
    import torch
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = torch.float32
    if device == "cuda":
        half = torch.bfloat16 if torch.cuda.get_device_capability(0) >= (8, 0) else torch.float16
    frozen = Linear4bit(
        256, 256, bias=False, compute_dtype=half, compress_statistics=True, quant_type="nf4"
    ).to(device)
    down = torch.nn.Parameter(torch.randn(8, 256, device=device) / 16)
    up = torch.nn.Parameter(torch.zeros(256, 8, device=device))
    optimizer = torch.optim.AdamW([down, up], lr=1e-2)
    inputs = torch.randn(32, 256, device=device)
    wanted = inputs.roll(1, dims=1)
    losses = []
    for _ in range(3):
        outputs = frozen(inputs.to(half)).float() + inputs @ down.T @ up.T
        loss = torch.nn.functional.mse_loss(outputs, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(round(float(loss.detach()), 6))
    if not losses[-1] < losses[0]:
        raise RuntimeError(f"the loss did not fall: {losses}")
    return {"device": device, "losses": losses, "dtype": str(half).removeprefix("torch.")}


def imported(name: str, attribute: str | None = None) -> Callable[[], dict[str, Any]]:
    """Import a package, and what is needed of it where packages load lazily."""

    def work() -> dict[str, Any]:
        module = importlib.import_module(name)
        if attribute:
            getattr(module, attribute)
        return {"version": str(getattr(module, "__version__", ""))}

    return work


def main() -> None:
    """All stages in order."""
    # some packages look for kernels on the hub, or call home, when imported
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    attempt("torch", torch_build)
    attempt("bitsandbytes", native_bitsandbytes)
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        attempt("cuda.alloc", allocate)
    attempt("step", qlora_step)
    for name, attribute in PACKAGES.items():
        attempt(name, imported(name, attribute))
    for name in OPTIONAL:
        if importlib.util.find_spec(name):
            attempt(name, imported(name))


main()
