"""Token rows in, packs of row indices out: several rows in one sequence.

one pack:   | row 7        | row 2   | row 9 |   |   max_seq_length tokens
positions:    0 1 2 …        0 1 2 …   0 1 …         restart: rows do not see each other
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from ethtune.core.tokens import TokenRow


@dataclass(frozen=True, slots=True)
class Pack:
    """Indices of rows that share one sequence, ascending; ``length`` is the sum of theirs."""

    rows: tuple[int, ...]
    length: int


def pack(rows: Sequence[TokenRow], max_seq_length: int) -> list[Pack]:
    """Packs of ``pack_lengths``. Raises ValueError for a row that does not fit."""
    for row in rows:
        if len(row.input_ids) > max_seq_length:
            raise ValueError(
                f"row {row.id} has {len(row.input_ids)} tokens, limit {max_seq_length}"
            )
    return pack_lengths([len(row.input_ids) for row in rows], max_seq_length)


def pack_lengths(lengths: Sequence[int], max_seq_length: int) -> list[Pack]:
    """Best fit, longest rows first: each goes where it leaves the least room.

    Every row is in exactly one pack. None may be longer than ``max_seq_length``.
    """
    rooms: list[tuple[int, int]] = []  # (tokens left, pack), ascending
    packs: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length = lengths[row]
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
