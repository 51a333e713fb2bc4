"""One look at one run: all that a screen or a script is told of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ethtune.core.diagnosis import Diagnosis, Surroundings, cards_of_run
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState

Status = Literal[
    "waiting", "reading", "starting", "preflight", "loading", "tokenizing", "training",
    "evaluating", "saving", "finishing", "paused", "stalled", "dead", "finished", "interrupted",
    "failed",
]  # fmt: skip
_SILENCE_SECONDS = 60.0  # a dead run is watched that long for a resume


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at one run. ``time`` is in seconds since 1970.

    ``unread_share`` is the part of a long log that later looks will read; ``num_unknown`` counts
    lines that are no events of this version of ethtune.
    """

    path: Path
    state: RunState
    around: Surroundings = field(default_factory=Surroundings)
    diagnoses: tuple[Diagnosis, ...] = ()
    time: float = 0.0
    unread_share: float = 0.0
    num_unknown: int = 0

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def readings(self) -> tuple[GpuReading, ...]:
        """The latest of all GPUs."""
        return self.around.looks[-1] if self.around.looks else ()

    @property
    def status(self) -> Status:
        """The one word for the run."""
        if self.unread_share:
            return "reading"
        if self.state.ended:
            return self.state.ended.ending
        for diagnosis in self.diagnoses:
            if diagnosis.kind in ("dead", "paused", "stalled"):
                return diagnosis.kind
        if self.state.last_time is None or self.around.is_alive is False:
            return "waiting"
        return self.state.phase  # type: ignore[return-value]  # a str of Phase

    @property
    def running_seconds(self) -> float | None:
        """Time since the process of the run started, until its end or its last word."""
        state, around = self.state, self.around
        if state.started_time is None or state.last_time is None:
            return None
        spoken = max(state.last_time - state.started_time, 0.0)
        is_over = state.ended or around.is_alive is False
        return spoken if is_over else spoken + (around.silent_seconds or 0.0)

    @property
    def remaining_seconds(self) -> float | None:
        """Time left, as long as the run goes on."""
        goes_on = self.status in ("training", "evaluating", "saving")
        return self.state.remaining_seconds if goes_on else None

    @property
    def capacity_bytes(self) -> int | None:
        """Of the memory that the run computes in; of one card where there are several."""
        if self.state.is_on_cpu:
            return self.around.ram_total_bytes
        cards = cards_of_run(self.state, self.readings)
        return cards[0].memory_total_bytes if cards else None

    @property
    def is_well(self) -> bool:
        """False for the ends and states that call for somebody."""
        return self.status not in ("failed", "dead", "stalled")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come, unless somebody resumes the run."""
        if self.status == "dead":
            return (self.around.silent_seconds or 0.0) > _SILENCE_SECONDS
        return (
            not self.unread_share
            and self.state.ended is not None
            and self.around.is_alive is not True
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; a number that is none becomes its name."""
        state, around = self.state, self.around
        plain: dict[str, Any] = {
            "name": self.name,
            "path": str(self.path),
            "status": self.status,
            "alive": around.is_alive,
            "pid": around.pid,
            "time": self.time,
            "silent_seconds": around.silent_seconds,
            "running_seconds": self.running_seconds,
            "remaining_seconds": self.remaining_seconds,
            "step": state.step,
            "total_steps": state.plan.total_steps if state.plan else None,
            "smoothed_loss": state.smoothed_loss,
            "tokens_per_second": state.tokens_per_second,
            "rows_per_second": state.rows_per_second,
            "data_wait_share": state.data_wait_share,
            "peak_bytes": state.peak_bytes,
            "capacity_bytes": self.capacity_bytes,
            "disk_free_bytes": around.disk_free_bytes,
            "diagnoses": [_plain(diagnosis) for diagnosis in self.diagnoses],
            "started": _plain(state.started),
            "last_step": _plain(state.steps[-1] if state.steps else None),
            "last_evaluation": _plain(state.evaluations[-1] if state.evaluations else None),
            "best_evaluation": _plain(state.best_evaluation),
            "last_checkpoint": _plain(state.checkpoints[-1] if state.checkpoints else None),
            "num_checkpoints": state.num_checkpoints,
            "memory_adjustments": [_plain(each) for each in state.adjustments_in_force],
            "adjustments": [_plain(each) for each in state.adjustments_in_force],
            "messages": [_plain(message) for message in state.messages],
            "ended": _plain(state.ended),
            "gpus": [_plain(reading) for reading in self.readings],
            "unread_share": self.unread_share,
            "num_unknown": self.num_unknown,
        }
        return {key: _finite(value) for key, value in plain.items()}


def _plain(record: Any) -> dict[str, Any] | None:
    return None if record is None else asdict(record)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
