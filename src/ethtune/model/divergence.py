"""Each step's losses and gradient norm in, alarms or the end of the run out, before the update.

- No number ends the run: the weights are still those of the step before.
- Nothing learned for DEAD_STEPS steps on end ends it too: a loss far above where it began, or a
  gradient that is exactly zero.
- A zero loss or gradient, and a loss that jumps out of the spread of the recent ones, are said.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ethtune.core.errors import DivergedError
from ethtune.core.events import Emit, Message
from ethtune.core.ranks import rank
from ethtune.model.processes import gathered, total

RECENT_STEPS = 64
START_STEPS = 5  # their median is where the loss began
DEAD_STEPS = 20
DEAD_MARGIN = 2.0  # nats above the start, and twice the start: chance level is not far above it
SPIKE_SPREADS = 12.0
SPIKE_MARGIN = 0.5
_SETTLED_STEPS = 16
_QUIET_STEPS = 50  # between two messages of one kind
_SKIPS_MAX = 24  # halvings that take any scale below one
_ROWS_NAMED = 8
RATE_FACTOR = 0.5


@dataclass(slots=True)
class _Batch:
    """A micro batch of the step in hand."""

    loss: torch.Tensor
    rows: Sequence[str]


class Guard:
    """One for a trainer; its memory goes into checkpoints, so a resumed run judges the same."""

    def __init__(self, emit: Emit, *, skip_steps: int = 0) -> None:
        self._emit = emit
        self._batches: list[_Batch] = []
        self._start: list[float] = []
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._told: dict[str, int] = {}
        self._dead_since: int | None = None
        self._overflows = 0
        self.rollbacks = 1 if skip_steps else 0
        self.skipped_steps = 0  # steps of the run in which the optimizer made none
        self.skip_now = skip_steps  # those that a rollback under way leaves out

    @property
    def rate_factor(self) -> float:
        """Of the learning rate, after as many rollbacks."""
        return RATE_FACTOR**self.rollbacks

    @property
    def good_step(self) -> int | None:
        """The newest step above suspicion, while the present ones are not; None otherwise.

        A step's loss is that of the weights before it, which the step before may have spoilt.
        """
        return None if self._dead_since is None else max(self._dead_since - 2, 0)

    def add(self, loss: torch.Tensor, rows: Sequence[str]) -> None:
        """The loss of one micro batch, as its share of the step's; kept where it is, unread."""
        self._batches.append(_Batch(loss.detach(), rows))

    def forget(self) -> None:
        """The step in hand is begun anew."""
        self._batches = []

    def judge(self, step: int, norm: Any, *, is_scaled: bool) -> None:
        """Look at the step about to be made. Raises DivergedError; alarms go out as messages.

        The one moment of a step at which the device is waited for. ``is_scaled``: float16, where
        a gradient that overflows is ordinary and the loss scaler leaves that step out.
        """
        batches, self._batches = self._batches, []
        on_device = torch.as_tensor(norm, dtype=torch.float32, device=batches[0].loss.device)
        *losses, norm = torch.stack([*(b.loss.float() for b in batches), on_device]).tolist()
        found = [
            (loss, b.rows)
            for b, loss in zip(batches, losses, strict=True)
            if not math.isfinite(loss)
        ]
        loss, num_bad = total([sum(losses) if not found else 0.0, len(found)])
        if num_bad:  # on any process: then all of them end here
            bad = [each for part in gathered(found) for each in part]
            rows = [row for _, each in bad for row in each]
            raise self._no_number(step, f"the loss is {bad[0][0]}", rows)
        if not math.isfinite(norm):
            if not is_scaled:
                rows = [row for b in batches for row in b.rows]
                whose = "" if rank().is_alone else f" on {rank().name}"
                raise self._no_number(step, f"the gradient's norm is {norm}", rows, whose)
            self._overflow(step)
            return
        self._overflows = 0
        self._finite(step, loss, norm)

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {
            "start": list(self._start),
            "recent": list(self._recent),
            "told": dict(self._told),
            "dead_since": self._dead_since,
            "overflows": self._overflows,
            "rollbacks": self.rollbacks,
            "skipped_steps": self.skipped_steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """What ``state`` gave; a rollback under way adds its own."""
        self._start = list(state["start"])
        self._recent = deque(state["recent"], maxlen=RECENT_STEPS)
        self._told = dict(state["told"])
        self._dead_since = state["dead_since"]
        self._overflows = state["overflows"]
        self.rollbacks += state["rollbacks"]
        self.skipped_steps = state["skipped_steps"]

    def _finite(self, step: int, loss: float, norm: float) -> None:
        for kind, text in alarms(loss, norm, self._recent):
            if step - self._told.get(kind, -_QUIET_STEPS) >= _QUIET_STEPS:
                self._told[kind] = step
                self._emit(Message("warning", f"step {step}: {text}"))
        self._recent.append(loss)
        if len(self._start) < START_STEPS:
            self._start.append(loss)
            return
        start = statistics.median(self._start)
        if norm > 0 and loss <= start + max(start, DEAD_MARGIN):
            self._dead_since = None
            return
        self._dead_since = self._dead_since or step
        if step - self._dead_since + 1 >= DEAD_STEPS:
            what = f"the loss is {loss:.3g}, far above {start:.3g}, where it began"
            raise DivergedError(
                f"step {step}: {what if norm > 0 else 'the gradient is exactly 0'}, as it has been "
                f"since step {self._dead_since}: nothing is being learned",
                last_step=step,
                good_step=max(self._dead_since - 2, 0),
            )

    def _overflow(self, step: int) -> None:
        self._overflows += 1
        self.skipped_steps += 1
        self._emit(
            Message(
                "info", f"step {step} is left out: float16 overflowed, the loss scale is halved"
            )
        )
        if self._overflows >= _SKIPS_MAX:
            raise DivergedError(
                f"step {step}: {self._overflows} steps on end overflowed float16",
                last_step=step,
                good_step=step - self._overflows,
            )

    def _no_number(
        self, step: int, fault: str, rows: Sequence[str], whose: str = ""
    ) -> DivergedError:
        more = f" and {len(rows) - _ROWS_NAMED} more" if len(rows) > _ROWS_NAMED else ""
        return DivergedError(
            f"step {step}: {fault}; the weights are still those of the step before. Rows of the "
            f"batch{whose}: {', '.join(rows[:_ROWS_NAMED])}{more}",
            last_step=step,
            good_step=step - 1 if self.good_step is None else self.good_step,
        )


def alarms(loss: float, norm: float, recent: Sequence[float]) -> Iterator[tuple[str, str]]:
    """What is odd about a step, as kind and words; ``recent`` are the losses before it."""
    if loss == 0:
        yield "zero loss", "the loss is exactly 0: the rows have nothing to learn, or it broke"
    if norm == 0:
        yield "zero gradient", "the gradient is exactly 0: the adapter learns nothing"
    if len(recent) >= _SETTLED_STEPS:
        middle = statistics.median(recent)
        # a robust standard deviation: one earlier spike does not hide the next
        spread = 1.4826 * statistics.median(abs(each - middle) for each in recent)
        if loss > middle + max(SPIKE_SPREADS * spread, SPIKE_MARGIN):
            yield "spike", f"the loss jumped to {loss:.4g}; of late it was about {middle:.4g}"
