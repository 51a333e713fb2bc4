"""What a run does at the borders of steps: tell its plan, stop when asked, validate at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from ethtune.core.signals import StopSignals
from ethtune.model.processes import share_signal


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
        if share_signal(self._signals):
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        elif state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """A signal that came while a checkpoint was written needs no further step."""
        control.should_training_stop |= share_signal(self._signals)
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """A loop that was left is no epoch that ended: what is due then is done on resuming."""
        if share_signal(self._signals):
            control.should_evaluate = control.should_save = False
        return control
