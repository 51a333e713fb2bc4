"""Python, packages, torch's build against the driver and card, and one real step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ethtune.core.config import Config
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts

_NEEDED = ("torch", "bitsandbytes", "transformers", "peft", "accelerate", "datasets", "trl")
_NOT_PROBED = "the stack is not imported with --quick"


def _stage(facts: Facts, name: str) -> Mapping[str, Any] | Verdict:
    """A finished stage of the probe, or the verdict that stands for its absence."""
    if facts.stages is None:
        return skipped(_NOT_PROBED)
    stage = facts.stages.get(name)
    if stage is None:
        return skipped(f"not reached: the probe ended at {facts.broken_stage or 'its start'}")
    if stage["state"] == "failed":
        return fail(f"{name}: {stage['error']}", f"pip install --force-reinstall {name}")
    if stage["state"] == "begun":
        return fail(f"{name}: {facts.stack_problem}", f"pip install --force-reinstall {name}")
    return stage


def judge_python(facts: Facts, _config: Config) -> Verdict:
    """Version of the interpreter."""
    version = ".".join(map(str, facts.python))
    if facts.python < (3, 10):
        return fail(f"Python {version}", "install Python 3.10 or newer")
    if facts.python >= (3, 15):
        return warn(f"Python {version} is newer than what was tested", "use Python 3.10 to 3.14")
    return ok(f"Python {version}")


def judge_versions(facts: Facts, _config: Config) -> Verdict:
    """Installed packages against those of the tests."""
    missing = [name for name in facts.tested if name not in facts.installed]
    if missing:
        return fail(f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    other = {
        name: version
        for name, version in facts.installed.items()
        if _numbers(version) != _numbers(facts.tested[name])
    }
    if not other:
        return ok(f"{len(facts.installed)} packages as tested")
    shown = ", ".join(
        f"{name} {have} (tested {facts.tested[name]})" for name, have in other.items()
    )
    pins = " ".join(f"{name}=={facts.tested[name]}" for name in other)
    return warn(f"not as tested: {shown}", f"if something breaks: pip install {pins}")


def judge_imports(facts: Facts, _config: Config) -> Verdict:
    """Whether every package imports; an optional one that is broken still breaks others."""
    if facts.stages is None:
        return skipped(_NOT_PROBED)
    if facts.stack_problem and (where := facts.broken_stage or ("" if facts.stages else "python")):
        cure = "install --force-reinstall" if where in _NEEDED else "uninstall"
        return fail(
            f"importing the stack ended at {where}: {facts.stack_problem}", f"pip {cure} {where}"
        )
    # steps judge themselves; here only packages
    steps = ("step", "cuda.alloc")
    failed = {
        name: stage["error"]
        for name, stage in facts.stages.items()
        if stage["state"] == "failed" and name not in steps
    }
    if not failed:
        return ok(f"{len(facts.stages)} stages imported and ran")
    shown = "; ".join(f"{name}: {error}" for name, error in failed.items())
    if failed.keys() & set(_NEEDED):
        return fail(shown, f"pip install --force-reinstall {' '.join(failed)}")
    return warn(shown, f"not needed here: pip uninstall {' '.join(failed)}")


def judge_cuda_build(facts: Facts, _config: Config) -> Verdict:
    """A CPU build of torch on a machine with a GPU."""
    torch = _stage(facts, "torch")
    if isinstance(torch, Verdict):
        return torch
    seen = f"torch {torch['version']}, CUDA {torch['cuda'] or 'none'}"
    if not facts.gpus and not facts.has_driver_traces:
        return ok(f"{seen}; no NVIDIA GPU to use")
    if torch["cuda"] is None:
        return fail(f"{seen}: a CPU build on a machine with a GPU", _index_fix(facts))
    if not torch["is_available"]:
        return fail(f"{seen}: CUDA does not start", "see torch.driver_match and nvml.init")
    return ok(seen)


def judge_driver_match(facts: Facts, _config: Config) -> Verdict:
    """Driver older than torch's CUDA; within a major version it runs newer minors."""
    torch = _stage(facts, "torch")
    if isinstance(torch, Verdict):
        return torch
    if facts.driver.cuda_version is None or torch["cuda"] is None:
        return skipped("no driver version, or a CPU build of torch")
    built, runs = _numbers(torch["cuda"]), facts.driver.cuda_version
    seen = f"driver {facts.driver.version} runs CUDA {runs[0]}.{runs[1]}, torch has {torch['cuda']}"
    if runs[0] < built[0]:
        return fail(seen, f"update the NVIDIA driver, or {_index_fix(facts)}")
    return ok(seen)


def judge_arch(facts: Facts, _config: Config) -> Verdict:
    """A card newer or older than the kernels in torch's build."""
    torch = _stage(facts, "torch")
    if isinstance(torch, Verdict):
        return torch
    capability = facts.gpus[0].compute_capability if facts.gpus else None
    if capability is None or not torch.get("arch_list"):
        return skipped("no GPU that torch sees")
    archs = list(torch["arch_list"])
    seen = (
        f"{facts.gpus[0].name} is sm_{capability[0]}{capability[1]}, torch has {', '.join(archs)}"
    )
    if any(_arch_runs(arch, capability) for arch in archs):
        return ok(seen)
    newest = max((_arch_capability(arch) for arch in archs), default=(0, 0))
    older = "an older torch" if capability < newest else "a torch built for a newer CUDA"
    return fail(seen, f"install {older}")


def judge_bitsandbytes(facts: Facts, _config: Config) -> Verdict:
    """Whether its compiled library loaded: the import alone does not say so."""
    stage = _stage(facts, "bitsandbytes")
    if isinstance(stage, Verdict):
        return stage
    seen = f"bitsandbytes {stage['version']}, {stage['library']}"
    if stage["is_native"]:
        return ok(seen)
    if "BNB_CUDA_VERSION" in facts.environment:
        return fail(f"{seen}: its library did not load", "unset BNB_CUDA_VERSION")
    return fail(f"{seen}: its library did not load", "pip install --upgrade bitsandbytes")


def judge_step(facts: Facts, _config: Config) -> Verdict:
    """One real QLoRA step: NF4 forward, backward, optimizer, a falling loss."""
    step = _stage(facts, "step")
    if isinstance(step, Verdict):
        return step
    first, last = step["losses"][0], step["losses"][-1]
    return ok(
        f"NF4 training on {step['device']} in {step['dtype']}: loss {first:.3f} to {last:.3f}"
    )


def judge_cuda_alloc(facts: Facts, _config: Config) -> Verdict:
    """The driver may list a card on which CUDA cannot start."""
    if not facts.gpus:
        return skipped("no GPU")
    stage = _stage(facts, "cuda.alloc")
    if isinstance(stage, Verdict):
        return stage
    return ok("a tensor was computed on the GPU")


def _index_fix(facts: Facts) -> str:
    """Which of torch's package indexes this driver can run."""
    cuda = facts.driver.cuda_version
    newest = "a CUDA build of torch" if cuda is None else f"a build of torch for CUDA {cuda[0]}.x"
    return f"install {newest} (pytorch.org, Get started)"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _arch_capability(arch: str) -> tuple[int, int]:
    digits = re.sub(r"\D", "", arch) or "00"
    return int(digits[:-1] or 0), int(digits[-1])


def _arch_runs(arch: str, capability: tuple[int, int]) -> bool:
    """Machine code runs within its major version upwards, PTX (compute_) on anything newer."""
    built = _arch_capability(arch)
    if arch.startswith("compute_"):
        return capability >= built
    return capability[0] == built[0] and capability >= built


CHECKS = (
    Check("python", "software", judge_python),
    Check("stack.versions", "software", judge_versions),
    Check("stack.imports", "software", judge_imports),
    Check("torch.cuda_build", "software", judge_cuda_build),
    Check("torch.driver_match", "software", judge_driver_match),
    Check("torch.arch", "software", judge_arch),
    Check("bnb.native", "software", judge_bitsandbytes),
    Check("cuda.alloc", "software", judge_cuda_alloc),
    Check("gpu.smoke", "software", judge_step),
)
