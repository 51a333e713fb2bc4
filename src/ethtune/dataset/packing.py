"""Token rows in, batches of row indices out: packs of several rows, or rows of like length.

one pack:   | row 7        | row 2   | row 9 |   |   max_seq_length tokens
positions:    0 1 2 …        0 1 2 …   0 1 …         restart: rows do not see each other
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from ethtune.core.tokens import TokenRow

_WINDOW_BATCHES = 50  # rows are sorted by length within windows of so many batches


@dataclass(frozen=True, slots=True)
class Pack:
    """Indices of rows that share one sequence, ascending; ``length`` is the sum of theirs."""

    rows: tuple[int, ...]
    length: int


def pack(rows: Sequence[TokenRow], max_seq_length: int) -> list[Pack]:
    """Best fit, longest rows first: each goes where it leaves the least room.

    Every row is in exactly one pack. Raises ValueError for a row that does not fit.
    """
    lengths = _lengths(rows)
    rooms: list[tuple[int, int]] = []  # (tokens left, pack), ascending
    packs: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length = lengths[row]
        if length > max_seq_length:
            raise ValueError(f"row {rows[row].id} has {length} tokens, limit {max_seq_length}")
        place = bisect_left(rooms, (length, -1))
        if place < len(rooms):
            room, number = rooms.pop(place)
        else:
            room, number = max_seq_length, len(packs)
            packs.append([])
        packs[number].append(row)
        if room > length:
            insort(rooms, (room - length, number))
    found = [Pack(tuple(sorted(group)), sum(lengths[row] for row in group)) for group in packs]
    return sorted(found, key=lambda item: item.rows)


def padding_share(packs: Sequence[Pack], max_seq_length: int) -> float:
    """The share of positions that hold no token when every pack is filled up to the maximum."""
    if not packs:
        return 0.0
    return 1 - sum(item.length for item in packs) / (len(packs) * max_seq_length)


def group_by_length(
    rows: Sequence[TokenRow], batch_size: int, *, seed: int
) -> list[tuple[int, ...]]:
    """Shuffled batches whose rows are about equally long; the longest row is in the first batch.

    It comes first so that a lack of memory shows at the first step, not after an hour.
    """
    lengths = _lengths(rows)
    generator = random.Random(seed)  # noqa: S311  # reproducible, not secret
    order = list(range(len(lengths)))
    generator.shuffle(order)
    window = batch_size * _WINDOW_BATCHES
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(order), window):
        near = sorted(order[start : start + window], key=lambda row: -lengths[row])
        batches += [tuple(near[at : at + batch_size]) for at in range(0, len(near), batch_size)]
    generator.shuffle(batches)
    if batches:
        longest = max(range(len(batches)), key=lambda index: lengths[batches[index][0]])
        batches.insert(0, batches.pop(longest))
    return batches


def _lengths(rows: Sequence[TokenRow]) -> list[int]:
    return [len(row.input_ids) for row in rows]
