"""A divergence in; the checkpoint before it and what to leave out, or the run's end, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ethtune.core.errors import DivergedError
from ethtune.core.events import Message
from ethtune.model.checkpoints import Checkpoint, find_checkpoints, set_aside
from ethtune.model.context import RunContext
from ethtune.model.divergence import RATE_FACTOR, Guard


@dataclass(frozen=True, slots=True)
class Rollback:
    """Go on from ``checkpoint``, behind the ``skip_steps`` steps that follow it."""

    checkpoint: Path
    skip_steps: int


def roll_back(context: RunContext, guard: Guard, error: DivergedError) -> Rollback:
    """Once in a run, where the config wants it and a checkpoint from before is there.

    The rows between that checkpoint and the divergence are left out, with their steps, and the
    learning rate is halved from there on. Raises ``error``, with what to do next, otherwise.
    """
    good = _newest_good(context, error)
    is_wanted = context.config.training.on_divergence == "rollback"
    if not is_wanted or good is None or guard.rollbacks:
        _give_up(context, error, good)
    context.emit(Message("error", error.message))
    for step, path in context.run.checkpoints():
        if step > good.step:  # of weights that were already lost
            set_aside(path, "diverged")
    skip_steps = error.last_step - good.step
    context.emit(
        Message(
            "warning",
            f"rolled back to step {good.step}: steps {good.step + 1} to {error.last_step} are left "
            f"out with their rows, and the learning rate is multiplied by {RATE_FACTOR:g}; a "
            "second divergence ends the run",
        )
    )
    return Rollback(good.path, skip_steps)


def _newest_good(context: RunContext, error: DivergedError) -> Checkpoint | None:
    found = find_checkpoints(context.run)
    return next((c for c in found if c.problem is None and c.step <= error.good_step), None)


def _give_up(context: RunContext, error: DivergedError, good: Checkpoint | None) -> NoReturn:
    run, rate = context.run.path, context.config.training.learning_rate
    if good is None:
        hint = f"train anew with a lower --learning-rate than {rate:g}"
    else:
        hint = (
            f"ethtune resume {run} --from {good.path.name} --set training.learning_rate="
            f"{rate * RATE_FACTOR:g} --allow-change training.learning_rate; or look at the rows"
        )
    raise DivergedError(
        error.message, hint=hint, last_step=error.last_step, good_step=error.good_step
    ) from error
