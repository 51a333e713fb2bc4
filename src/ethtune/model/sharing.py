"""Rows and a number of processes in, each one's share out: every row once, none of them twice.

    order of one process   7 2 5 0 │ 3 6 1 4 │ 8        micro batches of 4 rows
    rank 0                 7 2 5 0           │ 8 . . .  . is the blank row: nothing is learned
    rank 1                           3 6 1 4 │ . . . .

accelerate deals micro batches out in turn, so a step over P processes with A micro batches each
holds the rows of a step of one process with P times A.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler

from ethtune.core.ranks import rank


class _SharedOrder(Sampler[int]):
    """The order of a run of one process, then blank rows until the shares are equal."""

    def __init__(self, num_rows: int, num_together: int) -> None:
        self._rows = SeedableRandomSampler(range(num_rows))
        self._blank = num_rows
        self._num_blanks = -num_rows % num_together

    def __len__(self) -> int:
        return self._blank + self._num_blanks

    def __iter__(self) -> Iterator[int]:
        yield from self._rows
        yield from [self._blank] * self._num_blanks

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own."""
        self._rows.set_epoch(epoch)


def shared_order(dataset: Any, batch_rows: int) -> Sampler[int]:
    """For all processes, which accelerate deals it out to. The last row of ``dataset`` is blank."""
    return _SharedOrder(len(dataset) - 1, batch_rows * rank().size)


def own_share(dataset: Any) -> Any:
    """Each row in one process alone, as many in each. The last row of ``dataset`` is blank."""
    blank = len(dataset) - 1
    rows = range(rank().index, blank, rank().size)
    return dataset.select([*rows, *[blank] * (math.ceil(blank / rank().size) - len(rows))])
