"""Which card there is, and whether it is well: the driver, modes, heat, power, bus, errors."""

from __future__ import annotations

from ethtune.core.config import Config
from ethtune.core.units import format_bytes
from ethtune.device.checks.verdict import NO_GPU, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts

_HOT_CELSIUS = 83
_NEAR_SLOWDOWN_CELSIUS = 5
_LOW_POWER_SHARE = 0.7
_HARMFUL_REASONS = frozenset(
    {"hardware slowdown", "software thermal", "hardware thermal", "power brake"}
)
# numbers of the driver's fault messages that mean broken or badly fed hardware
_GRAVE_XIDS = {48: "double bit error", 79: "fell off the bus", 62: "halted", 74: "NVLink error"}


def judge_nvml(facts: Facts, _config: Config) -> Verdict:
    """The driver answers, and every card with it."""
    faults = [f"GPU {i}: {card.fault}" for i, card in enumerate(facts.cards) if card.fault]
    if faults:
        return fail("; ".join(faults), "reboot; if it comes back: power supply, riser, seat")
    if facts.gpus:
        names = ", ".join(gpu.name for gpu in facts.gpus)
        return ok(f"driver {facts.driver.version or 'of unknown version'}: {names}")
    if not facts.has_driver_traces and "different versions" not in (facts.nvml_problem or ""):
        return skipped(f"{NO_GPU}: {facts.nvml_problem or 'none found'}")
    problem = facts.nvml_problem or "the driver reports no card"
    if "different versions" in problem:
        return fail(problem, "reboot: the driver was updated under the running kernel")
    if facts.host.is_container:
        return fail(problem, "start the container anew with its GPU: docker run --gpus all")
    return fail(problem, "reinstall the NVIDIA driver; nvidia-smi shows whether it works")


def judge_compute_mode(facts: Facts, _config: Config) -> Verdict:
    """A card may be set to take one process, or none."""
    gpu, mode = facts.gpu, facts.card.compute_mode
    if gpu is None or mode is None:
        return skipped(NO_GPU if gpu is None else "the card has no such mode")
    if mode == "prohibited":
        return fail(
            f"{gpu.name} takes no computations", None, f"sudo nvidia-smi -i {gpu.index} -c 0"
        )
    if mode.startswith("exclusive") and facts.card.processes:
        return fail(
            f"{gpu.name} takes one process, and has one", None,
            f"sudo nvidia-smi -i {gpu.index} -c 0",
        )  # fmt: skip
    return ok(f"mode: {mode}")


def judge_mig(facts: Facts, _config: Config) -> Verdict:
    """A card that is cut into parts is used through one of them."""
    gpu, parts = facts.gpu, facts.card.mig
    if gpu is None:
        return skipped(NO_GPU)
    if parts is None:
        return ok("the card is whole")
    if not parts:
        return fail(
            f"{gpu.name} is in MIG mode and has no instance", None,
            f"sudo nvidia-smi mig -i {gpu.index} -cgi 0 -C",
        )  # fmt: skip
    total = parts[0].memory_total_bytes
    size = f", the first has {format_bytes(total)}" if total else ""
    seen = f"{gpu.name} is cut into {len(parts)}{size}; utilisation is not told"
    if facts.environment.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        return ok(seen)
    return warn(
        seen, "name the part that is meant", f"export CUDA_VISIBLE_DEVICES={parts[0].uuid or 0}"
    )


def judge_unified_memory(facts: Facts, _config: Config) -> Verdict:
    """Jetson, GB10 and their like have no memory of their own to report."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    if facts.card.fault:
        return skipped(facts.card.fault)
    if facts.memory[0] is not None:
        return ok("the card has its own memory")
    free = format_bytes(facts.host.ram_available_bytes)
    return warn(
        f"{facts.gpu.name} does not tell its memory: shared with the system, {free} free",
        "compare ethtune estimate with the system's free memory",
    )


def judge_heat(facts: Facts, _config: Config) -> Verdict:
    """Hot or slowed down before the run even begins."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    celsius, slowdown = facts.gpu.temperature_celsius, facts.card.slowdown_celsius
    harmful = sorted(_HARMFUL_REASONS & set(facts.gpu.throttle_reasons or ()))
    limit = slowdown - _NEAR_SLOWDOWN_CELSIUS if slowdown else _HOT_CELSIUS
    if harmful or (celsius or 0) >= min(limit, _HOT_CELSIUS):
        why = f" ({', '.join(harmful)})" if harmful else ""
        seen = "temperature unknown" if celsius is None else f"{celsius} °C"
        return warn(f"{seen} before the run{why}", "clean the fans, let it cool down")
    return ok("temperature unknown" if celsius is None else f"{celsius} °C, not slowed down")


def judge_power(facts: Facts, _config: Config) -> Verdict:
    """A cap far below what the card was built for makes steps slow."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    limit, normal = facts.gpu.power_limit_watts, facts.card.default_power_watts
    if limit is None or normal is None:
        return skipped("the card does not tell its power limit")
    seen = f"limit {limit:.0f} W of {normal:.0f} W"
    if limit < _LOW_POWER_SHARE * normal:
        return warn(
            seen, "raise it, unless it is meant",
            f"sudo nvidia-smi -i {facts.gpu.index} -pl {normal:.0f}",
        )  # fmt: skip
    return ok(seen)


def judge_pcie(facts: Facts, _config: Config) -> Verdict:
    """Lanes that are missing; a lower generation is normal on an idle card."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    (generation, lanes), (_, most) = facts.card.pcie, facts.card.pcie_max
    if lanes is None or most is None:
        return skipped("the card does not tell its link")
    seen = f"{lanes} of {most} PCIe lanes" + (f", generation {generation}" if generation else "")
    if lanes < most and lanes <= 4:
        return warn(seen, "seat the card in the long slot, without riser; paging will be slow")
    return ok(seen)


def judge_ecc(facts: Facts, _config: Config) -> Verdict:
    """Memory errors that could not be corrected make wrong numbers."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    count = facts.card.uncorrected_errors
    if count is None:
        return skipped("the card has no error correction")
    if count:
        return warn(
            f"{count} uncorrected memory errors since boot", "reboot; if they return, replace it"
        )
    return ok("no uncorrected memory errors")


def judge_xid(facts: Facts, _config: Config) -> Verdict:
    """What the driver wrote into the kernel's log."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    if facts.system.xids is None:
        return skipped("the kernel's log is not readable")
    grave = [f"Xid {n} ({_GRAVE_XIDS[n]})" for n in facts.system.xids if n in _GRAVE_XIDS]
    if grave:
        return warn(f"in the kernel's log: {', '.join(grave)}", "check power supply and riser")
    return ok("no grave fault in the kernel's log")


CHECKS = (
    Check("nvml.init", "gpu", 19, "does the NVIDIA driver answer?", judge_nvml),
    Check("gpu.compute_mode", "gpu", 27, "may we compute on the card?", judge_compute_mode),
    Check("gpu.mig", "gpu", 29, "is the card whole or cut into parts?", judge_mig),
    Check("gpu.thermal_now", "gpu", 36, "is it cool before the start?", judge_heat),
    Check("gpu.power", "gpu", 37, "may it draw its power?", judge_power),
    Check("gpu.pcie", "gpu", 38, "has it all its PCIe lanes?", judge_pcie),
    Check("gpu.ecc", "gpu", 39, "is its memory free of errors?", judge_ecc),
    Check("gpu.xid", "gpu", 40, "did the driver log a fault?", judge_xid),
    Check("unified_memory", "gpu", 47, "has the card memory of its own?", judge_unified_memory),
)
