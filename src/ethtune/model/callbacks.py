"""What a run does at the borders of steps: tell its plan, stop when asked, validate at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from transformers import TrainerCallback

from ethtune.core.events import Emit, Message


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a wish; the second ends the process at once.

    A context manager. ``received`` is the signal's number, None before one came.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._before: dict[int, Any] = {}
        self.received: int | None = None

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wish(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, signal.SIG_DFL)
        self._emit(
            Message("warning", "stopping after this step, with a checkpoint; again to stop at once")
        )


class RunHooks(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """``on_begin`` is told the number of steps once the library has worked it out."""

    def __init__(self, signals: StopSignals, on_begin: Callable[[int], None]) -> None:
        self._signals = signals
        self._on_begin = on_begin

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The number of steps is now known."""
        self._on_begin(state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """After a signal: save and end. At the last step: validate, whatever ``eval_steps`` is."""
        if self._signals.received is not None:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        elif state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True
        return control
