"""Split exports in, whole transactions out: transactions, receipts, logs and traces by hash.

    receipts, logs, traces, blocks ──▶ JoinData
    transactions ──▶ one by one, each with what is found under its hash

No file need be in any order and the formats may be mixed. A transaction of which a row cannot be
read, or whose logs show a gap, is rejected: half its logs would tell another story. Where nothing
shows that its block is covered by the logs given, its logs are unknown, not none.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ethtune.chain.sources.fields import integer, log_from, topics_of, transaction_from
from ethtune.chain.sources.joindata import JoinData, key_of
from ethtune.chain.sources.kinds import Export
from ethtune.chain.sources.names import FieldNames, field_names
from ethtune.chain.sources.records import Rejected, Row
from ethtune.chain.sources.responses import table_rows
from ethtune.chain.sources.traces import internal_transfers
from ethtune.core.errors import MachineError
from ethtune.core.transaction import InvalidTransaction, Log, Transaction

_GAS_OF_PLAIN_TRANSFER = 21_000  # no code ran, so nothing was logged


def joined_transactions(exports: Sequence[Export]) -> Iterator[Transaction | Rejected]:
    """Every transaction of the exports, with what the others know of it."""
    with tempfile.TemporaryDirectory(prefix="ethtune-join-") as folder:
        try:
            with closing(JoinData(Path(folder))) as data:
                for export in exports:
                    if export.is_beside:
                        yield from data.store(export.path, table_rows(export))
                data.index()
                for export in exports:
                    if export.is_split:
                        yield from _joined(data, export)
                yield from data.unasked()
        except sqlite3.Error as error:
            raise MachineError(
                f"{folder}: joining receipts and logs failed: {error}",
                hint="set TMPDIR to a folder with as much free space as the export takes",
            ) from error


def _joined(data: JoinData, export: Export) -> Iterator[Transaction | Rejected]:
    names = export.fields
    for row in table_rows(export):
        if isinstance(row, Rejected):
            if not export.is_beside:  # otherwise storing has said so
                yield row
        elif row.table == "transactions":
            if export.kind == "responses":
                names = field_names(row.fields)
            try:
                yield _transaction(data, row.fields, names)
            except InvalidTransaction as error:
                yield Rejected.of(row.where, error, row.fields)


def _transaction(data: JoinData, row: Row, names: FieldNames) -> Transaction:
    key = key_of(row.get(names.hash))
    if lost := data.ask(key):
        raise InvalidTransaction(f"a receipt, log or trace of it cannot be read: {lost}")
    fields = {**row, **_receipt(data, key, names)}
    if data.has("traces") and (moves := internal_transfers(data, key)) is not None:
        fields["internal_transfers"] = moves
    if data.has("blocks") and not fields.get(names.timestamp):
        fields[names.timestamp] = _block_time(data, fields.get(names.block_number))
    logs = None
    if data.has("logs") and fields.get("logs") is None:
        logs = _logs(data, key, fields, names)
    return transaction_from(fields, names, logs=logs)


def _receipt(data: JoinData, key: bytes, names: FieldNames) -> Row:
    """Fields of the receipt by their names in a joined row; none when there is no receipt."""
    if not data.has("receipts"):
        return {}
    query = "SELECT status, gas_used, price, contract, logs FROM receipts WHERE hash = ?"
    found = data.select(query + " ORDER BY logs IS NULL", key)
    if not found:
        return {}
    if len({integer("status", status) for status, *_ in found}) > 1:
        raise InvalidTransaction("two receipts that disagree on its status")
    status, gas_used, price, contract, logs = found[0]
    fields = {
        names.status: status,
        names.gas_used: gas_used,
        names.effective_gas_price: price,
        names.contract_address: contract,
        "logs": None if logs is None else json.loads(logs),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _block_time(data: JoinData, number: Any) -> Any:
    block = integer("block_number", number)
    if block is None or abs(block) >= 2**63:
        return None
    found = data.select("SELECT timestamp FROM blocks WHERE number = ?", block)
    return found[0][0] if found else None


def _logs(data: JoinData, key: bytes, fields: Row, names: FieldNames) -> tuple[Log, ...] | None:
    """Logs in the order of their indices; a row that stands in two files counts once."""
    query = "SELECT log_index, address, topics, data, place, block FROM logs WHERE hash = ?"
    found = data.select(query, key)
    block = integer("block_number", fields.get(names.block_number))
    if found and found[0][-1] is not None:
        block = found[0][-1]
    is_block_known = block is not None and abs(block) < 2**63
    if data.is_torn and is_block_known:
        torn = data.select("SELECT place FROM torn WHERE block = ? LIMIT 1", block)
        if torn:
            raise InvalidTransaction(f"its logs may be among those lost at {torn[0][0]}")
    if not found:
        is_covered = not data.knows_blocks or (
            is_block_known and data.select("SELECT 1 FROM logs WHERE block = ? LIMIT 1", block)
        )
        return () if is_covered or _cannot_log(fields, names) else None
    logs = sorted({_log(*row[:5]) for row in found}, key=lambda log: log.index)
    first, last = logs[0].index, logs[-1].index
    if last - first + 1 != len(logs):
        raise InvalidTransaction(
            f"{len(logs)} logs with indices from {first} to {last}: the logs given are not all "
            "that it has; export logs without a filter on address or topic"
        )
    return tuple(logs)


def _cannot_log(fields: Row, names: FieldNames) -> bool:
    """A failed transaction keeps no logs; a plain transfer runs no code that could write one."""
    return (
        fields.get(names.status) in (0, "0", "0x0", False)
        or integer("gas_used", fields.get(names.gas_used)) == _GAS_OF_PLAIN_TRANSFER
    )


def _log(index: Any, address: Any, topics: Any, data: Any, place: str) -> Log:
    try:
        number = integer("log_index", index)
        if number is None:
            raise InvalidTransaction("log_index is empty")
        return log_from(address, topics_of({"topics": topics}), data or "0x", number)
    except InvalidTransaction as error:
        raise InvalidTransaction(f"{place}: {error}") from None
