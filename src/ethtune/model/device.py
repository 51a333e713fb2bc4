"""Which device trains and in which arithmetic, decided by what the hardware really has."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import psutil
import torch

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError

T = TypeVar("T")
Precision = Literal["bf16", "fp16", "fp32"]
_WORDS_OF_MEMORY = (
    "DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
)  # fmt: skip

DTYPES: dict[str, torch.dtype] = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


@dataclass(frozen=True, slots=True)
class Device:
    """``precision`` is that of matrix products; adapters always train in fp32 beside it."""

    kind: Literal["cuda", "cpu"]
    name: str
    precision: Precision

    @property
    def dtype(self) -> torch.dtype:
        """Of weights that are not quantised, and of activations."""
        return DTYPES[self.precision]


@contextlib.contextmanager
def told_of_memory(device: Device, *, hint: str, place: Callable[[], str] = str) -> Iterator[None]:
    """Raises MachineError where memory runs out meanwhile: the device's, or the system's."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        text = f"{device.name} ran out of memory{place()}: {_first_line(error)}"
        raise MachineError(text, hint=hint) from error


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """That memory ran out, in the words of who refused it."""

    reason: str


def attempted(call: Callable[[], T]) -> T | OutOfMemory:
    """The result of ``call``; or, where memory ran out in it, that, with all it held given back."""
    try:
        return call()
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = _first_line(error)
    # only out here is the error gone, and with it the frames that held tensors
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return OutOfMemory(reason)


def twice(call: Callable[[], T]) -> T:
    """The result of ``call``; where memory ran out in it, of a second try with all else given back.

    Raises MachineError where it runs out again.
    """
    result = attempted(call)
    if isinstance(result, OutOfMemory):
        result = attempted(call)
    if isinstance(result, OutOfMemory):
        raise MachineError(f"memory ran out: {result.reason}")
    return result


def _is_out_of_memory(error: Exception) -> bool:
    """On a CPU torch has no class of its own for it; nor has CUDA beside torch's allocator."""
    is_known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return is_known or any(words in str(error) for words in _WORDS_OF_MEMORY)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["the system gives no more"])[0]


def has_bfloat16() -> bool:
    """Whether the device that trains has units for it."""
    # is_bf16_supported() counts emulation and says yes on Turing; the units came with 8.0
    is_cuda = torch.cuda.is_available()
    return torch.cuda.get_device_capability(0) >= (8, 0) if is_cuda else _cpu_has_bf16()


def card_uuid() -> str | None:
    """Of the card that trains, as the driver names it; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    return str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))


def choose_device(config: Config) -> Device:
    """The first CUDA device, else the CPU. Raises ConfigError for a precision it cannot do."""
    is_cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if is_cuda else _cpu_name()
    has_bf16 = has_bfloat16()
    wants = config.optimization
    if wants.bf16 is True and not has_bf16:
        raise ConfigError(
            f"optimization.bf16 is true, but {name} has no bfloat16 units",
            hint="--set optimization.bf16=auto picks what the hardware has",
        )
    if wants.fp16 is True and not is_cuda:
        raise ConfigError(
            f"optimization.fp16 is true, but float16 training needs a GPU and {name} is a CPU",
            hint="--set optimization.fp16=auto",
        )
    precision: Precision
    if wants.bf16 is True or (wants.bf16 == "auto" and wants.fp16 is not True and has_bf16):
        precision = "bf16"
    elif wants.fp16 is True or (wants.fp16 == "auto" and is_cuda and wants.bf16 == "auto"):
        precision = "fp16"
    else:
        precision = "fp32"
    return Device(kind="cuda" if is_cuda else "cpu", name=name, precision=precision)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes now and at most. On the CPU there is only the process."""

    process_bytes: int
    allocated_bytes: int | None
    reserved_bytes: int | None
    peak_reserved_bytes: int | None


def memory_use() -> MemoryUse:
    """What this process holds at this moment."""
    process_bytes = psutil.Process().memory_info().rss
    if not torch.cuda.is_available():
        return MemoryUse(process_bytes, None, None, None)
    return MemoryUse(
        process_bytes,
        torch.cuda.memory_allocated(),
        torch.cuda.memory_reserved(),
        torch.cuda.max_memory_reserved(),
    )


def peak_process_bytes() -> int | None:
    """High-water mark of the process, None where the system does not keep one."""
    try:
        import resource
    except ImportError:  # Windows
        peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
        return int(peak) if peak is not None else None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kibibytes but on macOS


def _cpu_name() -> str:
    return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads"


def _cpu_has_bf16() -> bool:
    """Native bfloat16 products; a CPU that emulates them is faster in float32."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
