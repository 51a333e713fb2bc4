"""The same real blocks in every native form give the same transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ethtune.chain.sources import Rejected, read_transactions
from ethtune.core.transaction import Transaction


@pytest.fixture(scope="module")
def by_etl(real_data: Path) -> dict[str, Transaction]:
    return by_hash(real_data / "native" / "converted" / "ethereum-etl-csv")


def by_hash(path: Path) -> dict[str, Transaction]:
    records = list(read_transactions(path))
    assert not [record for record in records if isinstance(record, Rejected)]
    return {record.hash: record for record in records}


def as_answers(transaction: Transaction) -> tuple[dict, dict]:
    """What a node would have answered for the transaction and its receipt."""
    number = hex(transaction.block_number)
    sent = {
        "hash": transaction.hash, "from": transaction.sender, "to": transaction.to,
        "value": hex(transaction.value_wei), "input": transaction.calldata,
        "nonce": hex(transaction.nonce), "gas": hex(transaction.gas),
        "gasPrice": hex(transaction.gas_price_wei), "blockNumber": number, "chainId": "0x1",
    }  # fmt: skip
    receipt = {
        "transactionHash": transaction.hash, "status": hex(transaction.status),
        "gasUsed": hex(transaction.gas_used), "cumulativeGasUsed": "0x1",
        "effectiveGasPrice": hex(transaction.gas_price_wei),
        "contractAddress": transaction.contract_address,
        "logs": [
            {"address": log.address, "topics": log.topics, "data": log.data,
             "logIndex": hex(log.index), "transactionHash": transaction.hash, "removed": False}
            for log in transaction.logs
        ],
    }  # fmt: skip
    return sent, receipt


def write_lines(path: Path, rows: Iterable[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_bigquery(real_data: Path, by_etl: dict[str, Transaction]) -> None:
    assert by_hash(real_data / "native" / "converted" / "bigquery-jsonl") == by_etl


def test_cryo_whose_transactions_have_no_time(
    real_data: Path, by_etl: dict[str, Transaction]
) -> None:
    found = by_hash(real_data / "native" / "converted" / "cryo-parquet")
    assert found == {key: replace(item, timestamp=None) for key, item in by_etl.items()}


def test_cryo_as_csv_and_json(
    real_data: Path, by_etl: dict[str, Transaction], tmp_path: Path
) -> None:
    """Bytes as 0x hex, times in a table of blocks."""
    times = {item.block_number: item.timestamp for item in by_etl.values()}
    blocks = [
        {"block_number": number, "block_hash": "0x", "author": "0x", "timestamp": time}
        for number, time in times.items()
    ]
    write_lines(tmp_path / "blocks", blocks)
    for table in ("transactions", "logs"):
        source = real_data / "native" / "converted" / "cryo-parquet"
        rows = pq.read_table(source / f"ethereum__{table}__sample.parquet").to_pylist()
        hexed = [{name: as_hex(value) for name, value in row.items()} for row in rows]
        (tmp_path / table).write_text(json.dumps(hexed))
    assert by_hash(tmp_path) == by_etl


def as_hex(value: object) -> object:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def test_ethereum_etl_streams(real_data: Path, by_etl: dict[str, Transaction]) -> None:
    found = by_hash(real_data / "native" / "ethereum-etl" / "stream_17173049_17173050")
    assert found == {key: by_etl[key] for key in found}
    assert len(found) == 298


def test_pairs_of_answers(by_etl: dict[str, Transaction], tmp_path: Path) -> None:
    def rows() -> Iterator[dict]:
        for item in by_etl.values():
            sent, receipt = as_answers(item)
            yield {"transaction": sent, "receipt": receipt, "block_timestamp": item.timestamp}

    assert by_hash(write_lines(tmp_path / "pairs.jsonl", rows())) == by_etl


def test_blocks_with_their_receipts(by_etl: dict[str, Transaction], tmp_path: Path) -> None:
    for number in {item.block_number for item in by_etl.values()}:
        items = [item for item in by_etl.values() if item.block_number == number]
        block = {
            "number": hex(number), "parentHash": "0x", "timestamp": hex(items[0].timestamp),
            "transactions": [as_answers(item)[0] for item in items],
        }  # fmt: skip
        for name, result in (("b", block), ("r", [as_answers(item)[1] for item in items])):
            text = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, indent=1)
            (tmp_path / f"{number}-{name}.json").write_text(text)
    assert by_hash(tmp_path) == by_etl


def test_native_answers_agree_with_the_reviewed_rows(real_data: Path) -> None:
    found = by_hash(real_data / "native" / "jsonrpc")
    reviewed = by_hash(real_data / "reviewed_receipts.jsonl.gz")
    assert len(found) == 87
    for key, item in found.items():
        expected = replace(reviewed[key], internal_transfers=None)
        if item.timestamp is None:
            expected = replace(expected, timestamp=None)
        assert item == expected


def test_etherscan_bodies(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "native" / "etherscan-api"
    for name in ("txlist", "tokentx", "txlistinternal"):
        for number, item in enumerate(json.loads((folder / f"account_{name}.json").read_text())):
            (tmp_path / f"{name}-{number}.json").write_text(json.dumps(item["body"]))
    records = list(read_transactions(tmp_path))
    found = {item.hash: item for item in records if isinstance(item, Transaction)}
    others = [record for record in records if isinstance(record, Rejected)]
    assert len(found) > 250
    assert {item.logs for item in found.values()} == {None}
    genesis = [record for record in others if "GENESIS_" in record.reason]
    assert all("are not the whole receipt" in r.reason for r in others if r not in genesis)
    known = {
        item.hash: item
        for item in read_transactions(real_data / "mainnet_receipts.jsonl.gz")
        if isinstance(item, Transaction) and item.hash in found
    }
    for key, item in known.items():
        assert found[key] == replace(item, logs=None, internal_transfers=None)


def test_ethereum_etl_traces(real_data: Path, tmp_path: Path) -> None:
    """Block 1000000: a callcode to itself moves nothing, the outermost call is no inner one."""
    row = {
        "hash": "0xea1093d492a1dcb1bef708f771a99a96ff05dcab81ca76c31940300177fcf49f",
        "from_address": "0x39fa8c5f2793459d6622857e7d9fbb4bd91766d3", "input": "0x",
        "to_address": "0xc083e9947cf02b8ffc7d3090ae9aea72df98fd47", "value": 10**20,
    }  # fmt: skip
    write_lines(tmp_path / "transactions.json", [row])
    traces = real_data / "native" / "ethereum-etl" / "traces" / "expected_traces.csv"
    (tmp_path / "traces.csv").write_text(traces.read_text())
    transaction, orphan = read_transactions(tmp_path)
    assert transaction.internal_transfers == ()
    assert "1 traces of 1 transactions" in orphan.reason
