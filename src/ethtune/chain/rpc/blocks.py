"""Block numbers in, all transactions of each block with their receipts out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ethtune.chain.rpc.node import Node
from ethtune.chain.rpc.records import HASH, Failure, Fetched, Item, fault, timestamp_of
from ethtune.chain.rpc.wire import Answer, Call, NodeError
from ethtune.core.errors import MachineError, UsageError

_RANGE = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?", re.ASCII).fullmatch
_MOST_BLOCKS = 10_000_000
_NEWEST = re.compile(r"latest-(\d{1,6})", re.ASCII).fullmatch


def parse_blocks(text: str) -> range | int:
    """A range of block numbers, or how many of the newest blocks are wanted.

    >>> parse_blocks("17173049-17173060"), parse_blocks("7"), parse_blocks("latest-10")
    (range(17173049, 17173061), range(7, 8), 10)
    """
    if (newest := _NEWEST(text)) and int(newest[1]):
        return int(newest[1])
    if bounds := _RANGE(text):
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if first <= last < first + _MOST_BLOCKS:
            return range(first, last + 1)
    raise UsageError(
        f"--blocks is {text[:40]!r}, expected a range of at most {_MOST_BLOCKS:,} blocks",
        hint="--blocks 17173049-17173060, or --blocks latest-10 for the ten newest",
    )


def newest_blocks(node: Node, num_blocks: int) -> range:
    """Numbers of the newest blocks that the node has."""
    (answer,) = node.ask([Call("eth_blockNumber")])
    try:
        end = int(answer, 16) + 1
    except (TypeError, ValueError):
        raise MachineError(f"{node.host} does not tell its newest block: {answer}") from None
    return range(max(0, end - num_blocks), end)


def fetch_blocks(node: Node, numbers: Iterable[int]) -> Iterator[list[Item]]:
    """The items of one block at a time, as they arrive; a block may have none."""
    receipts_by_hash = threading.Event()  # set once the node turns out to give none by block

    def fetched(number: int) -> list[Item]:
        return _fetch(node, number, receipts_by_hash)

    return node.each(fetched, numbers)


def _fetch(node: Node, number: int, receipts_by_hash: threading.Event) -> list[Item]:
    calls = [Call("eth_getBlockByNumber", (hex(number), True))]
    if not receipts_by_hash.is_set():
        calls.append(Call("eth_getBlockReceipts", (hex(number),)))
    block, *receipts = node.ask(calls)
    timestamp, reason = timestamp_of(block), _fault(block)
    if reason is not None or isinstance(timestamp, str):
        return [Failure("block", str(number), reason or str(timestamp))]
    if receipts and isinstance(receipts[0], NodeError):
        receipts_by_hash.set()
    transactions = {
        transaction["hash"].lower(): transaction for transaction in block["transactions"]
    }
    known = _by_hash(receipts[0] if receipts else None)
    missing = [hash for hash in transactions if hash not in known]
    answers = node.ask([Call("eth_getTransactionReceipt", (hash,)) for hash in missing])
    known.update(zip(missing, answers, strict=True))
    return [
        Failure("hash", hash, why)
        if (why := fault(hash, transaction, known[hash])) is not None
        else Fetched(transaction, known[hash], timestamp, node.chain_id, len(transactions))
        for hash, transaction in transactions.items()
    ]


def _fault(block: Answer) -> str | None:
    """Why a block cannot be used; its time is told elsewhere."""
    if isinstance(block, NodeError):
        return str(block)
    if block is None:
        return "not found"
    transactions = block.get("transactions") if isinstance(block, dict) else None
    if not isinstance(transactions, list) or not all(map(_is_transaction, transactions)):
        return "the node's answer is no block with its transactions"
    return None


def _is_transaction(value: Any) -> bool:
    return isinstance(value, dict) and HASH(str(value.get("hash")).lower()) is not None


def _by_hash(receipts: Answer) -> dict[str, Mapping[str, Any]]:
    """Receipts of a block by transaction; none where the node gave none."""
    if not isinstance(receipts, list):
        return {}
    return {
        str(receipt["transactionHash"]).lower(): receipt
        for receipt in receipts
        if isinstance(receipt, dict) and "transactionHash" in receipt
    }
