"""Whatever stands in a file, reading ends with records or a DataError, and good rows survive."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ethtune.chain.sources import Labelled, Rejected, read_transactions
from ethtune.core.errors import DataError
from ethtune.core.transaction import UINT256_MAX, Log, Transaction

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
words = st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex())
calldata = st.binary(max_size=80).map(lambda raw: "0x" + raw.hex())
small = st.none() | st.integers(0, 2**63)
logs = st.builds(
    Log, addresses, st.lists(words, max_size=4).map(tuple), calldata, st.integers(0, 999)
)
transactions = st.builds(
    Transaction,
    hash=words,
    sender=addresses,
    to=st.none() | addresses,
    value_wei=st.integers(0, UINT256_MAX),
    calldata=calldata,
    status=st.sampled_from([1, None]),
    logs=st.lists(logs, max_size=3).map(tuple),
    block_number=small,
    timestamp=st.none() | st.integers(1, 2**40),
    nonce=small,
    gas=small,
    gas_used=small,
    gas_price_wei=small,
    contract_address=st.none() | addresses,
)


def row_of(transaction: Transaction) -> dict:
    return {
        "hash": transaction.hash,
        "from": transaction.sender,
        "to": transaction.to,
        "value": str(transaction.value_wei),
        "input": transaction.calldata,
        "status": transaction.status,
        "logs": [
            {"address": log.address, "topics": log.topics, "data": log.data, "log_index": log.index}
            for log in transaction.logs or ()
        ],
        "block_number": transaction.block_number,
        "block_timestamp": transaction.timestamp,
        "nonce": transaction.nonce,
        "gas": transaction.gas,
        "gas_used": transaction.gas_used,
        "gas_price": transaction.gas_price_wei,
        "contract_address": transaction.contract_address,
    }


def read_bytes(content: bytes) -> list:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        path.write_bytes(content)
        return list(read_transactions(path))


@given(st.lists(transactions, min_size=1, max_size=4), st.booleans())
def test_json_round_trip(written: list[Transaction], as_array: bool) -> None:
    rows = [row_of(transaction) for transaction in written]
    text = json.dumps(rows) if as_array else "\n".join(map(json.dumps, rows))
    assert read_bytes(text.encode()) == written


@given(st.binary(max_size=300))
def test_any_bytes_end_well(content: bytes) -> None:
    try:
        records = read_bytes(content)
    except DataError as error:
        assert error.message  # noqa: PT017
    else:
        assert all(isinstance(record, Transaction | Labelled | Rejected) for record in records)


@given(transactions, st.binary(max_size=60), st.booleans())
def test_any_bytes_between_two_rows_cost_nothing_else(
    transaction: Transaction, noise: bytes, as_csv: bool
) -> None:
    if as_csv:
        to = transaction.to or ""
        header = b"hash,from_address,to_address,value,input"
        row = ",".join(
            (transaction.hash, transaction.sender, to, str(transaction.value_wei),
             transaction.calldata)
        ).encode()  # fmt: skip
        content = b"\n".join((header, row, noise, row))
    else:
        row = json.dumps(row_of(transaction)).encode()
        content = b"\n".join((row, noise, row))
    records = [record for record in read_bytes(content) if isinstance(record, Transaction)]
    assert [record.hash for record in (records[0], records[-1])] == [transaction.hash] * 2
    assert len(records) >= 2
