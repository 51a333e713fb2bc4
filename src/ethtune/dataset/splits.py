"""Row keys in, a split for each out: near-duplicates together, later rows for testing.

Rows of one template form a group that no split border cuts. A template that very many rows share
(see ``is_common``) would swallow a split; its rows are grouped by counterparties instead.
Groups are laid on a line by the time of their middle row (or shuffled) and the line is cut by the
ratios, each group going where its middle falls.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]
Order = Literal["time", "random"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_COMMON_ROWS = 20
_COMMON_SHARE = 0.05  # in small datasets fewer rows are many
_COMMON_ROWS_MIN = 5


@dataclass(frozen=True, slots=True)
class RowKey:
    """What the split of a row depends on. ``block_number`` None sorts first."""

    id: str
    template: bytes
    counterparties: bytes
    block_number: int | None = None


def assign_splits(
    rows: Sequence[RowKey], ratios: Sequence[float], *, order: Order = "time", seed: int = 0
) -> list[Split]:
    """The split of each row, in the order of ``rows``; the same for the same rows and seed."""
    by_time = sorted(range(len(rows)), key=lambda index: place_in_time(rows[index]))
    groups = _groups(rows, by_time)
    if order == "random":
        random.Random(seed).shuffle(groups)  # noqa: S311  # reproducible, not secret
    splits: list[Split] = ["train"] * len(rows)
    position = 0
    for group in groups:
        split = _split_at((position + len(group) / 2) / len(rows), ratios)
        position += len(group)
        for index in group:
            splits[index] = split
    return splits


def is_common(num_sharing: int, num_rows: int) -> bool:
    """Whether a template of so many rows among all is told apart by counterparties."""
    limit = min(_COMMON_ROWS, _COMMON_SHARE * num_rows)
    return num_sharing > max(limit, _COMMON_ROWS_MIN)


def place_in_time(row: RowKey) -> tuple[int, str]:
    """Sorts rows by block; the id settles the order within one."""
    return row.block_number or 0, row.id


def _groups(rows: Sequence[RowKey], by_time: Iterable[int]) -> list[list[int]]:
    """Row indices by group, each group and the groups among themselves in order of time."""
    counts = Counter(row.template for row in rows)
    groups: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    places: dict[int, int] = {}
    for place, index in enumerate(by_time):
        row = rows[index]
        is_shared_by_many = is_common(counts[row.template], len(rows))
        groups[row.template, row.counterparties if is_shared_by_many else b""].append(index)
        places[index] = place
    return sorted(groups.values(), key=lambda group: places[group[len(group) // 2]])


def _split_at(position: float, ratios: Sequence[float]) -> Split:
    border = 0.0
    for split, ratio in zip(SPLITS, ratios, strict=True):
        border += ratio / sum(ratios)
        if position < border:
            return split
    return "test"
