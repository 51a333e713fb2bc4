"""The user's own labels in, intents by transaction hash out; on disk, so that they may be many.

Two kinds of file: JSON lines of ``{"hash": …, "intent": {…}}``, and any file of decoded rows that
``chain.sources`` reads.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ethtune.chain.sources import Labelled, Rejected, SourceRecord, read_transactions
from ethtune.core.errors import DataError
from ethtune.core.intent import Intent, intent_from_dict, parse_intent
from ethtune.core.transaction import Transaction

_HINT = 'expected JSON lines such as {"hash":"0x…","intent":{"action":"transfer"}}'
_SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE labels (hash TEXT PRIMARY KEY, intent TEXT, used INTEGER DEFAULT 0) WITHOUT ROWID;
"""


class UserLabels:
    """Labels by lower-case hash; counts which were asked for."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.num_repeated = 0
        self._database = database

    def add(self, where: str, transaction_hash: str, intent: Intent) -> None:
        """Raises DataError for a second, different label."""
        text = intent.to_json()
        try:
            self._database.execute(
                "INSERT INTO labels (hash, intent) VALUES (?, ?)", (transaction_hash, text)
            )
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: no label: {error}", hint=_HINT) from None
        except sqlite3.IntegrityError:
            self.num_repeated += 1
            if self._text(transaction_hash) != text:
                shown = f"a second, different label for {transaction_hash}"
                raise DataError(f"{where}: {shown}", hint="remove one of the two") from None

    def attach(self, record: SourceRecord) -> SourceRecord:
        """The record with the user's label where there is one, which wins over its own."""
        if isinstance(record, Rejected):
            return record
        transaction = record if isinstance(record, Transaction) else record.transaction
        text = self._text(transaction.hash)
        if text is None:
            return record
        self._database.execute("UPDATE labels SET used = 1 WHERE hash = ?", (transaction.hash,))
        has_calldata = record.has_calldata if isinstance(record, Labelled) else True
        return Labelled(transaction, parse_intent(text), has_calldata)

    def counts(self) -> dict[str, int]:
        """How many there are, how many named a transaction of the input, how often one repeated."""
        (given, used) = self._database.execute(
            "SELECT COUNT(*), TOTAL(used) FROM labels"
        ).fetchone()
        return {"given": given, "used": int(used), "repeated": self.num_repeated}

    def unused_examples(self, most: int) -> list[str]:
        """Hashes that no transaction of the input has."""
        sql = "SELECT hash FROM labels WHERE NOT used ORDER BY hash LIMIT ?"
        return [row[0] for row in self._database.execute(sql, (most,))]

    def _text(self, transaction_hash: str) -> str | None:
        sql = "SELECT intent FROM labels WHERE hash = ?"
        row = self._database.execute(sql, (transaction_hash,)).fetchone()
        return row[0] if row else None


@contextmanager
def open_labels(path: Path | None) -> Iterator[UserLabels]:
    """The labels of a file. Raises DataError for a bad row: a label is never guessed."""
    database = sqlite3.connect("")  # a file without a name
    try:
        database.executescript(_SCHEMA)
        labels = UserLabels(database)
        for pair in _pairs(path) if path else ():
            labels.add(*pair)
        yield labels
    finally:
        database.close()


def _pairs(path: Path) -> Iterator[tuple[str, str, Intent]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint=_HINT)
    return _hash_and_intent(path) if _names_intents(path) else _decoded_rows(path)


def _names_intents(path: Path) -> bool:
    with path.open("rb") as lines:
        line = lines.readline()
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(b'{"hash"')
    return isinstance(first, dict) and "intent" in first


def _hash_and_intent(path: Path) -> Iterator[tuple[str, str, Intent]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield where, str(row["hash"]).lower(), _intent(row["intent"])
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise DataError(f"{where}: no label: {error}", hint=_HINT) from None


def _intent(value: Any) -> Intent:
    """The record, or its text form."""
    return parse_intent(value) if isinstance(value, str) else intent_from_dict(value)


def _decoded_rows(path: Path) -> Iterator[tuple[str, str, Intent]]:
    for record in read_transactions(path):
        if isinstance(record, Rejected):
            raise DataError(f"{record.where}: no label: {record.reason}", hint=_HINT)
        if not isinstance(record, Labelled):
            raise DataError(f"{path}: holds transactions without labels", hint=_HINT)
        yield str(path), record.transaction.hash, record.intent
