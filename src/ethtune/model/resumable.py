"""What a trainer keeps in a checkpoint and takes up again: ours in place of the library's.

No pickle is written or read, no number that is none is committed, and what was loaded is compared
with the file before a step is made from it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ethtune.core.runfolder import RunFolder
from ethtune.model.adapterfiles import load_adapter
from ethtune.model.bestmodel import Criterion, best_step, validations
from ethtune.model.checkpoints import committed_steps
from ethtune.model.distributed import DistributedTrainer
from ethtune.model.divergence import Guard
from ethtune.model.saving import Saver
from ethtune.model.stepwindow import StepWindow
from ethtune.model.trainingstate import FILE, own_random, restore, restore_random
from ethtune.model.trees import load_tree


class ResumableTrainer(DistributedTrainer):
    """A subclass sets these before it calls this class' constructor."""

    _run: RunFolder
    _criterion: Criterion
    _window: StepWindow
    guard: Guard
    saver: Saver

    def __init__(self, **parts: Any) -> None:
        self._random_states: dict[str, Any] | None = None  # of the checkpoint, when resumed
        self._steps_per_epoch = 0
        self._planned_before: int | None = None  # steps, by the checkpoint
        super().__init__(**parts)

    @contextlib.contextmanager
    def _outside_step(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._window.other_seconds += time.perf_counter() - started

    def _validations(self) -> dict[int, float]:
        return validations(self.state.log_history, self._criterion.key)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """No pickle, no foreign model card, nothing under its name before it is whole."""
        self.store_flos()
        committed = committed_steps(self._run) | {self.state.global_step}
        best = best_step(self._validations(), self._criterion, among=committed)
        self.state.best_model_checkpoint = None if best is None else f"checkpoint-{best}"
        spare = [] if best is None else [best]
        if self.guard.good_step is not None:  # the newest to go back to, should it be needed
            spare += sorted(step for step in committed if step <= self.guard.good_step)[-1:]
        with self._outside_step():
            self.saver.save(self, spare=spare)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_adapter(self.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            tree = load_tree(Path(checkpoint) / FILE)
            restore(tree, self, Path(checkpoint))
            self._random_states = own_random(tree["random"])
            self._planned_before = tree["planned_steps"]

    def _load_scaler(self, checkpoint: str | None) -> None:
        """With the optimizer."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self._random_states is not None:
            restore_random(self._random_states)

    def _init_training_state(
        self, max_steps: int, num_update_steps_per_epoch: int, *given: Any
    ) -> tuple[int, int]:
        """After a rollback the run goes on behind the steps that are left out."""
        self._steps_per_epoch = num_update_steps_per_epoch
        place: tuple[int, int] = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, *given
        )
        # how often to log, save and validate is what the config says now, not what it said then
        self.state.compute_steps(self.args, max_steps)
        if not self.guard.skip_now:
            return place
        self.state.global_step += self.guard.skip_now
        epochs, steps = divmod(self.state.global_step, num_update_steps_per_epoch)
        return epochs, steps * self.args.gradient_accumulation_steps
