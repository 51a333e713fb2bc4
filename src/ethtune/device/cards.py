"""What a card is and how it is set, asked once by the doctor; readings that change are ``nvml``'s.

As there: what a card, driver or permission does not give is None.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from ethtune.device.nvml import ask, memory, session

_COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
_UNCORRECTED, _SINCE_BOOT = 1, 0  # nvmlMemoryErrorType_t, nvmlEccCounterType_t
_SLOWDOWN = 1  # nvmlTemperatureThresholds_t
_NOT_A_SIZE = 2**64 - 1  # what Windows' driver says instead of "not available"
_FAULTS = {
    4: "no permission to query it",
    15: "it fell off the bus",
    16: "it needs a reset",
}


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """Versions of the installed driver; ``cuda_version`` is the newest CUDA it can run."""

    version: str | None = None
    cuda_version: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """Who holds memory of a card; size and name where the system tells."""

    pid: int
    used_bytes: int | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a card that is cut into several."""

    uuid: str | None
    memory_total_bytes: int | None
    memory_used_bytes: int | None


@dataclass(frozen=True, slots=True)
class CardDetails:
    """``fault`` says why the card itself does not answer. ``mig`` is None where it is off.

    ``pcie`` and ``pcie_max`` are (generation, lanes). ``processes`` is None when it is not told.
    """

    fault: str | None = None
    mig: tuple[MigInstance, ...] | None = None
    compute_mode: str | None = None
    pcie: tuple[int | None, int | None] = (None, None)
    pcie_max: tuple[int | None, int | None] = (None, None)
    default_power_watts: float | None = None
    slowdown_celsius: int | None = None
    uncorrected_errors: int | None = None
    has_display: bool | None = None
    processes: tuple[GpuProcess, ...] | None = None


def driver() -> DriverFacts:
    """The driver's versions."""
    opened = session()
    if opened.problem is not None:
        return DriverFacts()
    nvml = opened.library
    version = ask(nvml, lambda: str(nvml.nvmlSystemGetDriverVersion()))
    number = ask(nvml, lambda: int(nvml.nvmlSystemGetCudaDriverVersion_v2()))
    cuda = None if number is None else (number // 1000, number % 1000 // 10)
    return DriverFacts(version, cuda)


def card_details() -> tuple[CardDetails, ...]:
    """Of every card, by the library's index. Slow calls are among them: never poll."""
    opened = session()
    return tuple(_details(opened.library, handle) for handle in opened.handles)


def _details(nvml: Any, handle: Any) -> CardDetails:
    if handle is None:
        return CardDetails(fault="the driver gives no access to it")
    errors = (handle, _UNCORRECTED, _SINCE_BOOT)
    mode = ask(nvml, lambda: int(nvml.nvmlDeviceGetComputeMode(handle)))
    display = ask(nvml, lambda: bool(nvml.nvmlDeviceGetDisplayActive(handle)))
    threshold = nvml.nvmlDeviceGetTemperatureThreshold
    return CardDetails(
        fault=_fault(nvml, handle),
        mig=_mig(nvml, handle),
        compute_mode=None if mode is None else _COMPUTE_MODES.get(mode, f"mode {mode}"),
        pcie=(
            ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrPcieLinkGeneration(handle))),
            ask(nvml, lambda: int(nvml.nvmlDeviceGetCurrPcieLinkWidth(handle))),
        ),
        pcie_max=(
            ask(nvml, lambda: int(nvml.nvmlDeviceGetMaxPcieLinkGeneration(handle))),
            ask(nvml, lambda: int(nvml.nvmlDeviceGetMaxPcieLinkWidth(handle))),
        ),
        default_power_watts=ask(
            nvml, lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) / 1000
        ),
        slowdown_celsius=ask(nvml, lambda: int(threshold(handle, _SLOWDOWN))),
        uncorrected_errors=ask(nvml, lambda: int(nvml.nvmlDeviceGetTotalEccErrors(*errors))),
        has_display=display,
        processes=_processes(nvml, handle),
    )


def _fault(nvml: Any, handle: Any) -> str | None:
    """A card that is gone answers nothing: the memory call tells why, every driver has it."""
    try:
        nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        return _FAULTS.get(int(error.value))
    return None


def _mig(nvml: Any, handle: Any) -> tuple[MigInstance, ...] | None:
    mode = ask(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle)[0])
    if not mode:
        return None
    count = ask(nvml, lambda: int(nvml.nvmlDeviceGetMaxMigDeviceCount(handle))) or 0
    found = []
    for index in range(count):
        with contextlib.suppress(nvml.NVMLError):  # places without an instance say "not found"
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            uuid = ask(nvml, lambda part=part: str(nvml.nvmlDeviceGetUUID(part)))  # type: ignore[misc]
            found.append(MigInstance(uuid, *memory(nvml, part)))
    return tuple(found)


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...] | None:
    """Who computes, and who draws: a desktop holds memory too."""
    asked = (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses)
    answers = [ask(nvml, lambda call=call: list(call(handle))) for call in asked]  # type: ignore[misc]
    if answers[0] is None:
        return None
    sizes = {int(item.pid): item.usedGpuMemory for answer in answers for item in answer or ()}
    return tuple(GpuProcess(pid, _size(used), _name(pid)) for pid, used in sizes.items())


def _size(value: Any) -> int | None:
    return None if value is None or int(value) >= _NOT_A_SIZE else int(value)


def _name(pid: int) -> str | None:
    """None for a process of another container or user."""
    import psutil

    try:
        return str(psutil.Process(pid).name())
    except (psutil.Error, OSError):
        return None
