"""Memory, disk and system settings around the run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB, MIB, format_bytes
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.hubcache import cached_snapshot
from ethtune.device.memory import adapter_sizes, host_bytes_to_load
from ethtune.device.shapes import find_model, shape_of
from ethtune.device.workload import workload_of

# Libraries that torch's wheels bring along: the same name elsewhere would be loaded instead.
_SHADOWING = ("libcudart", "libnvJitLink", "libcublas", "libcudnn", "libcusparse", "libnccl")
_SHARED_MEMORY_BYTES = GIB
_OPEN_FILES = 1024


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
    wsl = "raise memory= in .wslconfig, then wsl --shutdown" if host.is_wsl else "add swap"
    return fail(seen + limit, f"close other programs, or {wsl}")


def judge_disk(facts: Facts, config: Config) -> Verdict:
    """Room for the download and for the checkpoints."""
    try:
        shape = shape_of(config.model.base_model)
        work = workload_of(config, shape, has_bfloat16=True, on_gpu=False)
    except ConfigError as error:
        return skipped(error.message)
    model = find_model(config.model.base_model)
    is_here = model is None or cached_snapshot(model.hub_id, config.model.cache_dir) is not None
    download = 0 if model is None or is_here else model.download_bytes
    # adapter and two 32-bit moments, for the kept checkpoints, one being written, and the result
    copies = config.logging.save_total_limit + 2
    output = copies * (sum(adapter_sizes(shape, work)) * 12 + 20 * MIB)
    cache_free, output_free = facts.cache_free_bytes, facts.output_free_bytes
    if cache_free is None or output_free is None:
        return skipped("the file system does not tell its free space")
    seen = (
        f"download {format_bytes(download)} of {format_bytes(cache_free)} free, "
        f"checkpoints {format_bytes(output)} of {format_bytes(output_free)} free"
    )
    if download > cache_free:
        return fail(seen, "put the cache on a larger disk: export HF_HOME=/large/disk")
    if output > output_free or download + output > max(cache_free, output_free):
        return fail(seen, "choose another output folder, or a smaller logging.save_total_limit")
    return ok(seen)


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
    return warn(f"loaded before torch's own: {', '.join(found[:3])}", "unset LD_LIBRARY_PATH")


def judge_shared_memory(facts: Facts, _config: Config) -> Verdict:
    """Containers often get 64 MiB, which data loading workers overrun."""
    size = facts.shared_memory_bytes
    if size is None:
        return skipped("no shared memory folder here")
    if size < _SHARED_MEMORY_BYTES:
        return warn(f"shared memory: {format_bytes(size)}", "docker run --shm-size=2g")
    return ok(f"shared memory: {format_bytes(size)}")


def judge_limits(facts: Facts, _config: Config) -> Verdict:
    """Files that one process may hold open."""
    limit = facts.open_files_limit
    if limit is None:
        return skipped("no such limit here")
    if 0 <= limit < _OPEN_FILES:
        return warn(f"only {limit} open files allowed", f"ulimit -n {4 * _OPEN_FILES}")
    return ok("enough open files allowed")


def judge_wsl(facts: Facts, _config: Config) -> Verdict:
    """Windows' Linux pins little memory and reads Windows' disks slowly."""
    if not facts.host.is_wsl:
        return skipped("not WSL")
    if str(Path.cwd()).startswith("/mnt/"):
        return warn("working on a Windows disk under /mnt", "move the project into ~ of WSL")
    return ok("WSL, working on its own disk")


def judge_compiler(facts: Facts, _config: Config) -> Verdict:
    """Triton compiles small C files at the first step."""
    if not facts.gpus:
        return skipped("no GPU, nothing is compiled")
    if shutil.which("cc") or shutil.which("gcc") or shutil.which("cl"):
        return ok("a C compiler is there")
    return warn("no C compiler: kernels that Triton builds will fail", "install gcc")


CHECKS = (
    Check("ram.load", "machine", judge_ram),
    Check("disk.space", "machine", judge_disk),
    Check("env.ld_library_path", "machine", judge_library_path),
    Check("shared_memory", "machine", judge_shared_memory),
    Check("ulimits", "machine", judge_limits),
    Check("build.tools", "machine", judge_compiler),
    Check("wsl", "machine", judge_wsl),
)
