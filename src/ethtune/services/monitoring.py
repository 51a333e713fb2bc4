"""A run seen from outside: polls of its event log, its lock and the GPUs, never a write.

``watch(path)`` gives a Watcher, each ``poll`` of it a Snapshot, which holds all that a screen
shows. It works on runs that end, have ended, were killed, or have yet to say something.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ethtune.core.errors import RunError
from ethtune.core.eventlog import EventReader, LoggedEvent
from ethtune.core.reading import GpuReading
from ethtune.core.runfolder import RunFolder, open_run
from ethtune.core.runlock import Holder, is_alive, is_stopped, read_holder
from ethtune.core.runstate import RunState, fold_all
from ethtune.device import nvml

Status = Literal[
    "waiting", "starting", "preflight", "loading", "tokenizing", "training", "evaluating",
    "saving", "finishing", "paused", "stalled", "dead", "finished", "interrupted", "failed",
]  # fmt: skip
_GPU_SECONDS = 1.0  # NVML calls hold a lock of the driver that training needs too
_SILENCE_SECONDS = 60.0  # a dead run is watched that long for a resume


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at one run at ``now``. ``alive`` is None where nothing tells."""

    path: Path
    state: RunState
    now: float
    readings: tuple[GpuReading, ...] = ()
    alive: bool | None = None
    pid: int | None = None
    is_stopped: bool = False

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def status(self) -> Status:
        """The one word for the run."""
        if self.state.ended:
            return self.state.ended.ending
        if self.alive is False:
            return "dead" if self.state.started else "waiting"  # or about to take its lock
        if self.is_stopped:
            return "paused"
        if self.is_stalled:
            return "stalled"
        if self.state.last_time is None:
            return "waiting"
        return self.state.phase  # type: ignore[return-value]  # a str of Phase

    @property
    def silent_seconds(self) -> float | None:
        """Time since the last event."""
        last = self.state.last_time
        return None if last is None else max(self.now - last, 0.0)

    @property
    def running_seconds(self) -> float | None:
        """Time since the process of the run started, until its end or its last word."""
        state = self.state
        if state.started_time is None or state.last_time is None:
            return None
        is_over = state.ended or self.alive is False
        return max((state.last_time if is_over else self.now) - state.started_time, 0.0)

    @property
    def remaining_seconds(self) -> float | None:
        """Time left, as long as the run goes on."""
        goes_on = self.status in ("training", "evaluating", "saving")
        return self.state.remaining_seconds if goes_on else None

    @property
    def is_stalled(self) -> bool:
        """Training, but silent for far longer than its pace explains."""
        limit, silent = self.state.stall_seconds, self.silent_seconds
        return limit is not None and silent is not None and silent > limit

    @property
    def is_well(self) -> bool:
        """False for the ends and states that call for somebody."""
        return self.status not in ("failed", "dead", "stalled")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come, unless somebody resumes the run."""
        if self.status == "dead":
            return (self.silent_seconds or 0.0) > _SILENCE_SECONDS
        return self.state.ended is not None and self.alive is not True

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; a number that is none becomes its name."""
        state = self.state
        plain: dict[str, Any] = {
            "name": self.name,
            "path": str(self.path),
            "status": self.status,
            "alive": self.alive,
            "pid": self.pid,
            "time": self.now,
            "silent_seconds": self.silent_seconds,
            "running_seconds": self.running_seconds,
            "remaining_seconds": self.remaining_seconds,
            "step": state.step,
            "total_steps": state.plan.total_steps if state.plan else None,
            "smoothed_loss": state.smoothed_loss,
            "tokens_per_second": state.tokens_per_second,
            "data_wait_share": state.data_wait_share,
            "peak_bytes": state.peak_bytes,
            "started": _plain(state.started),
            "last_step": _plain(state.steps[-1] if state.steps else None),
            "last_evaluation": _plain(state.evaluations[-1] if state.evaluations else None),
            "best_evaluation": _plain(state.best_evaluation),
            "last_checkpoint": _plain(state.checkpoints[-1] if state.checkpoints else None),
            "num_checkpoints": len(state.checkpoints),
            "messages": [_plain(message) for message in state.messages],
            "ended": _plain(state.ended),
            "gpus": [_plain(reading) for reading in self.readings],
        }
        return {key: _finite(value) for key, value in plain.items()}


class GpuPoll:
    """Readings of the GPUs, at most one a second however often it is asked."""

    def __init__(self) -> None:
        self._time = -math.inf
        self._readings: tuple[GpuReading, ...] = ()

    def __call__(self) -> tuple[GpuReading, ...]:
        """The latest readings; none on a machine without NVML."""
        if time.monotonic() - self._time >= _GPU_SECONDS:
            self._time = time.monotonic()
            self._readings = nvml.readings()
        return self._readings


class Watcher:
    """Follows one run, read-only."""

    def __init__(self, run: RunFolder, gpus: GpuPoll) -> None:
        self._run = run
        self._gpus = gpus
        self._reader = EventReader(run.events)
        self._state = RunState()
        self._lost: Holder | None = None  # not found here at the last poll
        self._elsewhere: Holder | None = None  # and spoke since: on another machine, say
        self.news: tuple[LoggedEvent, ...] = ()  # what the last poll found

    @property
    def name(self) -> str:
        """That of the folder."""
        return self._run.path.resolve().name

    def poll(self, now: float | None = None) -> Snapshot:
        """What the run looks like now. Raises RunError when its folder is gone."""
        if not self._run.path.is_dir():
            raise RunError(f"{self._run.path} is gone: it was moved or deleted")
        restarts = self._reader.restarts
        holder = read_holder(self._run.lock)
        is_here = holder is not None and is_alive(holder)  # asked before reading: its last words
        self.news = tuple(self._reader.poll())
        is_new_log = self._reader.restarts != restarts
        self._state = fold_all(self.news, RunState() if is_new_log else self._state)
        alive = self._liveness(holder, is_here=is_here)
        return Snapshot(
            path=self._run.path,
            state=self._state,
            now=time.time() if now is None else now,
            readings=() if self._state.ended or alive is False else self._gpus(),
            alive=alive,
            pid=holder.pid if holder else None,
            is_stopped=bool(alive and holder and is_stopped(holder)),
        )

    def _liveness(self, holder: Holder | None, *, is_here: bool) -> bool | None:
        if holder is None:  # released, or never held
            return False if self._run.lock.is_file() else None
        if is_here:
            return True
        if holder == self._lost and self.news:
            self._elsewhere = holder
        self._lost = holder
        return None if holder == self._elsewhere else False


def watch(path: Path) -> list[Watcher]:
    """A watcher of the run at ``path``, or of each run in the folder ``path``, newest first.

    Raises RunError when there is none.
    """
    gpus = GpuPoll()
    runs = sorted(_runs_in(path), key=_last_change, reverse=True)
    return [Watcher(run, gpus) for run in runs or [open_run(path)]]


def _runs_in(path: Path) -> Iterator[RunFolder]:
    if not path.is_dir() or RunFolder(path).manifest.is_file():
        return
    for item in path.iterdir():
        if RunFolder(item).manifest.is_file():
            yield RunFolder(item)


def _last_change(run: RunFolder) -> float:
    for file in (run.events, run.manifest):
        if file.is_file():
            return file.stat().st_mtime
    return 0.0


def _plain(record: Any) -> dict[str, Any] | None:
    return None if record is None else asdict(record)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
