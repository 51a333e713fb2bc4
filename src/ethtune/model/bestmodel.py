"""The history of validations in, the best step and whether to go on out: pure functions of a log.

Nothing is counted on the side, so a resumed run decides as the one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ethtune.core.config import LoggingSection


@dataclass(frozen=True, slots=True)
class Criterion:
    """``key`` of the logged metrics, and which way is better."""

    key: str
    is_greater_better: bool

    def is_better(self, value: float, than: float) -> bool:
        """Strictly."""
        return value > than if self.is_greater_better else value < than


def criterion_of(section: LoggingSection) -> Criterion:
    """What ``metric_for_best_model`` stands for."""
    name = section.metric_for_best_model
    return Criterion(name if name.startswith("eval_") else f"eval_{name}", name != "eval_loss")


def validations(history: Iterable[Mapping[str, Any]], key: str) -> dict[int, float]:
    """Step to value, in order, of every logged validation."""
    return {int(row["step"]): float(row[key]) for row in history if key in row}


def best_step(
    values: Mapping[int, float], criterion: Criterion, *, among: Collection[int] | None = None
) -> int | None:
    """The earliest step of the best value; ``among``: only those."""
    best: int | None = None
    for step, value in values.items():
        if not math.isfinite(value) or (among is not None and step not in among):
            continue
        if best is None or criterion.is_better(value, values[best]):
            best = step
    return best


def validations_without_gain(
    values: Iterable[float], criterion: Criterion, *, threshold: float
) -> int:
    """How many of the last validations on end were no better by more than ``threshold``."""
    best: float | None = None
    without = 0
    for value in values:
        is_better = best is None or criterion.is_better(value, best)
        is_gain = best is None or (is_better and abs(value - best) > threshold)
        without = 0 if is_gain else without + 1
        best = value if is_better else best
    return without
