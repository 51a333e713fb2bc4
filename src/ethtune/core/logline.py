"""Events as lines for people: training_logs.txt, and the terminal when it is none.

Step 10/437 | Loss: 2.1234 | LR: 1.2e-05 | 512 tok/s | ETA 18m 02s
Validation: Loss: 0.4123 | Accuracy: 0.87
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    MemoryAdjusted,
    Message,
    ModelLoaded,
    PhaseStarted,
    Progress,
    RunEnded,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.runstate import RunState, fold
from ethtune.core.units import format_bytes, format_duration

_PROGRESS_SECONDS = 30.0
_PHASES = {
    "preflight": "Checking machine, data and settings",
    "loading": "Loading the model",
    "tokenizing": "Tokenizing",
    "evaluating": "Evaluating",
    "finishing": "Writing the model",
}


def log_line(event: Event, state: RunState) -> str | None:
    """The line of ``event``, already folded into ``state``; None for what needs none."""
    writer = _LINES.get(type(event))
    line = writer(event, state) if writer else None
    return " ".join(line.split("\n")) if line else None


class LineLog:
    """A sink that writes one line an event through ``write``, newline included.

    A destination that refuses, a full disk or a closed pipe, must not end a training.
    """

    def __init__(self, write: Callable[[str], object], *, is_stamped: bool = False) -> None:
        self._write = write
        self._is_stamped = is_stamped
        self._state = RunState()
        self._progress_time = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event of now."""
        self.take(LoggedEvent(0, time.time(), event))

    def take(self, logged: LoggedEvent) -> None:
        """Take an event of any time."""
        self._state = fold(self._state, logged)
        if isinstance(logged.event, Progress):
            if logged.time - self._progress_time < _PROGRESS_SECONDS:
                return
            self._progress_time = logged.time
        line = log_line(logged.event, self._state)
        if line is None:
            return
        if self._is_stamped:
            stamp = datetime.fromtimestamp(logged.time).isoformat(" ", timespec="seconds")
            line = f"{stamp}  {line}"
        with contextlib.suppress(OSError, ValueError):  # a closed file is a ValueError
            self._write(line + "\n")


def _started(event: RunStarted, _state: RunState) -> str:
    verb = f"Resuming at step {event.first_step}" if event.first_step else "Starting"
    return f"{verb}: {event.base_model} on {event.device}"


def _phase(event: PhaseStarted, _state: RunState) -> str | None:
    return _PHASES.get(event.phase)


def _progress(event: Progress, _state: RunState) -> str:
    total = f"/{event.total:,}" if event.total else ""
    return f"{_PHASES.get(event.phase, event.phase)}: {event.done:,}{total}"


def _loaded(event: ModelLoaded, _state: RunState) -> str:
    share = 100 * event.trainable_parameters / max(event.total_parameters, 1)
    return (
        f"Model: {event.total_parameters:,} parameters, {event.trainable_parameters:,} trainable "
        f"({share:.3g} %) | {format_bytes(event.memory_bytes)} | {format_duration(event.seconds)}"
    )


def _planned(event: TrainingPlanned, _state: RunState) -> str:
    return (
        f"Training: {event.total_steps:,} steps | {event.num_train_rows:,} rows | "
        f"{event.num_train_epochs:g} epochs | effective batch {event.effective_batch_size}"
    )


def _step(event: StepLogged, state: RunState) -> str:
    total = f"/{state.plan.total_steps}" if state.plan else ""
    parts = [
        f"Step {event.step}{total}",
        f"Loss: {event.loss:.4f}",
        f"LR: {event.learning_rate:.1e}",
    ]
    if event.seconds:
        parts.append(f"{event.num_tokens / event.seconds:.0f} tok/s")
    if state.remaining_seconds is not None:
        parts.append(f"ETA {format_duration(state.remaining_seconds)}")
    return " | ".join(parts)


def _evaluated(event: Evaluated, _state: RunState) -> str:
    line = f"Validation: Loss: {event.eval_loss:.4f} | Accuracy: {event.eval_token_accuracy:.4g}"
    if event.exact_match is not None and event.action_accuracy is not None:
        line += f" | Exact match: {event.exact_match:.4g} | Action: {event.action_accuracy:.4g}"
    return line


def _saved(event: CheckpointSaved, _state: RunState) -> str:
    return (
        f"Checkpoint: {event.path} | {format_bytes(event.size_bytes)} | "
        f"{format_duration(event.seconds)}"
    )


def _adjusted(event: MemoryAdjusted, _state: RunState) -> str:
    reason = f" | {event.reason}" if event.reason else ""
    return f"warning: out of memory: from step {event.step:,} on {event.text}{reason}"


def _said(event: Message, _state: RunState) -> str:
    return event.text if event.level == "info" else f"{event.level}: {event.text}"


def _ended(event: RunEnded, _state: RunState) -> str:
    text = f": {event.text}" if event.text else ""
    verb = {"finished": "Finished", "interrupted": "Interrupted", "failed": "Failed"}[event.ending]
    return f"{verb} at step {event.step} after {format_duration(event.seconds)}{text}"


_LINES: dict[type[Event], Callable[[Any, RunState], str | None]] = {
    RunStarted: _started,
    PhaseStarted: _phase,
    Progress: _progress,
    ModelLoaded: _loaded,
    TrainingPlanned: _planned,
    StepLogged: _step,
    Evaluated: _evaluated,
    CheckpointSaved: _saved,
    MemoryAdjusted: _adjusted,
    Message: _said,
    RunEnded: _ended,
}
