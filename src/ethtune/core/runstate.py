"""Events in, the state of a run out: a pure fold that train's own view and monitor share.

Derived figures (tokens per second, time left, smoothed loss) are computed here from what was
logged, never logged themselves. The state stays small however long the run: of its steps it keeps
the latest few and an evenly thinned history.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import (
    CheckpointSaved,
    Ending,
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
from ethtune.core.history import History

_RECENT_STEPS = 50  # window of the median step time
_SETTLED_STEPS = 3  # before that, warming up would make a wild guess of the time left
_MESSAGES_KEPT = 6
_SEVERAL = re.compile(r"(\d+) x ")  # before the name of a device
_KEPT = 512  # checkpoints and evaluations, however long the run


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything a screen shows of a run. Times in seconds, sizes in bytes."""

    started: RunStarted | None = None
    started_time: float | None = None
    phase: str = "starting"
    phase_total: int | None = None
    progress: Progress | None = None
    loaded: ModelLoaded | None = None
    plan: TrainingPlanned | None = None
    history: History = field(default_factory=History)
    recent: tuple[StepLogged, ...] = ()  # of the process that runs now
    evaluations: tuple[Evaluated, ...] = ()
    checkpoints: tuple[CheckpointSaved, ...] = ()
    adjustments: tuple[MemoryAdjusted, ...] = ()
    messages: tuple[Message, ...] = ()
    ended: RunEnded | None = None
    num_checkpoints: int = 0  # saved, whether or not they are still there
    other_seconds: float = 0.0  # evaluating and saving, by the process that runs now
    last_time: float | None = None
    peak_bytes: int | None = None  # reserved on a GPU, of the process on a CPU

    @property
    def steps(self) -> tuple[StepLogged, ...]:
        """The run so far, thinned evenly; the last one is always among them."""
        return self.history.kept

    @property
    def smoothed_loss(self) -> float | None:
        """Exponential mean of the losses."""
        return self.history.smoothed_loss

    @property
    def step(self) -> int:
        """The last step heard of."""
        if self.ended:
            return self.ended.step
        if self.recent:
            return self.recent[-1].step
        return self.started.first_step if self.started else 0

    @property
    def num_processes(self) -> int:
        """That train together, a device each."""
        found = _SEVERAL.match(self.started.device) if self.started else None
        return int(found[1]) if found else 1

    @property
    def device(self) -> str:
        """What each of them computes on; empty before it is known."""
        return _SEVERAL.sub("", self.started.device) if self.started else ""

    @property
    def is_on_cpu(self) -> bool:
        """Whether the run leaves GPUs alone."""
        return self.device.lower().startswith("cpu")

    @property
    def ending(self) -> Ending | None:
        """None while the run lives or was killed without a word."""
        return self.ended.ending if self.ended else None

    @property
    def adjustments_in_force(self) -> tuple[MemoryAdjusted, ...]:
        """What the run does to need less memory: the latest of each kind."""
        return tuple({(a.action, a.setting): a for a in self.adjustments}.values())

    @property
    def best_evaluation(self) -> Evaluated | None:
        """The one with the lowest loss; the earliest of equals."""
        numbers = [e for e in self.evaluations if math.isfinite(e.eval_loss)]
        return min(numbers, key=lambda e: e.eval_loss, default=None)

    @property
    def step_seconds(self) -> float | None:
        """Median wall time of a recent step."""
        paces = [s.seconds / max(s.num_steps, 1) for s in self.recent]
        return statistics.median(paces) if paces else None

    @property
    def tokens_per_second(self) -> float | None:
        """Over the recent steps."""
        seconds = sum(s.seconds for s in self.recent)
        return sum(s.num_tokens for s in self.recent) / seconds if seconds else None

    @property
    def rows_per_second(self) -> float | None:
        """Over the recent steps, told from the epochs they advanced."""
        if not self.plan or not self.recent:
            return None
        before, counted = self.recent[0].epoch, self.recent[1:]
        if not counted and self.started and not self.started.first_step:
            before, counted = 0.0, self.recent
        seconds, epochs = sum(s.seconds for s in counted), self.recent[-1].epoch - before
        return epochs * self.plan.num_train_rows / seconds if seconds and epochs > 0 else None

    @property
    def data_wait_share(self) -> float | None:
        """Part of the recent step time that waited for batches."""
        seconds = sum(s.seconds for s in self.recent)
        return sum(s.data_wait_seconds for s in self.recent) / seconds if seconds else None

    @property
    def remaining_seconds(self) -> float | None:
        """Steps left at the recent pace, plus the evaluations and saves it has had so far."""
        if self.ended or not self.plan or not self.started or self.step_seconds is None:
            return None
        first = self.started.first_step
        num_steps = self.step - first
        if num_steps < min(_SETTLED_STEPS, self.plan.total_steps - first):
            return None
        left = max(self.plan.total_steps - self.step, 0)
        return left * (self.step_seconds + self.other_seconds / max(num_steps, 1))


def fold(state: RunState, logged: LoggedEvent) -> RunState:
    """The state after one more event."""
    change = _CHANGES.get(type(logged.event), _unchanged)
    return replace(state, last_time=logged.time, **change(state, logged.event, logged.time))


def fold_all(events: Iterable[LoggedEvent], state: RunState | None = None) -> RunState:
    """Fold a whole log, or what is new of it."""
    state = state or RunState()
    for logged in events:
        state = fold(state, logged)
    return state


_Changes = dict[str, Any]


def _unchanged(_state: RunState, _event: Event, _time: float) -> _Changes:
    return {}


def _restarted(state: RunState, event: RunStarted, time: float) -> _Changes:
    """A resumed run forgets what came after the checkpoint it goes on from."""
    first = event.first_step
    history = state.history.until(first)
    return {
        "started": event,
        "started_time": time,
        "phase": "starting",
        "phase_total": None,
        "progress": None,
        "ended": None,
        "history": history,
        "recent": (),
        "evaluations": tuple(e for e in state.evaluations if e.step <= first),
        "checkpoints": (kept := tuple(c for c in state.checkpoints if c.step <= first)),
        "num_checkpoints": len(kept),
        "adjustments": tuple(a for a in state.adjustments if a.step <= first),
        "other_seconds": 0.0,
    }


def _phase_started(_state: RunState, event: PhaseStarted, _time: float) -> _Changes:
    return {"phase": event.phase, "phase_total": event.total, "progress": None}


def _progressed(_state: RunState, event: Progress, _time: float) -> _Changes:
    return {"progress": event}


def _model_loaded(_state: RunState, event: ModelLoaded, _time: float) -> _Changes:
    return {"loaded": event}


def _planned(_state: RunState, event: TrainingPlanned, _time: float) -> _Changes:
    return {"plan": event}


def _stepped(state: RunState, event: StepLogged, _time: float) -> _Changes:
    return {
        "history": state.history.then(event),
        "recent": (*state.recent[1 - _RECENT_STEPS :], event),
        "peak_bytes": _larger(state.peak_bytes, event.reserved_bytes or event.process_bytes),
        "phase": "training",
        "phase_total": None,
        "progress": None,
    }


def _evaluated(state: RunState, event: Evaluated, _time: float) -> _Changes:
    kept = (*state.evaluations, event)
    if len(kept) > _KEPT:  # the best one stays; of the others every second
        best = state.best_evaluation
        kept = tuple(e for i, e in enumerate(kept) if i % 2 == 0 or e is best)
    other = {"other_seconds": state.other_seconds + event.seconds}
    return {"evaluations": kept} | other | _after(state, "evaluating")


def _checkpoint_saved(state: RunState, event: CheckpointSaved, _time: float) -> _Changes:
    kept = (*state.checkpoints[1 - _KEPT :], event)
    other = {"other_seconds": state.other_seconds + event.seconds}
    counted = {"checkpoints": kept, "num_checkpoints": state.num_checkpoints + 1}
    return counted | other | _after(state, "saving")


def _adjusted(state: RunState, event: MemoryAdjusted, _time: float) -> _Changes:
    """Where messages are shown, it is one."""
    text = f"out of memory: from step {event.step:,} on {event.text}"
    kept = {"adjustments": (*state.adjustments, event)}
    return kept | _said(state, Message("warning", text), _time)


def _said(state: RunState, event: Message, _time: float) -> _Changes:
    return {"messages": (*state.messages[1 - _MESSAGES_KEPT :], event)}


def _ended(state: RunState, event: RunEnded, _time: float) -> _Changes:
    peak = event.peak_reserved_bytes or event.peak_process_bytes
    return {
        "ended": event,
        "phase": event.ending,
        "phase_total": None,
        "progress": None,
        "peak_bytes": _larger(state.peak_bytes, peak),
    }


_CHANGES: dict[type[Event], Callable[[RunState, Any, float], _Changes]] = {
    RunStarted: _restarted,
    PhaseStarted: _phase_started,
    Progress: _progressed,
    ModelLoaded: _model_loaded,
    TrainingPlanned: _planned,
    StepLogged: _stepped,
    Evaluated: _evaluated,
    CheckpointSaved: _checkpoint_saved,
    MemoryAdjusted: _adjusted,
    Message: _said,
    RunEnded: _ended,
}


def _after(state: RunState, phase: str) -> _Changes:
    """An evaluation or a save that is over gives way to training."""
    if state.phase != phase:
        return {}
    return {"phase": "training", "phase_total": None, "progress": None}


def _larger(a: int | None, b: int | None) -> int | None:
    return max((x for x in (a, b) if x is not None), default=None)
