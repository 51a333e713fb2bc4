"""Everything the doctor judges by, gathered once: the checks themselves only read it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ethtune.core.reading import GpuReading
from ethtune.device import nvml
from ethtune.device.child import run_probe
from ethtune.device.host import HostFacts, free_disk_bytes, host_facts
from ethtune.device.hubcache import hub_cache

_PROBE_SECONDS = 120.0
_DRIVER_TRACES = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version")
_VARIABLES = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "BNB_CUDA_VERSION")

Stage = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """``stages`` is None when the stack was not probed; ``stack_problem`` says how the probe died.

    ``gpu_processes`` maps a card's index to who computes on it, None where that is not told.
    """

    python: tuple[int, int, int]
    host: HostFacts
    gpus: tuple[GpuReading, ...] = ()
    nvml_problem: str | None = None
    driver: nvml.DriverFacts = field(default_factory=nvml.DriverFacts)
    has_driver_traces: bool = False
    gpu_processes: Mapping[int, tuple[nvml.GpuProcess, ...] | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    tested: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, Stage] | None = None
    stack_problem: str | None = None
    cache_free_bytes: int | None = None
    output_free_bytes: int | None = None
    shared_memory_bytes: int | None = None
    open_files_limit: int | None = None

    @property
    def broken_stage(self) -> str | None:
        """The stage that was running when the probe died."""
        open_stages = [n for n, s in (self.stages or {}).items() if s.get("state") == "begun"]
        return open_stages[-1] if open_stages and self.stack_problem else None


def gather_facts(*, probe: bool, output: Path, cache_dir: str | None = None) -> Facts:
    """Look at this machine; ``probe`` imports the stack in a child, which takes seconds."""
    gpus = nvml.readings()
    stages, problem = _probe_stack() if probe else (None, None)
    tested = tested_versions()
    return Facts(
        python=sys.version_info[:3],
        host=host_facts(),
        gpus=gpus,
        nvml_problem=nvml.nvml_problem(),
        driver=nvml.driver(),
        has_driver_traces=any(os.path.exists(path) for path in _DRIVER_TRACES),
        gpu_processes={gpu.index: nvml.processes(gpu.index) for gpu in gpus},
        environment={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        installed=_installed(tested),
        tested=tested,
        stages=stages,
        stack_problem=problem,
        cache_free_bytes=free_disk_bytes(hub_cache(cache_dir)),
        output_free_bytes=free_disk_bytes(output),
        shared_memory_bytes=_shared_memory_bytes(),
        open_files_limit=_open_files_limit(),
    )


def tested_versions() -> dict[str, str]:
    """Package to version, as this release was tested under this Python."""
    from packaging.requirements import Requirement

    text = (resources.files("ethtune.assets") / "tested_versions.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    return {
        pin.name: next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def _installed(names: Mapping[str, str]) -> dict[str, str]:
    versions = {name: next(iter(metadata.distributions(name=name)), None) for name in names}
    return {name: found.version for name, found in versions.items() if found is not None}


def _probe_stack() -> tuple[dict[str, Stage], str | None]:
    source = resources.files("ethtune.assets") / "probes" / "stack.py"
    result = run_probe(source.read_text(encoding="utf-8"), timeout_seconds=_PROBE_SECONDS)
    # the line that ends a stage replaces the one that began it
    return {line["stage"]: line for line in result.lines if "stage" in line}, result.problem


def _shared_memory_bytes() -> int | None:
    try:
        facts = os.statvfs("/dev/shm")  # noqa: S108  # measured, not written to
    except (OSError, AttributeError):
        return None
    return facts.f_blocks * facts.f_frsize


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
