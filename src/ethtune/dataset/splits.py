"""Spooled rows in, a split for each out: near-duplicates together, later rows for testing.

Rows of one template form a group that no split border cuts. A template that very many rows share
(see ``common_above``) would swallow a split; its rows are grouped by counterparties instead.
Groups are laid on a line by the time of their middle row (or drawn by lot) and the line is cut by
the ratios, each group going where its middle falls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

Split = Literal["train", "validation", "test"]
Order = Literal["time", "random"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_COMMON_ROWS = 20
_COMMON_SHARE = 0.05  # in small datasets fewer rows are many
_COMMON_ROWS_MIN = 5

_PLACE = """
WITH ordered AS (
    SELECT number, template, people,
        ROW_NUMBER() OVER (ORDER BY IFNULL(block_number, 0), id) AS place,
        COUNT(*) OVER (PARTITION BY template) AS sharing
    FROM rows WHERE limited IS NULL
), grouped AS (
    SELECT number, place,
        CAST(template || CASE WHEN sharing > :common THEN people ELSE x'' END AS BLOB) AS alike
    FROM ordered
), sized AS (
    SELECT number, place, alike,
        ROW_NUMBER() OVER (PARTITION BY alike ORDER BY place) AS rank,
        COUNT(*) OVER (PARTITION BY alike) AS size
    FROM grouped
), timed AS (
    SELECT number, alike, size,
        MAX(CASE WHEN rank = size / 2 + 1 THEN place END) OVER (PARTITION BY alike) AS time
    FROM sized
), line AS (
    SELECT number, (RANK() OVER (ORDER BY {order}) - 1 + size / 2.0) / :total AS middle FROM timed
)
INSERT INTO placed SELECT number, CASE
    WHEN middle < :train THEN 'train' WHEN middle < :validation THEN 'validation' ELSE 'test' END
FROM line
"""
_ORDERS: dict[Order, str] = {"time": "time", "random": "lot(:seed, alike), alike"}


def assign_splits(
    database: sqlite3.Connection, ratios: Sequence[float], *, order: Order = "time", seed: int = 0
) -> None:
    """Fill ``placed`` from ``rows``: the same for the same rows and seed, in whatever order."""
    (total,) = database.execute("SELECT COUNT(*) FROM rows WHERE limited IS NULL").fetchone()
    train, validation, _ = accumulate(ratio / sum(ratios) for ratio in ratios)
    database.execute(
        _PLACE.format(order=_ORDERS[order]),
        {
            "common": common_above(total),
            "total": total,
            "train": train,
            "validation": validation,
            "seed": seed,
        },
    )


def common_above(num_rows: int) -> float:
    """A template that more rows share, among so many, is told apart by counterparties."""
    return max(min(_COMMON_ROWS, _COMMON_SHARE * num_rows), _COMMON_ROWS_MIN)
