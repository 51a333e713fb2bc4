"""Answers of nodes and of Etherscan in, rows of one table each out, whatever they are wrapped in.

    {"jsonrpc": …, "result": block | transaction | receipt | list of them}
    {"status": "1", "message": "OK", "result": [transactions of an account]}
    {"params": …, "body": one of the above}, a recorded exchange
    the results alone; rows of several tables of ethereum-etl in one file

A pair of transaction and receipt in one object is a whole transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ethtune.chain.sources.files import read_rows
from ethtune.chain.sources.kinds import Export, kind_of
from ethtune.chain.sources.records import Rejected, Row
from ethtune.chain.sources.refusals import error_text, shown_names
from ethtune.core.transaction import InvalidTransaction

Table = Literal["transactions", "receipts", "logs", "traces", "blocks"]

_TABLES = frozenset({"transactions", "receipts", "logs", "traces", "blocks"})
_WRAPPERS = frozenset({"result", "body"})
_DEEPEST = 4  # a batch of answers, each a list of objects
_OF_RECEIPT = ("status", "gasUsed", "effectiveGasPrice", "contractAddress", "logs")
LISTING_REASON = (
    "events or moves of one account or contract are not the whole receipt of a transaction, and "
    "labels made of a part would be wrong; get the receipts by hash with `ethtune fetch`"
)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row, the table it belongs to, and where it stands."""

    table: Table
    where: str
    fields: Row


def table_rows(export: Export) -> Iterator[TableRow | Rejected]:
    """The rows of a file, answers unwrapped."""
    assert export.syntax
    for row in read_rows(export.path, export.syntax):
        if isinstance(row, Rejected):
            yield row
        elif export.kind == "responses":
            yield from _unwrapped(row.fields, row.where, 0)
        else:
            yield TableRow(cast("Table", export.kind), row.where, row.fields)


def _unwrapped(value: Any, where: str, depth: int) -> Iterator[TableRow | Rejected]:
    if isinstance(value, list) and value and _is_listing(value[0]):
        yield Rejected.of(where, f"a list of one account, {len(value)} rows: {LISTING_REASON}")
    elif isinstance(value, list) and depth < _DEEPEST:
        for index, item in enumerate(value):
            yield from _unwrapped(item, f"{where}[{index}]", depth + 1)
    elif not isinstance(value, dict) or depth >= _DEEPEST:
        yield Rejected.of(where, f"expected an object, found {type(value).__name__}", value)
    elif error := error_text(value):
        yield Rejected.of(where, error)
    elif kind_of(value.keys()) == "responses" and (wrapper := value.keys() & _WRAPPERS):
        inner = value[wrapper.pop()]
        if inner is None:
            yield Rejected.of(where, "the answer is null: the node does not know what was asked")
        else:
            yield from _unwrapped(inner, where, depth + 1)
    else:
        yield from _objects(value, where)


def _is_listing(value: Any) -> bool:
    return isinstance(value, dict) and kind_of(value.keys()) == "listing"


def _objects(value: Row, where: str) -> Iterator[TableRow | Rejected]:
    kind = kind_of(value.keys())
    if kind in _TABLES:
        yield TableRow(cast("Table", kind), where, value)
    elif kind == "pairs":
        try:
            yield TableRow("transactions", where, paired(value))
        except InvalidTransaction as error:
            yield Rejected.of(where, error, value)
    elif "cumulativeGasUsed" in value:
        yield TableRow("receipts", where, value)
    elif "parentHash" in value:
        yield from _block(value, where)
    elif kind not in ("companion", "tokens"):
        shown = shown_names("json", list(value))
        yield Rejected.of(where, f"no transaction, receipt, log, trace or block: {shown}", value)


def _block(block: Row, where: str) -> Iterator[TableRow | Rejected]:
    """Its time, and its transactions where they are given whole."""
    yield TableRow("blocks", where, block)
    transactions = block.get("transactions")
    items = transactions if isinstance(transactions, list) else []
    num_hashes = 0
    for index, item in enumerate(items):
        if isinstance(item, str):
            num_hashes += 1
        elif isinstance(item, dict):
            timed = {"blockTimestamp": block.get("timestamp"), **item}
            yield TableRow("transactions", f"{where}.transactions[{index}]", timed)
        else:
            yield Rejected.of(where, f"transactions[{index}] is no object", item)
    if num_hashes:
        yield Rejected.of(
            where,
            f"the block gives the hashes of its {num_hashes} transactions only; ask "
            "eth_getBlockByNumber with true as its second parameter",
        )


def paired(row: Mapping[str, Any]) -> Row:
    """One row of {"transaction": …, "receipt": …}; "tx" will do, and answers as nodes wrap them.

    "block_timestamp" and "chain_id" are optional. Raises InvalidTransaction where transaction and
    receipt do not belong together.
    """
    transaction = _result(row.get("transaction", row.get("tx")), "transaction")
    if transaction is None:
        raise InvalidTransaction("transaction is null: the node does not know it")
    receipt = _result(row.get("receipt"), "receipt") or {}
    other = receipt.get("transactionHash")
    if receipt and str(other).lower() != str(transaction.get("hash")).lower():
        raise InvalidTransaction(
            f"the receipt is of {str(other)[:66]}, the transaction is {transaction.get('hash')}"
        )
    of_receipt = {name: receipt[name] for name in _OF_RECEIPT if name in receipt}
    chain_id = transaction.get("chainId") or row.get("chain_id")  # the oldest signatures have none
    time = _time(row, transaction, receipt)
    return {**transaction, **of_receipt, "blockTimestamp": time, "chainId": chain_id}


def _result(value: Any, name: str) -> Row | None:
    """What a node answered, or the answer itself."""
    if isinstance(value, dict) and "hash" not in value and "transactionHash" not in value:
        if error := error_text(value):
            raise InvalidTransaction(f"{name}: {error}")
        value = value.get("result", value)
    if value is None or isinstance(value, dict):
        return value
    raise InvalidTransaction(f"{name} is {str(value)[:60]!r}, expected an object or null")


def _time(row: Mapping[str, Any], transaction: Row, receipt: Row) -> Any:
    logs = receipt.get("logs")
    first_log = logs[0] if isinstance(logs, list) and logs and isinstance(logs[0], dict) else {}
    for time in (
        row.get("block_timestamp"),
        transaction.get("blockTimestamp"),
        receipt.get("blockTimestamp"),
        first_log.get("blockTimestamp"),
    ):
        if time is not None:
            return time
    return None
