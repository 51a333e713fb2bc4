"""Whether the run fits: on the card, in the host while it loads, in shared memory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB, format_bytes
from ethtune.device.cards import GpuProcess
from ethtune.device.checks.verdict import NO_GPU, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.memory import estimate_memory, host_bytes_to_load
from ethtune.device.shapes import shape_of
from ethtune.device.workload import workload_of

_SHARED_MEMORY_BYTES = GIB
_DESKTOP_SHARE = 0.2


def judge_fit(facts: Facts, config: Config) -> Verdict:
    """Whether the config's memory need is free on the card."""
    gpu, free = facts.gpu, facts.free_bytes
    if gpu is None:
        return skipped(NO_GPU)
    if free is None:
        return skipped(f"{gpu.name} shares the system's memory or does not tell its own")
    try:
        shape = shape_of(config.model.base_model)
        modern = (gpu.compute_capability or (8, 0)) >= (8, 0)
        work = workload_of(config, shape, has_bfloat16=modern, on_gpu=True)
    except ConfigError as error:
        return skipped(error.message)
    low, high = estimate_memory(shape, work).process_bytes
    part = "its first part, " if facts.card.mig else ""
    if (several := config.training.num_processes) > 1:
        part, free = "on the fullest card ", min([free, *_free_bytes(facts, several)])
    seen = f"needs {format_bytes(low)} to {format_bytes(high)}, {part}free {format_bytes(free)}"
    if low > free:
        command = f"ethtune estimate --base-model {shlex.quote(config.model.base_model)}"
        return fail(seen, "see what each switch saves, or take a smaller profile", command)
    return ok(seen) if high <= free else warn(f"tight: {seen}", "close what else uses the GPU")


def _free_bytes(facts: Facts, num_cards: int) -> Iterator[int]:
    """Of the first cards, those that tell."""
    for gpu in facts.gpus[:num_cards]:
        if gpu.memory_total_bytes is not None and gpu.memory_used_bytes is not None:
            yield gpu.memory_total_bytes - gpu.memory_used_bytes


def judge_others(facts: Facts, _config: Config) -> Verdict:
    """Who else holds memory of the card."""
    if facts.gpu is None:
        return skipped(NO_GPU)
    others = facts.card.processes
    if others:
        shown = ", ".join(map(process_text, others))
        desktop = "; the card also drives a display" if facts.card.has_display else ""
        return warn(f"on the GPU already: {shown}{desktop}", "wait for them, or end them")
    total, used = facts.memory
    if used is not None and total and used > _DESKTOP_SHARE * total:
        return warn(
            f"{format_bytes(used)} used, no process shown",
            "another container or user, or a dead run: reboot if nothing else owns it",
        )
    if others is None:
        return skipped("who uses the card is not told here (WSL, MIG, permissions)")
    return ok("nobody else uses the GPU")


def judge_ram(facts: Facts, config: Config) -> Verdict:
    """Host memory while the weights are read."""
    try:
        need = host_bytes_to_load(shape_of(config.model.base_model))
    except ConfigError as error:
        return skipped(error.message)
    host = facts.host
    limit = " (the container's limit)" if host.cgroup_limit_bytes else ""
    seen = (
        f"loading needs about {format_bytes(need)}, free {format_bytes(host.ram_available_bytes)}"
    )
    if need <= host.ram_available_bytes:
        return ok(seen + limit)
    if need <= host.ram_available_bytes + host.swap_free_bytes:
        return warn(f"{seen}{limit}, the rest from swap", "close other programs")
    if host.cgroup_limit_bytes:
        return fail(seen + limit, "start the container with more memory: docker run --memory")
    if host.is_wsl:
        return fail(seen, "raise memory= in .wslconfig, then in Windows: wsl --shutdown")
    return fail(
        seen, "close other programs, or add swap",
        "sudo fallocate -l 16G /swapfile && sudo chmod 600 /swapfile"
        " && sudo mkswap /swapfile && sudo swapon /swapfile",
    )  # fmt: skip


def judge_shared_memory(facts: Facts, config: Config) -> Verdict:
    """Containers often get 64 MiB, which data loading workers overrun."""
    size = facts.system.shared_memory_bytes
    if size is None:
        return skipped("no shared memory folder here")
    seen = f"shared memory: {format_bytes(size)}"
    if size >= _SHARED_MEMORY_BYTES:
        return ok(seen)
    workers = config.data.dataloader_num_workers
    if not workers:
        return ok(f"{seen}; no loader workers need it")
    return warn(
        f"{seen}, and {workers} loader workers",
        "docker run --shm-size=2g, or --set data.dataloader_num_workers=0",
    )


def process_text(process: GpuProcess) -> str:
    """Who it is and what it holds, as far as the driver tells."""
    size = f", {format_bytes(process.used_bytes)}" if process.used_bytes else ""
    return f"{process.name or 'process'} ({process.pid}{size})"


CHECKS = (
    Check("vram.fit", "memory", 8, "does the run fit on the card?", judge_fit),
    Check("vram.others", "memory", 9, "who else holds its memory?", judge_others),
    Check("ram.load", "memory", 11, "can the host load the weights?", judge_ram),
    Check("shared_memory", "memory", 34, "is there room for loader workers?", judge_shared_memory),
)
