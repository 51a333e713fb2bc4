"""Whether driver, CUDA and torch belong together, and whether torch reaches the card."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from ethtune.core.config import Config
from ethtune.device.checks.probed import TOLD_BY, stage_of
from ethtune.device.checks.verdict import NO_GPU, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.probes import Stage

# Libraries that torch's wheels bring along: the same name elsewhere would be loaded instead.
_SHADOWING = ("libcudart", "libnvJitLink", "libcublas", "libcudnn", "libcusparse", "libnccl")
_INDEX = "https://download.pytorch.org/whl"
_BLACKWELL, _TURING = (10, 0), (7, 5)


def judge_cuda_build(facts: Facts, _config: Config) -> Verdict:
    """A CPU build of torch on a machine with a GPU."""
    torch = stage_of(facts, "torch")
    if isinstance(torch, Verdict):
        return torch
    seen = f"torch {torch['version']}, CUDA {torch['cuda'] or 'none'}"
    if torch.get("hip"):
        return skipped(f"torch {torch['version']} is built for AMD's ROCm, which is not judged")
    if not facts.gpus and not facts.has_driver_traces:
        return ok(f"{seen}; no NVIDIA GPU to use")
    if torch["cuda"] is None:
        return fail(f"{seen}: a CPU build on a machine with a GPU", *torch_fix(facts))
    if not torch["is_available"]:
        return fail(
            f"{seen}: CUDA does not start",
            "see torch.driver_match, env.visible_devices and nvml.init; after a suspend: reboot",
        )
    return ok(seen)


def judge_driver_match(facts: Facts, _config: Config) -> Verdict:
    """Driver older than torch's CUDA; within a major version it runs newer minors."""
    torch = _imported_torch(facts)
    if isinstance(torch, Verdict):
        return torch
    if facts.driver.cuda_version is None or torch["cuda"] is None:
        return skipped("no NVIDIA driver, or a CPU build of torch")
    built, runs = _numbers(torch["cuda"]), facts.driver.cuda_version
    seen = f"driver {facts.driver.version} runs CUDA {runs[0]}.{runs[1]}, torch has {torch['cuda']}"
    if runs[0] < built[0]:
        fix, *commands = torch_fix(facts)
        return fail(seen, f"update the NVIDIA driver, or {fix}", *commands)
    return ok(seen)


def judge_arch(facts: Facts, _config: Config) -> Verdict:
    """A card newer or older than the kernels in torch's build."""
    torch = _imported_torch(facts)
    if isinstance(torch, Verdict):
        return torch
    gpu = facts.gpu
    capability = gpu.compute_capability if gpu else None
    if gpu is None or capability is None or not torch.get("arch_list"):
        return skipped("no GPU that torch sees")
    archs = list(torch["arch_list"])
    seen = f"{gpu.name} is sm_{capability[0]}{capability[1]}, torch has {', '.join(archs)}"
    if any(_arch_runs(arch, capability) for arch in archs):
        return ok(seen)
    return fail(seen, *torch_fix(facts))


def judge_cuda_alloc(facts: Facts, _config: Config) -> Verdict:
    """The driver may list a card on which CUDA cannot start."""
    if not facts.gpus:
        return skipped(NO_GPU)
    stage = stage_of(facts, "cuda.alloc")
    if not isinstance(stage, Verdict):
        return ok("a tensor was computed on the GPU")
    if "802" in stage.evidence:  # multi-GPU servers wait for their switch
        return fail(stage.evidence, None, "sudo systemctl start nvidia-fabricmanager")
    if stage.status == "fail":
        return fail(stage.evidence, "reboot, or load nvidia_uvm anew after a suspend")
    return stage


def judge_visible_devices(facts: Facts, _config: Config) -> Verdict:
    """CUDA_VISIBLE_DEVICES naming cards that do not exist hides all of them silently."""
    value = facts.environment.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return ok("CUDA_VISIBLE_DEVICES is not set")
    if not facts.gpus:
        return skipped(f"{NO_GPU} to hide")
    known = [gpu.uuid or "" for gpu in facts.gpus]
    seen = f"CUDA_VISIBLE_DEVICES={shlex.quote(value)}"
    items = [item.strip() for item in value.split(",")]
    wrong = [item for item in items if not _is_visible(item, known)]
    if not wrong:
        return ok(seen)
    listed = ", ".join(f"{gpu.index} ({gpu.name}, {gpu.uuid})" for gpu in facts.gpus)
    fix = f"cards are {listed}", "unset CUDA_VISIBLE_DEVICES"
    if wrong[0] == items[0]:
        return fail(f"{seen} hides the GPU", *fix)
    return warn(f"{seen}: CUDA ignores {shlex.quote(wrong[0])} and all after it", *fix)


def judge_library_path(facts: Facts, _config: Config) -> Verdict:
    """CUDA libraries on LD_LIBRARY_PATH are loaded before those torch was built with."""
    value = facts.environment.get("LD_LIBRARY_PATH")
    if not value:
        return ok("LD_LIBRARY_PATH is not set")
    found = [
        str(path)
        for folder in value.split(os.pathsep)
        if folder
        for name in _SHADOWING
        for path in sorted(Path(folder).glob(f"{name}.so*"))[:1]
    ]
    if not found:
        return ok("LD_LIBRARY_PATH holds no CUDA libraries")
    return warn(f"loaded before torch's own: {', '.join(found[:3])}", None, "unset LD_LIBRARY_PATH")


def torch_fix(facts: Facts) -> tuple[str, ...]:
    """In words, and as a command: the newest torch that this driver and card can run.

    Wheels exist for CUDA 12.6, 13.0 and 13.2; those for 12.6 end at Hopper, those for 13 begin at
    Turing. For Blackwell under a driver of CUDA 12, torch 2.11 was the last.
    """
    runs = facts.driver.cuda_version or (13, 0)
    capability = (facts.gpu.compute_capability if facts.gpu else None) or (8, 0)
    if runs[0] < 12:
        return ("update the NVIDIA driver: it runs nothing newer than CUDA 11",)
    wanted, index = "torch>=2.10", "cu126"
    if runs[0] == 12 and capability >= _BLACKWELL:
        wanted, index = "torch>=2.10,<2.12", "cu128"
    elif runs[0] >= 13 and capability >= _TURING:
        index = "cu132" if runs >= (13, 2) else "cu130"
    command = facts.packages.pip_command(
        "install", "--force-reinstall", wanted, "--index-url", f"{_INDEX}/{index}"
    )
    return f"install the build of torch for CUDA {index[2:4]}.{index[4:]}", command


def _imported_torch(facts: Facts) -> Stage | Verdict:
    """What torch said of itself; that it does not import is for torch.cuda_build to say."""
    torch = stage_of(facts, "torch")
    if isinstance(torch, Verdict) and torch.status == "fail":
        return skipped(f"torch does not import: see {TOLD_BY['torch']}")
    return torch


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _arch_runs(arch: str, capability: tuple[int, int]) -> bool:
    """Machine code runs within its major version upwards, PTX (compute_) on anything newer."""
    digits = re.sub(r"\D", "", arch) or "00"
    built = int(digits[:-1] or 0), int(digits[-1])
    if arch.startswith("compute_"):
        return capability >= built
    return capability[0] == built[0] and capability >= built


def _is_visible(item: str, uuids: list[str]) -> bool:
    if item.isdigit():
        return int(item) < len(uuids)
    if item.startswith("MIG-"):
        return True
    return bool(item) and any(uuid.startswith(item) for uuid in uuids)


CHECKS = (
    Check("torch.cuda_build", "match", 2, "is torch built for the GPU?", judge_cuda_build),
    Check("torch.driver_match", "match", 3, "is the driver new enough?", judge_driver_match),
    Check("torch.arch", "match", 4, "has torch kernels for this card?", judge_arch),
    Check("cuda.alloc", "match", 20, "does CUDA start on the card?", judge_cuda_alloc),
    Check(
        "env.visible_devices", "match", 21, "does an environment variable hide the card?",
        judge_visible_devices,
    ),
    Check(
        "env.ld_library_path", "match", 22, "do other CUDA libraries shadow torch's?",
        judge_library_path,
    ),
)  # fmt: skip
