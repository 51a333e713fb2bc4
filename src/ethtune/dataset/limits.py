"""Spooled rows in, those marked that the dataset is better off without: seeded draws in SQL.

Rows are counted against limits one after the other; a row that one limit drew is none for the
next. ``rows.limited`` says which limit it was; the row stays in the account.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from operator import itemgetter

ALIKE = "near-identical to others: same contract, function, shape and accounts"
CONTRACT = "one contract's share of its class"
LARGE_CLASS = "more rows of one class than --max-per-class"
SMALL_CLASS = "fewer rows of a class than --min-per-class"

_SPARED_ROWS = 50
_SPARED_SHARE = 0.001
_DENOMINATOR_MAX = 1_000_000

_BEYOND = """
UPDATE rows SET limited = :reason WHERE number IN (
    SELECT number FROM (
        SELECT number, ROW_NUMBER() OVER (PARTITION BY {alike} ORDER BY lot(:seed, id), id) AS place
        FROM rows WHERE limited IS NULL AND {which}
    ) WHERE place > :most
)
"""
_CONTRACTS = """
SELECT action, contract, COUNT(*) FROM rows WHERE limited IS NULL
GROUP BY action, contract ORDER BY action
"""
_SMALL = """
SELECT action, COUNT(*) AS size FROM rows WHERE limited IS NULL
GROUP BY action HAVING size < ? ORDER BY action
"""


def limit_alike(database: sqlite3.Connection, most: int, *, seed: int) -> None:
    """Keep at most so many rows of one template and the same counterparties."""
    sql = _BEYOND.format(alike="template, people", which="TRUE")
    database.execute(sql, {"reason": ALIKE, "seed": seed, "most": most})


def limit_contracts(database: sqlite3.Connection, share: float, *, seed: int) -> None:
    """Thin out contracts that make up more than ``share`` of a class.

    Each keeps a few rows whatever its share, or classes of one contract would vanish.
    """
    sql = _BEYOND.format(alike="contract", which="contract IS NOT NULL AND action = :action")
    counts = database.execute(_CONTRACTS).fetchall()
    spared = spared_rows(sum(size for _, _, size in counts))
    for action, rows in groupby(counts, key=itemgetter(0)):
        sizes = {contract: size for _, contract, size in rows}
        others = sizes.pop(None, 0)
        most = max(greatest_allowed(list(sizes.values()), others, share), spared)
        if most < max(sizes.values(), default=0):
            values = {"reason": CONTRACT, "seed": seed, "most": most, "action": action}
            database.execute(sql, values)


def limit_classes(database: sqlite3.Connection, most: int, *, seed: int) -> None:
    """Keep at most so many rows of an action."""
    sql = _BEYOND.format(alike="action", which="TRUE")
    database.execute(sql, {"reason": LARGE_CLASS, "seed": seed, "most": most})


def small_classes(database: sqlite3.Connection, least: int) -> dict[str, int]:
    """Actions with fewer rows, and how many they have."""
    return dict(database.execute(_SMALL, (least,)).fetchall())


def drop_class(database: sqlite3.Connection, action: str) -> None:
    """Keep no row of an action."""
    database.execute(
        "UPDATE rows SET limited = ? WHERE limited IS NULL AND action = ?", (SMALL_CLASS, action)
    )


def spared_rows(num_rows: int) -> int:
    """How many rows of a class every contract keeps in a dataset of so many."""
    return max(_SPARED_ROWS, int(_SPARED_SHARE * num_rows))


def greatest_allowed(sizes: Sequence[int], others: int, share: float) -> int:
    """The most rows x of one contract so that x is at most ``share`` of what is left of a class.

    ``sizes`` are the contracts' rows; all above x are cut to x. ``others`` belong to no contract.
    0 where contracts are too few for any x to do.
    """
    exact = Fraction(share).limit_denominator(_DENOMINATOR_MAX)  # 0.3 is three tenths
    descending = sorted(sizes, reverse=True)
    rest = others + sum(descending)
    for num_cut, size in enumerate(descending):
        # with x = size for the first ones, cut or as large as that, nothing more need go
        if size <= exact * (num_cut * size + rest):
            return _cut_to(num_cut, rest, exact) if num_cut else size
        rest -= size
    return _cut_to(len(descending), rest, exact)


def _cut_to(num_cut: int, rest: int, share: Fraction) -> int:
    """The greatest whole x with x <= share * (num_cut * x + rest)."""
    room = 1 - share * num_cut
    return int(share * rest / room) if room > 0 else 0
