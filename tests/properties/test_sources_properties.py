"""Whatever stands in a file, reading ends with records or a DataError, and good rows survive."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
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


SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("hash", "from", "to", "value", "input", "contract_address")]
    + [("status", pa.int64()), ("nonce", pa.uint64()), ("gas", pa.uint64())]
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


# What stands where something else was expected: gigantic, deep, of another type, a spreadsheet's
# command, a lone surrogate.
STRANGE = (
    "9" * 10_000, "[" * 50_000 + "]" * 50_000, '{"a":' * 50_000 + "1" + "}" * 50_000,
    "1e400", "NaN",
    "-1", "0", "true", "null", "[]", "{}", '[{"address": 1}]', '"=cmd|\' /C calc\'!A0"',
    '"\\ud800"', '"\\u0000"', '"0x"', '"0x' + "f" * 70 + '"', '"' + "\u0661" * 3 + '"', "1.5",
    '"' + "9" * 10_000 + '"', "[[[[]]]]", '{"logs": {}}',
)  # fmt: skip
# Receipts and times of blocks are joined to transactions: these are of none that is drawn.
ODD_HASH = "0x" + "e7" * 32
strange = st.integers(0, len(STRANGE) - 1)
JSON_ROWS = (
    {"hash": "h", "from": "f", "to": "t", "value": 1, "input": "0x", "logs": [], "status": 1},
    {"hash": "h", "from_address": "f", "to_address": "t", "value": 1, "input": "0x", "gas": 1,
     "block_number": 1, "block_timestamp": 1, "receipt_status": 1},
    {"transaction_hash": "h", "from_address": "f", "to_address": "t", "value_binary": "0x",
     "value_string": "1", "input": "0x", "success": True, "nonce": 1, "chain_id": 1},
    {"transaction": {"hash": "h", "from": "f", "to": None, "value": "0x", "input": "0x",
     "blockNumber": "0x1"}, "receipt": {"transactionHash": "h", "logs": []}, "block_timestamp": 1},
    {"jsonrpc": "2.0", "id": 1, "result": {"number": "0x71d34c29aa5", "parentHash": "0x",
     "timestamp": "0x1", "transactions": [{"hash": "h", "from": "f", "input": "0x"}]}},
    {"status": "1", "message": "OK", "result": [{"hash": "h", "from": "f", "input": "0x",
     "timeStamp": "1", "value": "1", "to": ""}]},
    {"transaction_hash": "h", "topics": [], "data": "0x", "address": "a", "log_index": 1,
     "block_number": 1},
    {"transaction_hash": "h", "cumulative_gas_used": 1, "gas_used": 1, "status": 1, "logs": []},
    {"transaction_hash": "h", "trace_type": "call", "trace_address": "0", "value": 1, "status": 1},
    {"hash": "h", "action": "swap", "protocol": "p", "from": "f", "to": "t", "amount_wei": 1},
    {"address": "a", "symbol": "S", "decimals": 1},
)  # fmt: skip


@st.composite
def twisted(draw: st.DrawFn) -> str:
    """A row of some export in which one value, however deep, is something strange."""
    row = json.loads(json.dumps(draw(st.sampled_from(JSON_ROWS))))
    place, mark = row, "\x00mark"
    while True:
        key = draw(st.sampled_from(sorted(place)))
        inner = place[key]
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if not (isinstance(inner, dict) and inner and draw(st.booleans())):
            place[key] = mark
            break
        place = inner
    text = json.dumps(row).replace(json.dumps(mark), f"@{draw(strange)}@")
    return text.replace('"h"', f'"{ODD_HASH}"')


def spelled(row: str) -> bytes:
    """The row with its strange value, which is too long to be drawn and shown."""
    before, number, after = row.split("@")
    return (before + STRANGE[int(number)] + after).encode()


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


@given(transactions, st.lists(twisted(), min_size=1, max_size=3), st.booleans())
@settings(deadline=None)
def test_strange_values_cost_their_own_rows(
    transaction: Transaction, rows: list[str], as_array: bool
) -> None:
    good = json.dumps(row_of(transaction)).encode()
    rows = [good, *map(spelled, rows), good]
    content = b"[" + b",".join(rows) + b"]" if as_array else b"\n".join(rows)
    records = read_bytes(content)
    kept = [record for record in records if isinstance(record, Transaction)]
    assert [record for record in kept if record.hash == transaction.hash].count(transaction) >= 2
    for record in records:
        if isinstance(record, Rejected):
            f"{record.where}{record.reason}{record.row}".encode()


@given(st.lists(twisted(), min_size=1, max_size=4), st.integers(0, 400), st.booleans())
@settings(deadline=None)
def test_strange_exports_end_well_whole_or_torn(
    rows: list[str], num_lost: int, is_packed: bool
) -> None:
    content = b"\n".join(map(spelled, rows))
    content = gzip.compress(content) if is_packed else content
    try:
        records = read_bytes(content[: len(content) - num_lost])
    except DataError as error:
        assert error.message  # noqa: PT017
    else:
        assert all(isinstance(record, Transaction | Labelled | Rejected) for record in records)


@given(st.data())
@settings(deadline=None)
def test_a_parquet_file_with_changed_bytes_ends_well(data: st.DataObject) -> None:
    rows = [{**row_of(data.draw(transactions)), "logs": None} for _ in range(3)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink)
    content = bytearray(sink.getvalue().to_pybytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        records = read_bytes(bytes(content))
    except DataError as error:
        assert error.message  # noqa: PT017
    else:
        assert all(isinstance(record, Transaction | Labelled | Rejected) for record in records)


def test_a_line_of_ten_megabytes_costs_its_neighbours_nothing() -> None:
    row = {"hash": "0x" + "ab" * 32, "from": "0x" + "1" * 40, "to": None, "value": 0, "input": "0x"}
    long = {**row, "input": "0x" + "00" * 5_000_000}
    lines = [json.dumps(item).encode() for item in (row, long, {**long, "value": "x"}, row)]
    for content in (b"\n".join(lines), b"[" + b",".join(lines) + b"]"):
        first, second, rejected, last = read_bytes(content)
        assert first == last
        assert len(second.calldata) == 10_000_002
        assert len(rejected.row) < 200
