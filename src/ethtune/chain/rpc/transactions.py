"""Hashes in, transactions with their receipts and the times of their blocks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ethtune.chain.rpc.node import Node
from ethtune.chain.rpc.records import Failure, Fetched, Item, fault, timestamp_of
from ethtune.chain.rpc.wire import Answer, Call


def fetch_transactions(node: Node, hashes: Iterable[str]) -> Iterator[list[Item]]:
    """A batch of items at a time, one for each hash, as they arrive.

    Hashes are lower case with 0x and stand for different transactions.
    """
    timestamps: dict[str, int | str] = {}  # by block; threads share it

    def fetched(batch: Sequence[str]) -> list[Item]:
        return _fetch(node, batch, timestamps)

    return node.each(fetched, _batches(hashes, max(1, node.batch_size // 2)))


def _batches(hashes: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(hashes)
    while batch := list(islice(rest, size)):
        yield batch


def _fetch(node: Node, hashes: Sequence[str], timestamps: dict[str, int | str]) -> list[Item]:
    answers = node.ask(
        [
            *(Call("eth_getTransactionByHash", (hash,)) for hash in hashes),
            *(Call("eth_getTransactionReceipt", (hash,)) for hash in hashes),
        ]
    )
    transactions, receipts = answers[: len(hashes)], answers[len(hashes) :]
    faults = [fault(*whole) for whole in zip(hashes, transactions, receipts, strict=True)]
    blocks = {
        transaction["blockHash"]
        for transaction, reason in zip(transactions, faults, strict=True)
        if reason is None
    }
    new = sorted(block for block in blocks if block not in timestamps)
    found = node.ask([Call("eth_getBlockByHash", (block, False)) for block in new])
    timestamps.update(zip(new, map(timestamp_of, found), strict=True))
    return [
        Failure("hash", hash, reason)
        if reason is not None
        else _item(node, transaction, receipt, timestamps[transaction["blockHash"]])
        for hash, transaction, receipt, reason in zip(
            hashes, transactions, receipts, faults, strict=True
        )
    ]


def _item(node: Node, transaction: Answer, receipt: Answer, timestamp: int | str) -> Item:
    if isinstance(timestamp, str):
        return Failure("hash", str(transaction["hash"]).lower(), timestamp)
    return Fetched(transaction, receipt, timestamp, node.chain_id)
