"""What a file's lost rows may have belonged to: written into the tables ``lost`` and ``torn``.

Exports stand in the order of blocks: rows lost in one place belong to the hashes and blocks before
and after it. Where a file is not in that order, every block of it is doubtful. Half of a
transaction's logs would tell another story, so such transactions are refused later.
"""

from __future__ import annotations

import re
import sqlite3

from ethtune.chain.sources.records import Rejected

_HASH = re.compile("0x[0-9a-fA-F]{64}")


class Tear:
    """One file's. ``note`` its lost rows and ``passed`` its good ones in order, then ``close``."""

    def __init__(self, database: sqlite3.Connection, file: int) -> None:
        self._database = database
        self._file = file
        self._key: bytes | None = None
        self._block: int | None = None
        self._is_sorted = True
        self._place: str | None = None  # where rows were lost since the last good row
        self._first_place: str | None = None

    def note(self, rejected: Rejected, key: bytes | None = None) -> None:
        """A row was lost, of a transaction that it may name, and perhaps others behind it."""
        if key is not None:
            self._lose(key, rejected.where)
        for found in _HASH.findall(rejected.row):
            self._lose(bytes.fromhex(found[2:]), rejected.where)
        if rejected.loses_more:
            self._first_place = self._first_place or rejected.where
            self._place = rejected.where
            self._mark()

    def passed(self, key: bytes, block: int | None) -> None:
        """A good row."""
        if block is not None and self._block is not None and block < self._block:
            self._is_sorted = False
        self._key, self._block = key, self._block if block is None else block
        if self._place:
            self._mark()
            self._place = None

    def close(self) -> None:
        """The file is read."""
        if self._first_place and not self._is_sorted:
            query = "INSERT INTO torn SELECT DISTINCT block, ? FROM logs WHERE file = ?"
            self._database.execute(query, (self._first_place, self._file))

    def _mark(self) -> None:
        if self._key is not None:
            self._lose(self._key, str(self._place))
        if self._block is not None:
            self._database.execute("INSERT INTO torn VALUES (?, ?)", (self._block, self._place))

    def _lose(self, key: bytes, place: str) -> None:
        self._database.execute("INSERT INTO lost VALUES (?, ?)", (key, place))
