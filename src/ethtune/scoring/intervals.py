"""Counts in, what they can be trusted for out: Wilson intervals and the exact McNemar test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """``right`` of ``total`` rows. Of no rows at all, ``value`` and ``interval`` are None."""

    right: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.total:
            raise ValueError(f"{self.right} of {self.total} is no share")

    @property
    def value(self) -> float | None:
        """Between 0 and 1."""
        return self.right / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson score interval: sound for few rows and at 0 and 100 %, where the normal is not.

        Wilson, E. B. (1927), J. Am. Stat. Assoc. 22, 209-212.
        """
        if not self.total:
            return None
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        n, p = self.total, self.right / self.total
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low = 0.0 if self.right == 0 else max(0.0, centre - half)
        high = 1.0 if self.right == self.total else min(1.0, centre + half)
        return low, high


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two models on the same rows. ``p_value``: how likely such a gap is if neither is better."""

    only_first_right: int
    only_second_right: int
    p_value: float


def mcnemar(pairs: Iterable[tuple[bool, bool]]) -> PairedTest:
    """Exact two-sided McNemar test over (first is right, second is right) per row."""
    first = second = 0
    for is_first_right, is_second_right in pairs:
        first += is_first_right and not is_second_right
        second += is_second_right and not is_first_right
    n = first + second
    tail = term = 1  # binomial coefficients n over k, summed up to the smaller count
    for k in range(min(first, second)):
        term = term * (n - k) // (k + 1)
        tail += term
    return PairedTest(first, second, min(1.0, 2 * tail / 2**n))
