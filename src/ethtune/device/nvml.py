"""The one gate to NVIDIA's management library: readings of all cards out, None where it is silent.

A field that a card, driver or permission does not give is None, never 0; one silent field never
hides the others. Handles are fetched once. Indices are the library's own, by bus order: CUDA may
count differently, so match cards by uuid.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ethtune.core.reading import GpuReading

_T = TypeVar("_T")

# Bits may be added by newer drivers: what is not listed is shown by number.
_THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
    0x100: "display clocks",
}
_PROBLEMS = {
    4: "no permission to talk to the driver",
    9: "no NVIDIA driver is loaded",
    12: "no NVIDIA driver library (libnvidia-ml) is installed",
    18: "driver and driver library are of different versions",
    999: "the driver answers with an unknown error",
}


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """Versions of the installed driver; ``cuda_version`` is the newest CUDA it can run."""

    version: str | None = None
    cuda_version: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a card; its memory where the system tells."""

    pid: int
    used_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Session:
    library: Any
    handles: tuple[Any, ...]
    problem: str | None


def readings() -> tuple[GpuReading, ...]:
    """One reading of every card; empty where there is none or no driver."""
    session = _session()
    return tuple(
        _read(session.library, index, handle) for index, handle in enumerate(session.handles)
    )


def nvml_problem() -> str | None:
    """Why there are no readings, as a sentence; None when the library works."""
    return _session().problem


def driver() -> DriverFacts:
    """The driver's versions."""
    session = _session()
    if session.problem is not None:
        return DriverFacts()
    nvml = session.library
    version = _ask(nvml, lambda: str(nvml.nvmlSystemGetDriverVersion()))
    number = _ask(nvml, lambda: int(nvml.nvmlSystemGetCudaDriverVersion_v2()))
    cuda = None if number is None else (number // 1000, number % 1000 // 10)
    return DriverFacts(version, cuda)


def processes(index: int) -> tuple[GpuProcess, ...] | None:
    """Who computes on that card; None when the system does not tell. Slow: ask rarely."""
    session = _session()
    nvml, handle = session.library, session.handles[index]
    found = _ask(nvml, lambda: list(nvml.nvmlDeviceGetComputeRunningProcesses(handle)))
    if found is None:
        return None
    return tuple(GpuProcess(int(item.pid), _size(item.usedGpuMemory)) for item in found)


@functools.cache
def _session() -> _Session:
    try:
        import pynvml
    except ImportError:
        return _Session(None, (), "the package nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        code = int(error.value)
        return _Session(pynvml, (), _PROBLEMS.get(code, f"NVML error {code}: {error}"))
    get_handle = pynvml.nvmlDeviceGetHandleByIndex
    handles = tuple(_ask(pynvml, functools.partial(get_handle, index)) for index in range(count))
    return _Session(pynvml, handles, None)


def _ask(nvml: Any, question: Callable[[], _T]) -> _T | None:
    """The answer, or None for whatever NVML does not support, know or permit."""
    try:
        return question()
    except (nvml.NVMLError, TypeError, UnicodeDecodeError):
        return None


def _read(nvml: Any, index: int, handle: Any) -> GpuReading:
    total, used = _memory(nvml, handle)
    power = _ask(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
    limit = _ask(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
    capability = _ask(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
    return GpuReading(
        index=index,
        name=_ask(nvml, lambda: str(nvml.nvmlDeviceGetName(handle))) or f"GPU {index}",
        uuid=_ask(nvml, lambda: str(nvml.nvmlDeviceGetUUID(handle))),
        memory_total_bytes=total,
        memory_used_bytes=used,
        utilization_percent=_ask(nvml, lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        temperature_celsius=_temperature(nvml, handle),
        power_watts=power,
        power_limit_watts=limit,
        throttle_reasons=_throttle_reasons(nvml, handle),
        compute_capability=None if capability is None else (int(capability[0]), int(capability[1])),
    )


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    """Total and used bytes; used includes what the driver reserves, so the rest is really free."""
    answer = _ask(
        nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    ) or _ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    if answer is None or not answer.total:  # cards that share the system's memory report none
        return None, None
    return int(answer.total), int(answer.total - answer.free)


def _temperature(nvml: Any, handle: Any) -> int | None:
    sensor = nvml.NVML_TEMPERATURE_GPU
    answer = _ask(nvml, lambda: int(nvml.nvmlDeviceGetTemperatureV(handle, sensor)))
    if answer is None:  # drivers before the versioned call
        answer = _ask(nvml, lambda: int(nvml.nvmlDeviceGetTemperature(handle, sensor)))
    return answer


def _throttle_reasons(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    bits = _ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)))
    if bits is None:
        bits = _ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))
    if bits is None:
        return None
    set_bits = (1 << place for place in range(bits.bit_length()) if bits >> place & 1)
    return tuple(_THROTTLE_REASONS.get(bit, f"reason {bit:#x}") for bit in set_bits)


def _size(value: Any) -> int | None:
    """Windows reports "not available" as None or as the largest 64-bit number."""
    return None if value is None or int(value) >= 2**64 - 1 else int(value)
