"""Where a noisy series stands and where it goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise


def medians(values: Sequence[float], *, width: int) -> list[float]:
    """Of each ``width`` values on end, half a width apart: levels without single jumps."""
    lasts = range(width, len(values) + 1, max(width // 2, 1))
    return [statistics.median(values[last - width : last]) for last in lasts]


def noise(values: Sequence[float]) -> float:
    """Standard deviation around whatever trend there is, blind to single jumps."""
    changes = [abs(b - a) for a, b in pairwise(values)]
    return 1.4826 * statistics.median(changes) / math.sqrt(2) if changes else 0.0


def fitted(values: Sequence[float]) -> tuple[float, float]:
    """How far the straight line through ``values`` falls over their length; its standard error."""
    count = len(values)
    middle = statistics.fmean(values)
    places = [i / (count - 1) - 0.5 for i in range(count)]
    squares = sum(x * x for x in places)
    slope = sum(x * y for x, y in zip(places, values, strict=True)) / squares
    rest = sum((y - middle - slope * x) ** 2 for x, y in zip(places, values, strict=True))
    return -slope, math.sqrt(rest / max(count - 2, 1) / squares)
