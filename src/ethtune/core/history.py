"""The steps of a run in bounded space: evenly thinned, however long it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ethtune.core.events import StepLogged

_HISTORY = 512  # even; more points than any terminal has columns of dots
# the smoothed loss is of about the latest 10 steps; of a quarter of them all while they are few,
# so that the first ones, which fall fast, do not hang on
_WINDOW, _SHARE = 10, 4


@dataclass(frozen=True, slots=True)
class History:
    """Every ``stride``-th step of a run and always its last one, at most ``_HISTORY`` + 1.

    ``smoothed`` has for each of them the exponential mean of all losses up to there, which a loss
    that is no number leaves as it was; None before the first number.
    """

    kept: tuple[StepLogged, ...] = ()
    smoothed: tuple[float | None, ...] = ()
    stride: int = 1
    num_seen: int = 0

    @property
    def smoothed_loss(self) -> float | None:
        """The mean at the last step."""
        return self.smoothed[-1] if self.smoothed else None

    def then(self, event: StepLogged) -> History:
        """With one more step."""
        mean = _mean(self.smoothed_loss, self.kept[-1].step if self.kept else 0, event)
        is_last_off_stride = (self.num_seen - 1) % self.stride != 0
        until = -1 if is_last_off_stride else None
        kept, smoothed = (*self.kept[:until], event), (*self.smoothed[:until], mean)
        if len(kept) <= _HISTORY:
            return History(kept, smoothed, self.stride, self.num_seen + 1)
        return History(kept[::2], smoothed[::2], 2 * self.stride, self.num_seen + 1)

    def until(self, step: int) -> History:
        """Without what came after ``step``."""
        kept = tuple(s for s in self.kept if s.step <= step)
        stride = self.stride if len(kept) > 1 else 1
        num_seen = max(len(kept) - 1, 0) * stride + bool(kept)
        return History(kept, self.smoothed[: len(kept)], stride, num_seen)


def _mean(past: float | None, past_step: int, event: StepLogged) -> float | None:
    """Whether one step is logged or many at once, the past weighs as much."""
    if not math.isfinite(event.loss):
        return past
    if past is None or past_step <= 0:
        return event.loss
    kept = math.exp(_age(past_step) - _age(max(event.step, past_step + 1)))
    return kept * past + (1 - kept) * event.loss


def _age(step: int) -> float:
    """Grows by 1 in as many steps as the mean is of."""
    few = _SHARE * _WINDOW
    if step <= few:
        return _SHARE * math.log(step)
    return _SHARE * math.log(few) + (step - few) / _WINDOW
