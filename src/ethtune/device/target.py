"""Where a run would go: a card by name, a card by memory, or this machine as it is now."""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB
from ethtune.device.gpus import GpuFacts, find_gpu
from ethtune.device.host import host_facts
from ethtune.device.nvml import readings


@dataclass(frozen=True, slots=True)
class Target:
    """Where the run would go. ``facts`` is None for a card of unknown speed."""

    name: str
    free_bytes: int
    on_gpu: bool
    has_bfloat16: bool
    facts: GpuFacts | None = None
    cpu_cores: int = 1


def named_target(gpu: str | None, vram_gib: float | None) -> Target | None:
    """The card a user names, None when none is named. Raises ConfigError."""
    if gpu is not None:
        size = None if vram_gib is None else int(vram_gib * GIB)
        facts = find_gpu(gpu, vram_bytes=size)
        return gpu_target(facts)
    return None if vram_gib is None else vram_target(vram_gib)


def gpu_target(card: GpuFacts) -> Target:
    """A known card with nothing else on it."""
    return Target(card.name, card.usable_bytes, True, card.has_bfloat16, card)


def vram_target(gib: float) -> Target:
    """A card of which only the memory is known."""
    if not 0 < gib <= 1024:
        raise ConfigError(f"--vram {gib:g}: expected GiB of graphics memory", hint="--vram 12")
    return Target(f"a GPU with {gib:g} GiB", int(gib * GIB), on_gpu=True, has_bfloat16=True)


def local_target(uuid: str = "") -> Target:
    """This machine: its GPU of that UUID, or its first, as it is now; else its CPU."""
    for gpu in sorted(readings(), key=lambda gpu: uuid not in (gpu.uuid or "")):
        total, used = gpu.memory_total_bytes, gpu.memory_used_bytes
        if total is None or used is None:
            continue
        try:
            facts = find_gpu(gpu.name, vram_bytes=total)
        except ConfigError:
            facts = None
        modern = (gpu.compute_capability or (8, 0)) >= (8, 0)
        return Target(f"{gpu.name} (here)", total - used, True, modern, facts)
    return cpu_target()


def cpu_target() -> Target:
    """This machine's CPU and free memory."""
    host = host_facts()
    return Target(
        name=f"{host.cpu_name}, {host.cpu_cores} cores (here)",
        free_bytes=host.ram_available_bytes,
        on_gpu=False,
        has_bfloat16=host.has_bfloat16,
        cpu_cores=host.cpu_cores,
    )
