"""What stands around a run, looked at as rarely as each thing allows: GPUs, memory, disk.

An Observer joins it with the run's state to a Snapshot. ``monitor`` and ``train``'s own view have
one each, so both say the same.
"""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from ethtune.core.diagnosing import diagnose
from ethtune.core.diagnosis import Diagnosis, Surroundings
from ethtune.core.reading import GpuReading
from ethtune.core.runlock import Holder, is_stopped
from ethtune.core.runstate import RunState
from ethtune.device import nvml
from ethtune.device.host import free_disk_bytes, host_facts
from ethtune.services.snapshot import Snapshot

_GPU_SECONDS = 1.0  # NVML calls hold a lock of the driver that training needs too
_HOST_SECONDS = 30.0  # reading the processor's facts takes milliseconds
_DISK_SECONDS = 10.0
_LOOKS_KEPT = 60
_T = TypeVar("_T")


class Rarely(Generic[_T]):
    """An answer that is asked for anew only after ``seconds``."""

    def __init__(self, ask: Callable[[], _T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asked: float | None = None
        self._answer: _T

    def __call__(self) -> _T:
        """The latest answer."""
        now = time.monotonic()
        if self._asked is None or now - self._asked >= self._seconds:
            self._asked, self._answer = now, self._ask()
        return self._answer


class Machine:
    """One for all runs that are watched: the GPUs are asked once for all of them."""

    def __init__(self) -> None:
        self._looks: deque[tuple[GpuReading, ...]] = deque(maxlen=_LOOKS_KEPT)
        self._kept: tuple[tuple[GpuReading, ...], ...] = ()
        self.looks = Rarely(self._look, _GPU_SECONDS)
        self.host = Rarely(host_facts, _HOST_SECONDS)

    def _look(self) -> tuple[tuple[GpuReading, ...], ...]:
        self._looks.append(nvml.readings())
        self._kept = tuple(self._looks)
        return self._kept


class Observer:
    """Joins what a run says with what stands around it."""

    def __init__(self, path: Path, machine: Machine) -> None:
        self._path = path
        self._machine = machine
        self._disk = Rarely(lambda: free_disk_bytes(path), _DISK_SECONDS)
        self._diagnoses: tuple[Diagnosis, ...] = ()

    def look(
        self,
        state: RunState,
        *,
        is_alive: bool | None,
        holder: Holder | None = None,
        silent_seconds: float | None = None,
    ) -> Snapshot:
        """The run as it is now. What is over is not asked about its machine."""
        around = Surroundings(
            folder=shlex.quote(str(self._path)),
            is_alive=is_alive,
            is_stopped=bool(is_alive and holder and is_stopped(holder)),
            pid=holder.pid if holder else None,
            silent_seconds=silent_seconds,
        )
        if not state.ended and is_alive is not False:
            around = self._with_machine(around)
        self._diagnoses = diagnose(state, around, self._diagnoses)
        return Snapshot(self._path, state, around, self._diagnoses, time.time())

    def _with_machine(self, around: Surroundings) -> Surroundings:
        host = self._machine.host()
        return replace(
            around,
            looks=self._machine.looks(),
            ram_total_bytes=host.ram_total_bytes,
            ram_available_bytes=host.ram_available_bytes,
            disk_free_bytes=self._disk(),
        )
