"""Rows that are too long for a run: how many, which, and from when on they are too many.

Longer rows are left out whole. A few are outliers; many are a part of the task that the model would
never see, so a run that leaves out more than ``data.max_over_length_share`` is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ethtune.core.config import DataSection
from ethtune.core.errors import DataError
from ethtune.core.tokens import TokenRow
from ethtune.dataset.tokens import TooLong

_NAMED_ROWS = 3


@dataclass(frozen=True, slots=True)
class SplitRows:
    """A split as tokens: what fits, and what does not. ``is_sample``: it has more rows than these.

    ``name`` is "training" or "validation".
    """

    name: str
    kept: Sequence[TokenRow]
    too_long: Sequence[TooLong]
    is_sample: bool = False

    @property
    def num_rows(self) -> int:
        """All of them."""
        return len(self.kept) + len(self.too_long)

    @property
    def lengths(self) -> list[int]:
        """Tokens of every row, ascending."""
        kept = (len(row.input_ids) for row in self.kept)
        return sorted([*kept, *(row.length for row in self.too_long)])


def require_some(split: SplitRows, max_seq_length: int) -> None:
    """Raises DataError where every row of a split is too long."""
    if split.num_rows and not split.kept:
        raise DataError(
            f"none of the {split.num_rows:,} {split.name} rows fits in {max_seq_length:,} tokens",
            hint=f"raise data.max_seq_length; the shortest has {split.lengths[0]:,} tokens",
        )


def require_within_budget(splits: Iterable[SplitRows], section: DataSection) -> None:
    """Raises DataError where more rows of a split are too long than the config allows."""
    share = section.max_over_length_share
    over = [split for split in splits if len(split.too_long) > _allowed(split, share)]
    if not over:
        return
    enough = max(_length_keeping(split.lengths, share) for split in over)
    longest = max(split.lengths[-1] for split in over)
    worst = max(len(split.too_long) / split.num_rows for split in over)
    keeps_all = f", ={longest} all" if longest > enough else ""
    raise DataError(
        "\n".join(line for split in over for line in _lines(split, section)),
        hint=f"--set data.max_seq_length={enough} keeps {_percent(1 - share)} of them{keeps_all}; "
        f"or leave them out: --set data.max_over_length_share={math.ceil(worst * 100) / 100:g}",
    )


def _allowed(split: SplitRows, share: float) -> float:
    """A sample may by chance hold more than its split does: three standard deviations."""
    expected = share * split.num_rows
    return expected + 3 * math.sqrt(expected) if split.is_sample else expected


def _length_keeping(lengths: Sequence[int], share: float) -> int:
    """The smallest limit that leaves out no more than ``share`` of the ascending ``lengths``."""
    return lengths[-1 - int(share * len(lengths))]


def _lines(split: SplitRows, section: DataSection) -> list[str]:
    count = len(split.too_long)
    share, allowed = map(_percent, (count / split.num_rows, section.max_over_length_share))
    lines = [
        f"{count:,} of {split.num_rows:,} {split.name} rows ({share}) are longer than "
        f"{section.max_seq_length:,} tokens and would be left out; at most {allowed} may be "
        "(data.max_over_length_share)"
    ]
    lines += [f"    {row.id}: {row.length:,} tokens" for row in split.too_long[:_NAMED_ROWS]]
    if count > _NAMED_ROWS:
        lines.append(f"    and {count - _NAMED_ROWS:,} more")
    return lines


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
