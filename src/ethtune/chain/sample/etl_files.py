"""Samples in, the five CSV files of ethereum-etl out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ethtune.chain.sample.encoding import keccak_hex
from ethtune.chain.sample.generate import Sample
from ethtune.chain.sample.tokens import tokens
from ethtune.core.transaction import Log

COLUMNS = {
    "transactions.csv": (
        "hash", "nonce", "block_hash", "block_number", "transaction_index", "from_address",
        "to_address", "value", "gas", "gas_price", "input", "block_timestamp", "max_fee_per_gas",
        "max_priority_fee_per_gas", "transaction_type",
    ),
    "receipts.csv": (
        "transaction_hash", "transaction_index", "block_hash", "block_number",
        "cumulative_gas_used", "gas_used", "contract_address", "root", "status",
        "effective_gas_price", "l1_fee", "l1_gas_used", "l1_gas_price", "l1_fee_scalar",
    ),
    "logs.csv": (
        "log_index", "transaction_hash", "transaction_index", "block_hash", "block_number",
        "address", "data", "topics",
    ),
    "token_transfers.csv": (
        "token_address", "from_address", "to_address", "value", "transaction_hash", "log_index",
        "block_number",
    ),
    "tokens.csv": ("address", "symbol", "name", "decimals", "total_supply", "block_number"),
}  # fmt: skip
_TRANSFER = keccak_hex(b"Transfer(address,address,uint256)")


def write_etl_files(folder: Path, samples: Iterable[Sample]) -> Iterator[Sample]:
    """Write every sample as it passes; the files are complete when the stream is exhausted."""
    with ExitStack() as stack:
        writers = {}
        for name, columns in COLUMNS.items():
            handle = stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))
            writers[name] = csv.writer(handle, lineterminator="\n")
            writers[name].writerow(columns)
        writers["tokens.csv"].writerows(_token_rows())
        for sample in samples:
            writers["transactions.csv"].writerow(_transaction_row(sample))
            writers["receipts.csv"].writerow(_receipt_row(sample))
            for log in sample.transaction.logs or ():
                writers["logs.csv"].writerow(_log_row(sample, log))
                if log.topics[0] == _TRANSFER and len(log.topics) == 3:
                    writers["token_transfers.csv"].writerow(_transfer_row(sample, log))
            yield sample


def _transaction_row(sample: Sample) -> tuple[Any, ...]:
    of = sample.transaction
    return (
        of.hash, of.nonce, sample.block_hash, of.block_number, sample.transaction_index,
        of.sender, of.to, of.value_wei, of.gas, of.gas_price_wei, of.calldata, of.timestamp,
        sample.max_fee_wei, sample.priority_fee_wei, 0 if sample.max_fee_wei is None else 2,
    )  # fmt: skip


def _receipt_row(sample: Sample) -> tuple[Any, ...]:
    of = sample.transaction
    return (
        of.hash, sample.transaction_index, sample.block_hash, of.block_number,
        sample.cumulative_gas_used, of.gas_used, of.contract_address, None, of.status,
        of.gas_price_wei, None, None, None, None,
    )  # fmt: skip


def _log_row(sample: Sample, log: Log) -> tuple[Any, ...]:
    of = sample.transaction
    return (
        log.index, of.hash, sample.transaction_index, sample.block_hash, of.block_number,
        log.address, log.data, ",".join(log.topics),
    )  # fmt: skip


def _transfer_row(sample: Sample, log: Log) -> tuple[Any, ...]:
    of = sample.transaction
    sender, to = ("0x" + topic[-40:] for topic in log.topics[1:])
    return (log.address, sender, to, int(log.data, 16), of.hash, log.index, of.block_number)


def _token_rows() -> Iterator[tuple[Any, ...]]:
    for token in tokens().values():
        yield (token.address, token.symbol, token.name, token.decimals, None, None)
