"""What comes of one thing that was asked for: a transaction with all about it, or why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ethtune.chain.rpc.wire import Answer, NodeError

HASH = re.compile(r"0x[0-9a-f]{64}").fullmatch
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}").fullmatch


@dataclass(frozen=True, slots=True)
class Fetched:
    """Results as the node sent them; ``block_timestamp`` in seconds since 1970.

    ``block_transactions`` says how many transactions the block has where all of it was asked for.
    """

    transaction: Mapping[str, Any]
    receipt: Mapping[str, Any]
    block_timestamp: int
    chain_id: int
    block_transactions: int | None = None

    @property
    def hash(self) -> str:
        """In lower case."""
        return str(self.transaction["hash"]).lower()

    def line(self) -> bytes:
        """One line of JSON, as the file of rows holds it."""
        row: dict[str, Any] = {
            "transaction": self.transaction,
            "receipt": self.receipt,
            "block_timestamp": self.block_timestamp,
            "chain_id": self.chain_id,
        }
        if self.block_transactions is not None:
            row["block_transactions"] = self.block_transactions
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Failure:
    """A hash, block or line of the input that gave no transaction."""

    kind: Literal["hash", "block", "line"]
    name: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """``{"hash": "0x…", "error": "not found"}``."""
        return {self.kind: self.name, "error": self.reason}


Item = Fetched | Failure


def fault(hash: str, transaction: Answer, receipt: Answer) -> str | None:
    """Why transaction and receipt are not those of ``hash`` in one block; None when they are."""
    return _transaction_fault(hash, transaction) or _receipt_fault(hash, transaction, receipt)


def _transaction_fault(hash: str, transaction: Answer) -> str | None:
    if not isinstance(transaction, dict):
        return _no_object(transaction, "not found")
    if str(transaction.get("hash")).lower() != hash:
        return "the node answered with another transaction"
    block, number = transaction.get("blockHash"), transaction.get("blockNumber")
    if block is None or number is None:
        return "not in a block yet"
    if not (HASH(str(block).lower()) and _QUANTITY(str(number))):
        return f"its block is {str(number)[:40]!r} with hash {str(block)[:70]!r}"
    return None


def _receipt_fault(hash: str, transaction: Mapping[str, Any], receipt: Answer) -> str | None:
    if not isinstance(receipt, dict):
        return _no_object(receipt, "no receipt: the node has pruned it")
    if str(receipt.get("transactionHash")).lower() != hash:
        return "the node answered with another transaction's receipt"
    if receipt.get("blockHash") != transaction["blockHash"]:
        return "transaction and receipt are of different blocks: the chain was just reorganised"
    return None


def _no_object(answer: Answer, absent: str) -> str:
    if isinstance(answer, NodeError):
        return str(answer)
    return absent if answer is None else "the node's answer is no object"


def timestamp_of(block: Answer) -> int | str:
    """Seconds since 1970 of a block, or why there are none."""
    if isinstance(block, NodeError):
        return f"block: {block}"
    if not isinstance(block, dict):
        return "its block is not found"
    try:
        return int(block["timestamp"], 16)
    except (KeyError, TypeError, ValueError):
        return f"timestamp of its block is {str(block.get('timestamp'))[:40]!r}"
