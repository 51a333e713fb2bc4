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

from ethtune.core.reading import GpuReading, nameless

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
class Session:
    """The library, a handle for each card (None where it gave none), and why it does not work."""

    library: Any
    handles: tuple[Any, ...]
    problem: str | None


def readings() -> tuple[GpuReading, ...]:
    """One reading of every card; empty where there is none or no driver."""
    opened = session()
    return tuple(
        _read(opened.library, index, handle) for index, handle in enumerate(opened.handles)
    )


def nvml_problem() -> str | None:
    """Why there are no readings, as a sentence; None when the library works."""
    return session().problem


@functools.cache
def session() -> Session:
    """Opened at the first use and kept for good: a handle outlives what happens to its card."""
    try:
        import pynvml
    except ImportError:
        return Session(None, (), "the package nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        code = int(error.value)
        return Session(pynvml, (), _PROBLEMS.get(code, f"NVML error {code}: {error}"))
    get_handle = pynvml.nvmlDeviceGetHandleByIndex
    handles = tuple(ask(pynvml, functools.partial(get_handle, index)) for index in range(count))
    return Session(pynvml, handles, None)


def ask(nvml: Any, question: Callable[[], _T]) -> _T | None:
    """The answer, or None for whatever NVML does not support, know or permit."""
    try:
        return question()
    except (nvml.NVMLError, AttributeError, TypeError, UnicodeDecodeError):
        return None  # an older binding lacks newer calls or their arguments


def _read(nvml: Any, index: int, handle: Any) -> GpuReading:
    if handle is None:
        return GpuReading(index=index, name=nameless(index))
    total, used = memory(nvml, handle)
    power = ask(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
    limit = ask(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
    capability = ask(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
    return GpuReading(
        index=index,
        name=ask(nvml, lambda: str(nvml.nvmlDeviceGetName(handle))) or nameless(index),
        uuid=ask(nvml, lambda: str(nvml.nvmlDeviceGetUUID(handle))),
        memory_total_bytes=total,
        memory_used_bytes=used,
        utilization_percent=ask(nvml, lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        temperature_celsius=_temperature(nvml, handle),
        power_watts=power,
        power_limit_watts=limit,
        throttle_reasons=_throttle_reasons(nvml, handle),
        compute_capability=None if capability is None else (int(capability[0]), int(capability[1])),
    )


def memory(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    """Total and used bytes; used includes what the driver reserves, so the rest is really free."""
    answer = ask(
        nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    ) or ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    if answer is None or not answer.total:  # cards that share the system's memory report none
        return None, None
    return int(answer.total), int(answer.total - answer.free)


def _temperature(nvml: Any, handle: Any) -> int | None:
    sensor = nvml.NVML_TEMPERATURE_GPU
    answer = ask(nvml, lambda: int(nvml.nvmlDeviceGetTemperatureV(handle, sensor)))
    if answer is None:  # drivers before the versioned call
        answer = ask(nvml, lambda: int(nvml.nvmlDeviceGetTemperature(handle, sensor)))
    return answer


def _throttle_reasons(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    bits = ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)))
    if bits is None:
        bits = ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))
    if bits is None:
        return None
    set_bits = (1 << place for place in range(bits.bit_length()) if bits >> place & 1)
    return tuple(_THROTTLE_REASONS.get(bit, f"reason {bit:#x}") for bit in set_bits)
