"""ethereum-etl files in, whole transactions out: transactions, receipts and logs joined by hash.

    receipts, logs ──▶ temporary SQLite database, indexed by hash
    transactions   ──▶ one by one, each with the receipt and logs found under its hash

No file need be in any order, and memory stays flat however large they are. A transaction whose
receipt or log cannot be read is rejected: half its logs would tell another story.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ethtune.chain.sources.fields import ETHEREUM_ETL, integer, log_from, transaction_from
from ethtune.chain.sources.files import Numbered, read_rows
from ethtune.chain.sources.kinds import Export
from ethtune.chain.sources.records import Rejected
from ethtune.core.errors import MachineError
from ethtune.core.transaction import InvalidTransaction, Log, Transaction

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE receipts (hash TEXT, status TEXT, gas_used TEXT, price TEXT, contract TEXT);
CREATE TABLE logs (hash TEXT, log_index TEXT, address TEXT, topics TEXT, data TEXT, place TEXT);
"""
_INDICES = """
CREATE INDEX receipt_of ON receipts (hash);
CREATE INDEX logs_of ON logs (hash);
"""
_RECEIPT_NAMES = (
    ETHEREUM_ETL.status,
    ETHEREUM_ETL.gas_used,
    ETHEREUM_ETL.effective_gas_price,
    ETHEREUM_ETL.contract_address,
)


def joined_transactions(exports: Sequence[Export]) -> Iterator[Transaction | Rejected]:
    """Every transaction of the exports of kind "transactions", with what the others know."""
    transactions = [export for export in exports if export.kind == "transactions"]
    receipts = [export for export in exports if export.kind == "receipts"]
    logs = [export for export in exports if export.kind == "logs"]
    with tempfile.TemporaryDirectory(prefix="ethtune-join-") as folder:
        database = sqlite3.connect(Path(folder) / "join.sqlite3")
        try:
            database.executescript(_TABLES)
            for export in receipts:
                yield from _stored(database, export, "receipts", _receipt_values)
            for export in logs:
                yield from _stored(database, export, "logs", _log_values)
            database.executescript(_INDICES)
            for export in transactions:
                yield from _joined(database, export, has_logs=bool(logs))
        except sqlite3.Error as error:
            raise MachineError(
                f"{folder}: joining receipts and logs failed: {error}",
                hint="set TMPDIR to a folder with as much free space as the export takes",
            ) from error
        finally:
            database.close()


def _stored(
    database: sqlite3.Connection,
    export: Export,
    table: str,
    values: Callable[[Numbered], tuple[Any, ...]],
) -> Iterator[Rejected]:
    """Put the rows of a file into its table; yield those that name no transaction."""
    assert export.syntax
    places = {"receipts": "?, ?, ?, ?, ?", "logs": "?, ?, ?, ?, ?, ?"}[table]
    statement = f"INSERT INTO {table} VALUES ({places})"  # noqa: S608  # our own two names
    for row in read_rows(export.path, export.syntax):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            database.execute(statement, values(row))
        except (KeyError, AttributeError, UnicodeEncodeError) as error:
            yield Rejected.of(row.where, f"no usable transaction_hash: {error!r}", row.fields)


def _receipt_values(row: Numbered) -> tuple[Any, ...]:
    names = ("status", "gas_used", "effective_gas_price", "contract_address")
    values = (row.fields.get(name) for name in names)
    return (row.fields["transaction_hash"].lower(), *map(_text, values))


def _log_values(row: Numbered) -> tuple[Any, ...]:
    topics = row.fields.get("topics")
    return (
        row.fields["transaction_hash"].lower(),
        _text(row.fields.get("log_index")),
        _text(row.fields.get("address")),
        ",".join(map(str, topics)) if isinstance(topics, list) else _text(topics),
        _text(row.fields.get("data")),
        row.where,
    )


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _joined(
    database: sqlite3.Connection, export: Export, *, has_logs: bool
) -> Iterator[Transaction | Rejected]:
    assert export.syntax
    for row in read_rows(export.path, export.syntax):
        if isinstance(row, Rejected):
            yield row
            continue
        transaction_hash = str(row.fields.get("hash")).lower()
        try:
            receipt = _receipt(database, transaction_hash)
            logs = _logs(database, transaction_hash) if has_logs else None
            yield transaction_from({**row.fields, **receipt}, ETHEREUM_ETL, logs=logs)
        except (InvalidTransaction, UnicodeEncodeError) as error:
            yield Rejected.of(row.where, error, row.fields)


def _receipt(database: sqlite3.Connection, transaction_hash: str) -> dict[str, Any]:
    """Fields of the receipt by their names in a joined row; none when there is no receipt."""
    query = "SELECT status, gas_used, price, contract FROM receipts WHERE hash = ?"
    found = database.execute(query, (transaction_hash,)).fetchone()
    return dict(zip(_RECEIPT_NAMES, found, strict=True)) if found else {}


def _logs(database: sqlite3.Connection, transaction_hash: str) -> tuple[Log, ...]:
    """Logs in the order of their indices; a row that stands in two files counts once."""
    query = "SELECT log_index, address, topics, data, place FROM logs WHERE hash = ?"
    logs = {_log(*found) for found in database.execute(query, (transaction_hash,))}
    return tuple(sorted(logs, key=lambda log: log.index))


def _log(index: str | None, address: str, topics: str | None, data: str | None, place: str) -> Log:
    try:
        number = integer("log_index", index)
        if number is None:
            raise InvalidTransaction("log_index is empty")
        return log_from(address, topics.split(",") if topics else [], data or "0x", number)
    except InvalidTransaction as error:
        raise InvalidTransaction(f"{place}: {error}") from None
