"""Rows in, one by one, into a temporary database; memory stays flat however many there are.

    rows      what limits, splits and counts depend on, one record a row
    lines     the row as JSONL            sources   what augmentation makes other rows of
    placed    the split of each row that stays (``splits``)

Says which rows are duplicates of earlier ones. Selection is SQL over ``rows`` (``limits``,
``splits``): it sorts on disk what does not fit in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Literal, NamedTuple
from zlib import crc32

from ethtune.core.errors import MachineError
from ethtune.core.example import Example
from ethtune.dataset.duplicates import likeness

Verdict = Literal["kept", "duplicate", "contradiction"]

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, id BLOB UNIQUE, text BLOB UNIQUE, template BLOB, people BLOB,
    answer INTEGER, contract TEXT, block_number INTEGER, action TEXT, protocol TEXT,
    label_source TEXT, characters INTEGER, limited TEXT);
CREATE TABLE lines (number INTEGER PRIMARY KEY, line BLOB);
CREATE TABLE sources (number INTEGER PRIMARY KEY, source BLOB);
CREATE TABLE placed (number INTEGER PRIMARY KEY, split TEXT);
"""
_INSERT = """
INSERT INTO rows VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING
"""
_KEY_BYTES_MAX = 64


class SpooledRow(NamedTuple):
    """A row and what its place in the dataset depends on; cheap to send between processes.

    ``contract`` is the one called, None for a plain payment and a creation.
    """

    id: bytes
    text: bytes
    template: bytes
    people: bytes
    answer: int
    contract: str | None
    block_number: int | None
    action: str
    protocol: str | None
    label_source: str
    characters: int
    line: bytes


def spooled(example: Example, *, sender: str) -> SpooledRow:
    """The record of a row. Raises UnicodeEncodeError for text that no file can hold."""
    meta = example.meta
    like = likeness(example.input, sender=sender)
    return SpooledRow(
        id=bytes.fromhex(example.id[2:]),
        text=like.text,
        template=like.template,
        people=like.counterparties,
        answer=crc32(example.output.encode()),
        contract=meta.get("contract") if meta.get("selector") else None,
        block_number=meta.get("block_number"),
        action=meta["action"],
        protocol=meta["protocol"],
        label_source=meta["label_source"],
        characters=len(example.prompt) + len(example.output),
        line=example.to_json().encode() + b"\n",
    )


@contextmanager
def open_spool() -> Iterator[Spool]:
    """A spool on disk that vanishes with its process. Raises MachineError where the disk fails."""
    database = sqlite3.connect("")  # a file without a name
    try:
        database.executescript(_SCHEMA)
        database.create_function("lot", 2, _lot, deterministic=True)
        yield Spool(database)
    except sqlite3.Error as error:
        raise MachineError(
            f"the temporary database of rows failed: {error}",
            hint="set SQLITE_TMPDIR to a folder with as much free space as the dataset takes",
        ) from error
    finally:
        database.close()


def _lot(seed: int, key: bytes) -> bytes:
    """The place of a row in a seeded draw."""
    return blake2b(key, key=str(seed).encode()[:_KEY_BYTES_MAX], digest_size=8).digest()


class Spool:
    """``database`` has the tables of the module text and ``lot(seed, key)`` for seeded draws."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def add(self, row: SpooledRow, *, source: bytes | None = None) -> tuple[Verdict, str]:
        """Keep the row unless an earlier one is its like; then also that row's id."""
        *facts, line = row
        inserted = self.database.execute(_INSERT, facts)
        if not inserted.rowcount:
            return self._earlier(row)
        number = inserted.lastrowid
        self.database.execute("INSERT INTO lines VALUES (?, ?)", (number, line))
        if source is not None:
            self.database.execute("INSERT INTO sources VALUES (?, ?)", (number, source))
        return "kept", _id(row.id)

    def place(self, row: SpooledRow) -> bool:
        """Keep an augmented row, in training; False where an earlier one is its like."""
        verdict, _ = self.add(row)
        if verdict == "kept":
            self.database.execute("INSERT INTO placed SELECT MAX(number), 'train' FROM rows")
        return verdict == "kept"

    def lines(self, split: str) -> Iterator[tuple[bytes, int]]:
        """Lines of a split in the order of blocks, with their length in characters."""
        yield from self.database.execute(
            "SELECT line, characters FROM placed JOIN rows USING (number) "
            "JOIN lines USING (number) WHERE split = ? ORDER BY IFNULL(block_number, 0), id",
            (split,),
        )

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""
        return self.database.execute(sql, values).fetchall()

    def _earlier(self, row: SpooledRow) -> tuple[Verdict, str]:
        """Its like: the same transaction, or one that reads the same; and do the answers agree?"""
        same_id = self.database.execute(
            "SELECT id, answer, label_source FROM rows WHERE id = ?", (row.id,)
        ).fetchone()
        if same_id is not None:
            is_disputed = same_id[1] != row.answer and row.label_source == same_id[2] == "user"
            return "contradiction" if is_disputed else "duplicate", _id(same_id[0])
        key, answer = self.database.execute(
            "SELECT id, answer FROM rows WHERE text = ?", (row.text,)
        ).fetchone()
        return "duplicate" if answer == row.answer else "contradiction", _id(key)


def _id(key: bytes) -> str:
    return "0x" + key.hex()
