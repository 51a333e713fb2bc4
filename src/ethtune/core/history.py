"""The steps of a run in bounded space: evenly thinned, however long it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ethtune.core.events import StepLogged

_HISTORY = 512  # even; more points than any terminal has columns of dots
_SMOOTHING = 0.9  # weight of the past in the smoothed loss, for each step


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
    """With a weight of the past that grows with it: the first loss does not hang on."""
    if not math.isfinite(event.loss):
        return past
    fresh, num_steps = _SMOOTHING**past_step, max(event.num_steps, 1)
    kept = _SMOOTHING**num_steps
    weight = 0.0 if past is None else kept * (1 - fresh) / (1 - kept * fresh)
    return weight * (past or 0.0) + (1 - weight) * event.loss
