"""What happens in a run, as typed records: producers emit them, only front ends draw them.

Every field is logged as it was measured; whatever can be derived (throughput, time left, smoothed
loss) is computed by readers in ``runstate`` and never stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

Phase = Literal[
    "preflight", "loading", "tokenizing", "training", "evaluating", "saving", "finishing"
]
Level = Literal["info", "warning", "error"]
Ending = Literal["finished", "interrupted", "failed"]
MemoryAction = Literal["split", "switch", "split_validation", "answer_fewer"]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all kinds; ``kind`` is the name in the log."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A process took the run folder; a resumed run starts again, at ``first_step``."""

    kind: ClassVar[str] = "run_started"
    command: str
    pid: int
    base_model: str
    device: str
    first_step: int = 0


@dataclass(frozen=True, slots=True)
class PhaseStarted(Event):
    """The run does something else now; ``total`` units of it are ahead where that is known."""

    kind: ClassVar[str] = "phase_started"
    phase: Phase
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """How far a long phase has come; shown live, not logged."""

    kind: ClassVar[str] = "progress"
    phase: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class ModelLoaded(Event):
    """Weights are in memory with their adapter."""

    kind: ClassVar[str] = "model_loaded"
    trainable_parameters: int
    total_parameters: int
    memory_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingPlanned(Event):
    """What one run consists of. Tokens are those that the model computes, padding included."""

    kind: ClassVar[str] = "training_planned"
    total_steps: int
    num_train_epochs: float
    num_train_rows: int
    num_eval_rows: int
    effective_batch_size: int
    tokens_per_epoch: int
    padding_share: float


@dataclass(frozen=True, slots=True)
class StepLogged(Event):
    """Means over the steps since the previous one of its kind.

    ``seconds`` is the wall time of those ``num_steps`` steps; ``num_tokens`` the tokens in them;
    ``data_wait_seconds`` how much of it waited for batches.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float | None
    num_steps: int
    num_tokens: int
    seconds: float
    data_wait_seconds: float
    allocated_bytes: int | None
    reserved_bytes: int | None
    process_bytes: int


@dataclass(frozen=True, slots=True)
class Evaluated(Event):
    """Validation over the whole evaluation set.

    Shares of right answers are over a generated sample, where ``metric_for_best_model`` is one.
    """

    kind: ClassVar[str] = "evaluated"
    step: int
    eval_loss: float
    eval_token_accuracy: float
    seconds: float
    exact_match: float | None = None
    action_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """A checkpoint is complete on disk."""

    kind: ClassVar[str] = "checkpoint_saved"
    step: int
    path: str
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MemoryAdjusted(Event):
    """Memory ran out; from ``step`` on the run makes do with less, and learns the same.

    ``amount`` is the number of parts a micro batch or a validation batch now has, or of prompts
    that are answered at once; ``setting`` what was switched on.
    """

    kind: ClassVar[str] = "memory_adjusted"
    step: int
    action: MemoryAction
    amount: int = 0
    setting: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """What is different now."""
        return {
            "split": f"each micro batch runs in up to {self.amount} parts",
            "split_validation": f"each validation batch runs in up to {self.amount} parts",
            "answer_fewer": f"{self.amount} prompts are answered at once",
        }.get(self.action, self.setting)


@dataclass(frozen=True, slots=True)
class Message(Event):
    """A sentence for the user."""

    kind: ClassVar[str] = "message"
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The last event of a process that could still speak."""

    kind: ClassVar[str] = "run_ended"
    ending: Ending
    step: int
    seconds: float
    text: str = ""
    exit_code: int = 0
    peak_process_bytes: int | None = None
    peak_reserved_bytes: int | None = None


EVENT_KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        RunStarted, PhaseStarted, ModelLoaded, TrainingPlanned, StepLogged, Evaluated,
        CheckpointSaved, MemoryAdjusted, Message, RunEnded,
    )
}  # fmt: skip

Emit = Callable[[Event], None]


def SILENT(event: Event) -> None:  # noqa: N802  # a constant that happens to be callable
    """The sink of a service that nobody watches."""


def event_fields(event: Event) -> dict[str, Any]:
    """Plain data for the log. A float that is no number becomes its name, so that JSON holds."""
    plain: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)
        plain[field.name] = value
    return plain


def event_from_fields(kind: str, plain: dict[str, Any]) -> Event | None:
    """Read back what ``event_fields`` wrote; None for a kind or shape of another version."""
    known = _SHAPES.get(kind)
    if known is None:
        return None
    cls, shape = known
    values: dict[str, Any] = {}
    for name, types in shape:
        if name not in plain:
            continue
        value = plain[name]
        if value in _NO_NUMBERS and float in types:
            value = float(value)
        if not isinstance(value, types):
            return None
        values[name] = value
    if not all(math.isfinite(values[name]) for name in _DURATIONS if values.get(name)):
        return None
    try:
        return cls(**values)
    except TypeError:
        return None


def _shape(cls: type[Event]) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """Fields with the types that JSON may give them; choices are text."""
    kinds = {"float": (float, int), "int": (int,)}
    return tuple(
        (
            field.name,
            kinds.get(str(field.type).partition(" | ")[0], (str,))
            + ((type(None),) if str(field.type).endswith("None") else ()),
        )
        for field in fields(cls)
    )


_SHAPES = {kind: (cls, _shape(cls)) for kind, cls in EVENT_KINDS.items()}
_NO_NUMBERS = ("nan", "inf", "-inf")
_DURATIONS = ("seconds", "data_wait_seconds", "epoch")
