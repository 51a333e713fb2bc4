"""The machine around the GPU: memory, processor, disk, system; None where it is not told."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_CGROUP_USED = (
    Path("/sys/fs/cgroup/memory.current"),
    Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
# What of a CPU's instruction set decides the speed of training on it.
_NOTABLE_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """``cgroup_limit_bytes`` is a container's memory limit; None without one."""

    ram_total_bytes: int
    ram_available_bytes: int
    swap_free_bytes: int
    cgroup_limit_bytes: int | None
    cpu_name: str
    cpu_cores: int
    cpu_flags: tuple[str, ...]
    system: str
    is_wsl: bool
    is_container: bool

    @property
    def has_bfloat16(self) -> bool:
        """Whether the CPU multiplies bfloat16 itself."""
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(self.cpu_flags))


def host_facts() -> HostFacts:
    """Look at this machine."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    limit, used = _first_number(_CGROUP_LIMITS), _first_number(_CGROUP_USED)
    if limit is not None and limit >= memory.total:  # the kernel's way of saying no limit
        limit = None
    available = memory.available if limit is None else min(memory.available, limit - (used or 0))
    name, flags = _processor()
    return HostFacts(
        ram_total_bytes=memory.total if limit is None else limit,
        ram_available_bytes=max(available, 0),
        swap_free_bytes=swap.free,
        cgroup_limit_bytes=limit,
        cpu_name=name,
        cpu_cores=_usable_cores(),
        cpu_flags=flags,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        is_wsl="microsoft" in platform.release().casefold(),
        is_container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
    )


def free_disk_bytes(path: Path) -> int | None:
    """Free bytes for this user on the file system that holds, or will hold, ``path``."""
    import psutil

    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        return int(psutil.disk_usage(str(existing)).free)
    except OSError:
        return None


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> tuple[str, tuple[str, ...]]:
    """Name and notable flags; only Linux tells the flags without running an instruction."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return name, ()
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = value
    present = set(flags.split())
    return name, tuple(flag for flag in _NOTABLE_FLAGS if flag in present)


def _first_number(paths: tuple[Path, ...]) -> int | None:
    """Contents of the first file that exists; the word max is no number."""
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text(encoding="ascii"))
    return None
