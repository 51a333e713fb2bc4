"""Receipts, logs, traces and block times of any format in, found again by hash or block number.

    rows beside the transactions ──▶ a temporary SQLite database ──▶ what one transaction has

The database lies on disk, so memory stays flat. It also knows what it does not know: hashes and
blocks of which a row was lost, and rows that no transaction asked for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ethtune.chain.sources.fields import integer, topics_of
from ethtune.chain.sources.records import Rejected, Row
from ethtune.chain.sources.responses import Table, TableRow
from ethtune.chain.sources.tears import Tear
from ethtune.core.transaction import InvalidTransaction

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE receipts (hash BLOB, file INTEGER, status, gas_used, price, contract, logs);
CREATE TABLE logs (hash BLOB, file INTEGER, block INTEGER, log_index, address, topics, data, place);
CREATE TABLE traces (hash BLOB, file INTEGER, sender, receiver, value, kind, path, failed, place);
CREATE TABLE blocks (number INTEGER PRIMARY KEY, timestamp);
CREATE TABLE lost (hash BLOB, place TEXT);
CREATE TABLE torn (block INTEGER, place TEXT);
CREATE TABLE asked (hash BLOB);
"""
_INDICES = """
CREATE INDEX receipt_of ON receipts (hash);
CREATE INDEX logs_of ON logs (hash);
CREATE INDEX logs_in ON logs (block);
CREATE INDEX traces_of ON traces (hash);
CREATE INDEX lost_of ON lost (hash);
CREATE INDEX torn_in ON torn (block);
"""
_INSERT = {
    "receipts": "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)",
    "logs": "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "traces": "INSERT INTO traces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "blocks": "INSERT OR IGNORE INTO blocks VALUES (?, ?)",
}
_OF_NO_TRANSACTION = frozenset({"reward", "genesis", "daofork"})  # traces of the block itself


def key_of(value: Any) -> bytes:
    """A transaction's hash as bytes. Raises InvalidTransaction for what is none."""
    if type(value) is bytes and len(value) == 32:
        return value
    try:
        key = bytes.fromhex(value[2:] if value[:2] in ("0x", "0X") else value)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 32:
        raise InvalidTransaction(
            f"no usable transaction_hash: {str(value)[:80]!r}, expected 0x and 64 hex digits"
        )
    return key


def _key_or_none(row: Row) -> bytes | None:
    try:
        return key_of(row.get("transaction_hash", row.get("transactionHash")))
    except InvalidTransaction:
        return None


class JoinData:
    """The database. ``store`` all rows, then ``index`` once, then ask."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "join.sqlite3", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self._files: list[Path] = []
        self._counts = dict.fromkeys(_INSERT, 0)
        self._has_lost = False
        self.is_torn = False  # some block may have lost logs
        self.knows_blocks = False  # logs say which block they are of

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def store(self, path: Path, rows: Iterator[TableRow | Rejected]) -> Iterator[Rejected]:
        """Keep the rows of a file; yield those that cannot be used."""
        file = len(self._files)
        self._files.append(path)
        tear = Tear(self._database, file)
        num_without_hash = 0
        for row in rows:
            if isinstance(row, Rejected):
                tear.note(row)
                yield row
            elif row.table != "transactions":
                try:
                    self._insert(row, file, tear)
                except InvalidTransaction as error:
                    if row.table == "traces":
                        num_without_hash += row.fields.get("trace_type") not in _OF_NO_TRANSACTION
                    else:
                        rejected = Rejected.of(row.where, error, row.fields)
                        tear.note(rejected, _key_or_none(row.fields))
                        yield rejected
        tear.close()
        if num_without_hash:
            yield Rejected.of(
                str(path),
                f"{num_without_hash:,} traces name no transaction_hash (ethereum-etl's geth traces "
                "have none); export them with `ethereumetl export_traces` from a node with "
                "trace_block",
            )

    def _insert(self, row: TableRow, file: int, tear: Tear) -> None:
        values = _VALUES[row.table](row.fields, row.where)
        if row.table != "blocks":
            tear.passed(values[0], values[1] if row.table == "logs" else None)
            values = (values[0], file, *values[1:])
        self._database.execute(_INSERT[row.table], values)
        self._counts[row.table] += 1

    def index(self) -> None:
        """Make ready for questions."""
        self._database.executescript(_INDICES)
        self._database.execute("BEGIN")
        self._has_lost = bool(self.select("SELECT 1 FROM lost LIMIT 1"))
        self.is_torn = bool(self.select("SELECT 1 FROM torn LIMIT 1"))
        self.knows_blocks = bool(self.select("SELECT 1 FROM logs WHERE block NOTNULL LIMIT 1"))

    def has(self, table: Table) -> bool:
        """Whether any row was stored there."""
        return bool(self._counts[table])

    def select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self._database.execute(query, values).fetchall()

    def ask(self, key: bytes) -> str | None:
        """Note that there is such a transaction; say where a row of it was lost, if one was."""
        self._database.execute("INSERT INTO asked VALUES (?)", (key,))
        if not self._has_lost:
            return None
        lost = self.select("SELECT place FROM lost WHERE hash = ? LIMIT 1", key)
        return str(lost[0][0]) if lost else None

    def unasked(self) -> Iterator[Rejected]:
        """For every file, the rows of transactions that are in none of the exports."""
        self._database.execute("CREATE INDEX asked_of ON asked (hash)")
        for table in ("receipts", "logs", "traces"):
            query = (
                f"SELECT file, COUNT(*), COUNT(DISTINCT hash) FROM {table} "  # noqa: S608  # ours
                "WHERE hash NOT IN (SELECT hash FROM asked) GROUP BY file"
            )
            for file, num_rows, num_hashes in self.select(query):
                yield Rejected.of(
                    str(self._files[file]),
                    f"{num_rows:,} {table} of {num_hashes:,} transactions that no file given holds",
                )


def _receipt(row: Mapping[str, Any], _: str) -> tuple[Any, ...]:
    logs = row.get("logs")
    return (
        key_of(row.get("transaction_hash", row.get("transactionHash"))),
        _storable(row.get("status")),
        _storable(row.get("gas_used", row.get("gasUsed"))),
        _storable(row.get("effective_gas_price", row.get("effectiveGasPrice"))),
        _storable(row.get("contract_address", row.get("contractAddress"))),
        None if logs is None or logs == "" else _json(logs),
    )


def _json(logs: Any) -> str:
    try:
        return json.dumps(logs, default=_hex_or_text)
    except RecursionError:
        raise InvalidTransaction("logs are nested too deeply") from None


def _log(row: Mapping[str, Any], where: str) -> tuple[Any, ...]:
    key = key_of(row.get("transaction_hash"))
    topics = ",".join(map(_hex_or_text, topics_of(row)))
    values = (row.get("log_index"), row.get("address"), topics, row.get("data"))
    return (key, _number(row.get("block_number")), *map(_storable, (*values, where)))


def _trace(row: Mapping[str, Any], where: str) -> tuple[Any, ...]:
    path = row.get("trace_address")
    values = (
        row.get("from_address"),
        row.get("to_address"),
        row.get("value"),
        row.get("call_type") or row.get("trace_type"),
        ",".join(map(str, path)) if isinstance(path, list) else path,
        str(row.get("status")) == "0" or bool(row.get("error")),
    )
    return (key_of(row.get("transaction_hash")), *map(_storable, (*values, where)))


def _block(row: Row, _: str) -> tuple[Any, ...]:
    number = _number(row.get("number", row.get("block_number")))
    if number is None:
        raise InvalidTransaction("a block without a number")
    return number, _storable(row.get("timestamp"))


_VALUES: Mapping[Table, Callable[[Any, str], tuple[Any, ...]]] = {
    "receipts": _receipt, "logs": _log, "traces": _trace, "blocks": _block,
}  # fmt: skip


def _number(value: Any) -> int | None:
    try:
        number = integer("block_number", value)
    except InvalidTransaction:
        return None
    return number if number is not None and abs(number) < 2**63 else None


def _hex_or_text(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _storable(value: Any) -> Any:
    """What SQLite takes unchanged; text otherwise, whose faults the record will find."""
    if value is None or value == "" or type(value) is bytes or isinstance(value, bool):
        return None if value == "" else value
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
