"""The steps of a run in bounded space: evenly thinned, however long it trains."""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.core.events import StepLogged

_HISTORY = 512  # even; more points than any terminal has columns of dots


@dataclass(frozen=True, slots=True)
class History:
    """Every ``stride``-th step of a run and always its last one, at most ``_HISTORY`` + 1."""

    kept: tuple[StepLogged, ...] = ()
    stride: int = 1
    num_seen: int = 0

    def then(self, event: StepLogged) -> History:
        """With one more step."""
        is_last_off_stride = (self.num_seen - 1) % self.stride != 0
        kept = (*(self.kept[:-1] if is_last_off_stride else self.kept), event)
        if len(kept) <= _HISTORY:
            return History(kept, self.stride, self.num_seen + 1)
        return History(kept[::2], 2 * self.stride, self.num_seen + 1)

    def until(self, step: int) -> History:
        """Without what came after ``step``."""
        kept = tuple(s for s in self.kept if s.step <= step)
        stride = self.stride if len(kept) > 1 else 1
        return History(kept, stride, max(len(kept) - 1, 0) * stride + bool(kept))
