"""Lengths of prompts and completions in, one by one; their percentiles and histogram out.

In tokens where a tokenizer counts them, else in characters. A row costs eight bytes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ethtune.dataset.findings import Fault
from ethtune.dataset.rowforms import Turn

Unit = Literal["tokens", "characters"]

_PERCENTILES = (50, 90, 99)


class TokenCounter(Protocol):
    """A tokenizer that knows the chat format of its model."""

    def count_tokens(
        self, prompts: Sequence[Sequence[Turn]], completions: Sequence[str], /
    ) -> list[tuple[int, int]]:
        """Tokens of each prompt and of its completion with the end token."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """``histogram`` has a row for every power of two between: from, up to and with, how many."""

    p50: int
    p90: int
    p99: int
    max: int
    sum: int
    histogram: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Distribution:
        """Percentiles by nearest rank: each is a length that occurs."""
        ordered = sorted(lengths)
        ranks = (max(-(-share * len(ordered) // 100), 1) for share in _PERCENTILES)
        powers = Counter(max(length - 1, 0).bit_length() for length in ordered)
        histogram = (
            ((1 << power >> 1) + 1 if power else 0, 1 << power, powers[power])
            for power in range(min(powers), max(powers) + 1)
        )
        p50, p90, p99 = (ordered[rank - 1] for rank in ranks)
        return cls(p50, p90, p99, ordered[-1], sum(ordered), tuple(histogram))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        keys = ("p50", "p90", "p99", "max", "sum")
        rows = [dict(zip(("from", "to", "rows"), row, strict=True)) for row in self.histogram]
        return {key: getattr(self, key) for key in keys} | {"histogram": rows}


@dataclass(frozen=True, slots=True)
class LengthReport:
    """``over_limit`` rows exceed it: cut at the end, each would lose its end token.

    The prompts of ``answerless`` rows alone fill it. None where no tokenizer was given.
    """

    unit: Unit
    prompt: Distribution
    completion: Distribution
    total: Distribution
    max_seq_length: int | None
    over_limit: int | None
    answerless: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "unit": self.unit,
            "max_seq_length": self.max_seq_length,
            "over_max_seq_length": self.over_limit,
            "would_lose_end_token": self.over_limit,
            "would_lose_whole_answer": self.answerless,
        } | {name: getattr(self, name).as_dict() for name in ("prompt", "completion", "total")}


class RowLengths:
    """Takes the lengths of rows one after the other; ``limit`` None where none is known."""

    def __init__(self, unit: Unit, limit: int | None) -> None:
        self._unit = unit
        self._limit = limit
        self._prompts = array("I")
        self._totals = array("I")

    def add(self, prompt: int, completion: int) -> Fault | None:
        """Remember a row; the fault where it is longer than the limit."""
        length = prompt + completion
        self._prompts.append(prompt)
        self._totals.append(length)
        if self._limit is None or length <= self._limit:
            return None
        lost = "the whole answer" if prompt >= self._limit else "the end token"
        text = f"{length:,} tokens, limit {self._limit:,}; cut there it would lose {lost}"
        return Fault("E401", text, str(length))

    def report(self) -> LengthReport | None:
        """None when there was no row."""
        if not self._totals:
            return None
        pairs = zip(self._totals, self._prompts, strict=True)
        limit = self._limit
        return LengthReport(
            self._unit,
            Distribution.of(self._prompts),
            Distribution.of(array("I", (total - prompt for total, prompt in pairs))),
            Distribution.of(self._totals),
            limit,
            None if limit is None else sum(total > limit for total in self._totals),
            None if limit is None else sum(prompt >= limit for prompt in self._prompts),
        )
