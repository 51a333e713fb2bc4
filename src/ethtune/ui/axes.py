"""Values in, axes out that stay where they are while a curve grows: round bounds and ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TICKS = 5  # about as many
_OUTLIERS = 0.02  # share of the highest points that may leave the plot at its top
_MANY = 50  # points from which on such a share is meaningful
_BEARABLE = 1.5  # times as high a plot shows the outliers as well
_LEAST_SHARE = 1e-8  # of the highest value: what is lower lies on a logarithmic axis's end
_TINY = 1e-9  # less apart than that, in all or as a share, values are one
_NARROW = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # ticks of less than a decade
ZOOM_MAX = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """From ``low`` to ``high``, with ``ticks`` between; ``share`` places a value on it, 0 to 1."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Beyond the ends for values that are."""
        if self.is_log:
            low, value = math.log(self.low), math.log(max(value, self.low))
            return (value - low) / (math.log(self.high) - low)
        return (value - self.low) / (self.high - self.low)


def step_axis(last: float, *, total: float | None, zoom: int = 0) -> Axis:
    """Steps up to ``last``: all of them, or the last half, quarter, … of them.

    The right end is the next tick, so that the curve does not shrink with each step.
    """
    span = max(last / 2**zoom, 4.0)
    tick = _round_step(span)
    high = math.ceil(last / tick) * tick
    high = min(high, total) if total and total >= last else high
    low = max(math.floor((last - span) / tick) * tick, 0.0)
    return Axis(low, max(high, low + 1), _multiples(low, high, tick))


def loss_axis(values: Sequence[float], others: Sequence[float], *, is_log: bool = False) -> Axis:
    """Round bounds around ``values``, but for outliers at their top, and all ``others``."""
    ordered = sorted(values)
    high = ordered[-1 - int(_OUTLIERS * len(ordered))] if len(ordered) >= _MANY else ordered[-1]
    if ordered[-1] - ordered[0] <= _BEARABLE * (high - ordered[0]):
        high = ordered[-1]
    low, high = min([ordered[0], *others]), max([high, *others])
    if is_log and high > _TINY:
        least = high * _LEAST_SHARE
        return _log_axis(max(min(v for v in (*ordered, *others) if v > 0), least), high)
    if high - low <= max(_TINY, _TINY * abs(high)):
        low, high = low - 0.5, high + 0.5
    tick = _round_step(high - low)
    low, high = math.floor(low / tick) * tick, math.ceil(high / tick) * tick
    return Axis(low, high, _multiples(low, high, tick))


def _log_axis(low: float, high: float) -> Axis:
    """Ends and ticks at 1, 2 and 5 times powers of ten; closer on short axes, wider on long."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = _NARROW if high < 5 * low else (1, 2, 5) if last - first <= 3 else (1,)
    marks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    low = max((mark for mark in marks if mark <= low * (1 + 1e-9)), default=marks[0])
    high = min(
        (mark for mark in marks if mark >= high * (1 - 1e-9) and mark > low), default=10 * low
    )
    return Axis(low, high, tuple(mark for mark in marks if low <= mark <= high), is_log=True)


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, of which about ``_TICKS`` make ``span``."""
    raw = span / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= raw * (1 - 1e-9))


def _multiples(low: float, high: float, tick: float) -> tuple[float, ...]:
    first, last = math.ceil(low / tick - 1e-9), math.floor(high / tick + 1e-9)
    return tuple(i * tick for i in range(first, last + 1))
