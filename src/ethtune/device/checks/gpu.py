"""Which card there is, whether it is free, cool and able, and whether the run fits on it."""

from __future__ import annotations

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.units import format_bytes
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.memory import estimate_memory
from ethtune.device.shapes import shape_of
from ethtune.device.workload import workload_of

_HOT_CELSIUS = 83
_HARMFUL_REASONS = frozenset(
    {"hardware slowdown", "software thermal", "hardware thermal", "power brake"}
)


def judge_nvml(facts: Facts, _config: Config) -> Verdict:
    """Whether the driver answers."""
    if facts.gpus:
        names = ", ".join(gpu.name for gpu in facts.gpus)
        return ok(f"driver {facts.driver.version}: {names}")
    if facts.has_driver_traces:
        problem = facts.nvml_problem or "the driver reports no card"
        if "different versions" in problem:
            return fail(problem, "reboot: the driver was updated under the running kernel")
        return fail(problem, "check nvidia-smi; in a container pass the GPU in (--gpus all)")
    return skipped(f"no NVIDIA GPU: {facts.nvml_problem or 'none found'}")


def judge_visible_devices(facts: Facts, _config: Config) -> Verdict:
    """CUDA_VISIBLE_DEVICES naming cards that do not exist hides all of them silently."""
    value = facts.environment.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return ok("CUDA_VISIBLE_DEVICES is not set")
    if not facts.gpus:
        return skipped("no GPU to hide")
    known = [gpu.uuid or "" for gpu in facts.gpus]
    wrong = [item for item in value.split(",") if not _is_visible(item.strip(), known)]
    if wrong:
        listed = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in facts.gpus)
        return fail(f'CUDA_VISIBLE_DEVICES="{value}" hides the GPU', f"cards are {listed}")
    return ok(f"CUDA_VISIBLE_DEVICES={value}")


def judge_several(facts: Facts, _config: Config) -> Verdict:
    """One process trains on one card."""
    if not facts.gpus:
        return skipped("no GPU")
    if len(facts.gpus) > 1 and "," in facts.environment.get("CUDA_VISIBLE_DEVICES", ","):
        return warn(
            f"{len(facts.gpus)} GPUs are visible, a run uses one",
            "the first is taken; CUDA_VISIBLE_DEVICES=1 chooses the other",
        )
    return ok("one GPU")


def judge_precision(facts: Facts, config: Config) -> Verdict:
    """bfloat16 from compute capability 8.0 on; older cards would emulate it slowly."""
    if not facts.gpus or (capability := facts.gpus[0].compute_capability) is None:
        return skipped("no GPU, or its compute capability is not told")
    seen = f"compute capability {capability[0]}.{capability[1]}"
    if capability >= (8, 0):
        return ok(f"{seen}: bfloat16")
    wanted = config.optimization.bf16 is True or (
        config.quantization.bnb_4bit_compute_dtype == "bfloat16"
    )
    if wanted:
        return warn(
            f"{seen} has no bfloat16 units, the config asks for it",
            "set optimization.bf16 and quantization.bnb_4bit_compute_dtype to auto",
        )
    return ok(f"{seen}: float16")


def judge_fit(facts: Facts, config: Config) -> Verdict:
    """Whether the config's memory need is free on the card."""
    if not facts.gpus:
        return skipped("no GPU")
    gpu = facts.gpus[0]
    if gpu.memory_total_bytes is None or gpu.memory_used_bytes is None:
        return skipped(f"{gpu.name} shares the system's memory or does not tell its own")
    try:
        shape = shape_of(config.model.base_model)
        modern = (gpu.compute_capability or (8, 0)) >= (8, 0)
        work = workload_of(config, shape, has_bfloat16=modern, on_gpu=True)
    except ConfigError as error:
        return skipped(error.message)
    low, high = estimate_memory(shape, work).process_bytes
    free = gpu.memory_total_bytes - gpu.memory_used_bytes
    seen = f"needs {format_bytes(low)} to {format_bytes(high)}, free {format_bytes(free)}"
    if low > free:
        return fail(seen, "ethtune estimate shows what each switch saves")
    return ok(seen) if high <= free else warn(f"tight: {seen}", "close what else uses the GPU")


def judge_others(facts: Facts, _config: Config) -> Verdict:
    """Who else holds memory of the card."""
    if not facts.gpus:
        return skipped("no GPU")
    gpu = facts.gpus[0]
    others = facts.gpu_processes.get(gpu.index)
    if others:
        shown = ", ".join(
            f"process {item.pid}"
            + (f" ({format_bytes(item.used_bytes)})" if item.used_bytes else "")
            for item in others
        )
        return warn(f"computing on the GPU already: {shown}", "wait for them, or end them")
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    if used is not None and total and used > 0.2 * total:
        return warn(
            f"{format_bytes(used)} used, no process shown",
            "another container or user, or a dead run: reboot if nothing else owns it",
        )
    return ok("nothing else computes on the GPU")


def judge_heat(facts: Facts, _config: Config) -> Verdict:
    """Hot or slowed down before the run even begins."""
    if not facts.gpus:
        return skipped("no GPU")
    gpu = facts.gpus[0]
    harmful = sorted(_HARMFUL_REASONS & set(gpu.throttle_reasons or ()))
    celsius = gpu.temperature_celsius
    if harmful or (celsius or 0) >= _HOT_CELSIUS:
        why = f" ({', '.join(harmful)})" if harmful else ""
        return warn(f"{celsius} °C before the run{why}", "clean the fans, let it cool down")
    return ok("temperature unknown" if celsius is None else f"{celsius} °C, not slowed down")


def _is_visible(item: str, uuids: list[str]) -> bool:
    if item.isdigit():
        return int(item) < len(uuids)
    if item.startswith("MIG-"):
        return True
    return bool(item) and any(uuid.startswith(item) for uuid in uuids)


CHECKS = (
    Check("nvml.init", "gpu", judge_nvml),
    Check("env.visible_devices", "gpu", judge_visible_devices),
    Check("multi_gpu", "gpu", judge_several),
    Check("precision", "gpu", judge_precision),
    Check("vram.fit", "gpu", judge_fit),
    Check("vram.others", "gpu", judge_others),
    Check("gpu.thermal_now", "gpu", judge_heat),
)
