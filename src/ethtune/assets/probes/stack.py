"""Runs in a child of ``ethtune doctor``: imports the stack and does one real QLoRA step.

Each stage writes one JSON line when it begins and one when it ends, so that a crash names its
stage. The order is that of need: a broken optional package must not hide the step.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = {
    "transformers": "AutoModelForCausalLM",
    "peft": "LoraConfig",
    "accelerate": "Accelerator",
    "datasets": "Dataset",
    "trl": "SFTTrainer",
}
# imported by the packages above where they are there, needed or not
OPTIONAL = (
    "torchvision", "torchaudio", "torchao", "torchcodec", "flash_attn", "liger_kernel", "wandb",
    "deepspeed",
)  # fmt: skip
PINNED_STEP_BYTES, PINNED_STEPS = 128 << 20, 8
WIDTH = 512  # 512 x 512 is enough for both kinds of optimizer state: paged and quantised


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
        facts["uuid"] = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
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


def pinned() -> dict[str, Any]:
    """Windows' Linux stops at some pinned memory, with an error that looks like a full card."""
    import torch

    kept: list[Any] = []
    try:
        while len(kept) < PINNED_STEPS:
            kept += [torch.empty(PINNED_STEP_BYTES, dtype=torch.uint8, pin_memory=True)]
    except RuntimeError:
        return {"bytes": len(kept) * PINNED_STEP_BYTES, "is_limit": True}
    return {"bytes": len(kept) * PINNED_STEP_BYTES, "is_limit": False}


def peers() -> dict[str, Any]:
    """Whether the first two cards reach each other's memory."""
    import torch

    return {"peer_access": torch.cuda.can_device_access_peer(0, 1)}


def device_and_dtype() -> tuple[str, Any]:
    """Where a step would run here, and in which precision."""
    import torch

    if not torch.cuda.is_available():
        return "cpu", torch.float32
    has_bfloat16 = torch.cuda.get_device_capability(0) >= (8, 0)
    return "cuda", torch.bfloat16 if has_bfloat16 else torch.float16


def matmul_4bit() -> dict[str, Any]:
    """NF4 weights with double quantisation: product and gradient against the same in full."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(0)
    device, half = device_and_dtype()
    layer = Linear4bit(
        WIDTH, WIDTH, bias=False, compute_dtype=half, compress_statistics=True, quant_type="nf4"
    ).to(device)
    inputs = torch.randn(64, WIDTH, device=device, dtype=half, requires_grad=True)
    outputs = layer(inputs)
    outputs.float().square().mean().backward()
    full = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    again = inputs.detach().float().requires_grad_()
    expected = again @ full.T
    expected.square().mean().backward()
    pairs: list[tuple[Any, Any]] = [(outputs, expected), (inputs.grad, again.grad)]
    errors = [float((have.float() - want).norm() / want.norm()) for have, want in pairs]
    if not max(errors) < 0.05:
        raise RuntimeError(
            f"4-bit product and gradient are off by {errors[0]:.1%}, {errors[1]:.1%}"
        )
    return {"device": device, "dtype": str(half).removeprefix("torch."), "errors": errors}


def optimizers() -> dict[str, Any]:
    """One step of each of bitsandbytes' optimizers that a config may name."""
    import torch
    from bitsandbytes import optim

    device, _ = device_and_dtype()
    stepped = []
    for name in ("PagedAdamW32bit", "PagedAdamW8bit", "AdamW8bit"):
        weight = torch.nn.Parameter(torch.ones(WIDTH, WIDTH, device=device))
        optimizer = getattr(optim, name)([weight], lr=0.1)
        weight.square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        moved = float((1 - weight.detach()).mean())
        if not 0.05 < moved < 0.2:  # Adam's first step is the learning rate, whatever the gradient
            raise RuntimeError(f"{name} moved a weight by {moved:g} where it should by 0.1")
        stepped.append(name)
    return {"device": device, "optimizers": stepped}


def qlora_step() -> dict[str, Any]:
    """NF4 layer, adapter beside it: a falling loss, and the adapter back from disk as it was."""
    import torch
    from bitsandbytes.nn import Linear4bit
    from bitsandbytes.optim import PagedAdamW8bit
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    device, half = device_and_dtype()
    frozen = Linear4bit(
        256, 256, bias=False, compute_dtype=half, compress_statistics=True, quant_type="nf4"
    ).to(device)
    down = torch.nn.Parameter(torch.randn(32, 256, device=device) / 16)
    up = torch.nn.Parameter(torch.zeros(256, 32, device=device))
    optimizer = PagedAdamW8bit([down, up], lr=1e-2)
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
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "adapter.safetensors")
        save_file({"down": down.detach().cpu(), "up": up.detach().cpu()}, file)
        if not torch.equal(load_file(file)["up"], up.detach().cpu()):
            raise RuntimeError("the adapter read from disk is another one")
    return {"device": device, "losses": losses, "dtype": str(half).removeprefix("torch.")}


def imported(name: str, attribute: str | None = None) -> Callable[[], dict[str, Any]]:
    """Import a package, and what is needed of it where packages load lazily."""

    def work() -> dict[str, Any]:
        module = importlib.import_module(name)
        if attribute:
            getattr(module, attribute)
        return {"version": str(getattr(module, "__version__", ""))}

    return work


def steps() -> None:
    """What a step of training is made of, once torch and bitsandbytes are there."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        attempt("cuda.alloc", allocate)
        if "microsoft" in platform.release().casefold():
            attempt("pinned", pinned)
        if torch.cuda.device_count() > 1:
            attempt("peers", peers)
    attempt("matmul", matmul_4bit)
    attempt("optimizers", optimizers)
    attempt("step", qlora_step)


def main() -> None:
    """All stages in order."""
    # some packages look for kernels on the hub, or call home, when imported
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    warnings.simplefilter("ignore")  # the last line on stderr is to be an error
    attempt("torch", torch_build)
    attempt("bitsandbytes", native_bitsandbytes)
    steps()
    for name, attribute in PACKAGES.items():
        attempt(name, imported(name, attribute))
    for name in OPTIONAL:
        if importlib.util.find_spec(name):
            attempt(name, imported(name))
    tell("end", state="done")


main()
