"""BigQuery, cryo and traces, as CSV, JSON and Parquet: one transaction in all of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ethtune.chain.sources import Rejected, read_transactions, token_files
from ethtune.chain.tokens import read_tokens
from ethtune.core.errors import DataError
from ethtune.core.transaction import InternalTransfer, Log, Transaction

HASH, SENDER, TOKEN, TOPIC = "0x" + "ab" * 32, "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "cd" * 32
CALLDATA = "0xa9059cbb" + "00" * 64
TIME = 1_621_898_262
TIME_TEXT = "2021-05-24 23:17:42 UTC"
TRANSACTION = Transaction(
    hash=HASH, sender=SENDER, to=TOKEN, value_wei=2**100 + 1, calldata=CALLDATA, status=1,
    logs=(Log(TOKEN, (TOPIC, TOPIC), "0x01", 7),), block_number=12_500_000, timestamp=TIME, nonce=3,
    gas=90_000, gas_used=50_000, gas_price_wei=4,
)  # fmt: skip
BIGQUERY = {
    "hash": HASH, "nonce": 3, "transaction_index": 9, "from_address": SENDER, "to_address": TOKEN,
    "value": str(2**100 + 1), "gas": 90_000, "gas_price": 5, "input": CALLDATA,
    "receipt_cumulative_gas_used": 70_000, "receipt_gas_used": 50_000,
    "receipt_contract_address": None, "receipt_root": None, "receipt_status": 1,
    "block_timestamp": TIME_TEXT, "block_number": 12_500_000, "block_hash": TOPIC,
    "max_fee_per_gas": 9, "transaction_type": 2, "receipt_effective_gas_price": 4,
}  # fmt: skip
BIGQUERY_LOG = {
    "log_index": 7, "transaction_hash": HASH, "transaction_index": 9, "address": TOKEN,
    "data": "0x01", "topics": [TOPIC, TOPIC], "block_timestamp": TIME_TEXT,
    "block_number": 12_500_000, "block_hash": TOPIC,
}  # fmt: skip


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


CRYO = {
    "block_number": 12_500_000, "transaction_index": 9, "transaction_hash": raw(HASH), "nonce": 3,
    "from_address": raw(SENDER), "to_address": raw(TOKEN),
    "value_binary": (2**100 + 1).to_bytes(32, "big"), "value_string": str(2**100 + 1),
    "value_f64": float(2**100), "input": raw(CALLDATA), "gas_limit": 90_000, "gas_used": 50_000,
    "gas_price": 4, "transaction_type": 2, "success": True, "n_input_bytes": 68,
    "timestamp": TIME, "chain_id": 1,
}  # fmt: skip
CRYO_LOG = {
    "block_number": 12_500_000, "transaction_index": 9, "log_index": 7,
    "transaction_hash": raw(HASH), "address": raw(TOKEN), "topic0": raw(TOPIC),
    "topic1": raw(TOPIC), "topic2": None, "topic3": None, "data": b"\x01", "chain_id": 1,
}  # fmt: skip


def as_parquet(path: Path, *rows: dict) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def as_csv(path: Path, *rows: dict) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{key: plain(value) for key, value in row.items()} for row in rows])


def as_lines(path: Path, *rows: dict) -> None:
    path.write_text("".join(json.dumps(row, default=plain) + "\n" for row in rows))


def as_array(path: Path, *rows: dict) -> None:
    path.write_text(json.dumps(rows, default=plain))


def plain(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value).lower() if isinstance(value, bool) else value


def read(path: Path) -> list:
    return list(read_transactions(path))


def folder(path: Path, write: Callable, **tables: list[dict]) -> Path:
    for name, rows in tables.items():
        write(path / name, *rows)
    return path


every_writer = pytest.mark.parametrize("write", [as_lines, as_array, as_csv, as_parquet])


@every_writer
def test_bigquery(tmp_path: Path, write: Callable) -> None:
    log = (
        BIGQUERY_LOG
        if write is not as_csv
        else {**BIGQUERY_LOG, "topics": f"['{TOPIC}'\n {TOPIC}]"}
    )
    log = {**log, "topics": str(log["topics"]).replace("\n", "")} if write is as_csv else log
    assert read(folder(tmp_path, write, a=[BIGQUERY], b=[log])) == [TRANSACTION]


@every_writer
def test_bigquery_with_every_value_as_text(tmp_path: Path, write: Callable) -> None:
    texts = {key: None if value is None else str(value) for key, value in BIGQUERY.items()}
    log = {key: value if key == "topics" else str(value) for key, value in BIGQUERY_LOG.items()}
    log["topics"] = ",".join(BIGQUERY_LOG["topics"]) if write is as_csv else log["topics"]
    assert read(folder(tmp_path, write, a=[texts], b=[log])) == [TRANSACTION]


def test_bigquery_parquet_has_numeric_and_timestamp_columns(tmp_path: Path) -> None:
    moment = datetime.fromtimestamp(TIME, timezone.utc)
    row = {**BIGQUERY, "value": Decimal(2**100 + 1), "block_timestamp": moment}
    table = pa.Table.from_pylist([row])
    numeric = table.schema.get_field_index("value")
    # NUMERIC is 38 digits of which 9 are behind the point
    column = pa.array([Decimal(10**27)], pa.decimal128(38, 9))
    pq.write_table(table.set_column(numeric, "value", column), tmp_path / "a")
    as_parquet(tmp_path / "b", {**BIGQUERY_LOG, "block_timestamp": moment})
    assert read(tmp_path) == [replace(TRANSACTION, value_wei=10**27)]


@pytest.mark.parametrize("text", ["1.2676506002282294e+30", "1E+18", "6000000000000000.0"])
def test_a_value_in_floating_point_is_refused_with_the_reason(tmp_path: Path, text: str) -> None:
    [rejected] = read(folder(tmp_path, as_csv, a=[{**BIGQUERY, "value": text}]))
    assert f"value is '{text}': floating-point notation loses digits" in rejected.reason
    assert rejected.where == f"{tmp_path / 'a'}:2"


TIMES = (TIME, str(TIME), hex(TIME), "1.621898262E9", "2021-05-24T23:17:42Z",
         "2021-05-24 23:17:42.000000+00:00")  # fmt: skip


@pytest.mark.parametrize("time", TIMES)
def test_times_in_every_notation(tmp_path: Path, time: object) -> None:
    [found] = read(folder(tmp_path, as_lines, a=[{**BIGQUERY, "block_timestamp": time}]))
    assert found.timestamp == TIME


@every_writer
def test_cryo(tmp_path: Path, write: Callable) -> None:
    assert read(folder(tmp_path, write, a=[CRYO], b=[CRYO_LOG])) == [TRANSACTION]


@every_writer
@pytest.mark.parametrize("form", ["value_binary", "value_string"])
def test_cryo_with_one_exact_form_of_its_integers(
    tmp_path: Path, write: Callable, form: str
) -> None:
    row = {key: value for key, value in CRYO.items() if key == form or "value_" not in key}
    assert read(folder(tmp_path, write, a=[row], b=[CRYO_LOG])) == [TRANSACTION]


@every_writer
def test_cryo_with_rounded_integers_only_is_refused(tmp_path: Path, write: Callable) -> None:
    row = {key: value for key, value in CRYO.items() if key not in ("value_binary", "value_string")}
    with pytest.raises(DataError) as caught:
        read_transactions(folder(tmp_path, write, a=[row]))
    assert "value only as value_f64" in caught.value.message
    assert "--u256-types binary string" in str(caught.value.hint)


def test_cryo_hex_parquet_failed_and_created(tmp_path: Path) -> None:
    """--hex writes text; the address of a new contract follows from sender and nonce."""
    row = {key: plain(value) if type(value) is bytes else value for key, value in CRYO.items()}
    row |= {"success": False, "to_address": None, "nonce": 1}
    row |= {"from_address": "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"}
    folder(tmp_path, as_parquet, a=[row], b=[{**CRYO_LOG, "transaction_hash": raw(TOPIC)}])
    failed, orphans = read(tmp_path)
    assert (failed.status, failed.to, failed.logs) == (0, None, ())
    assert failed.contract_address == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    assert orphans.reason == "1 logs of 1 transactions that no file given holds"


def test_cryo_takes_times_from_its_blocks(tmp_path: Path) -> None:
    row = {key: value for key, value in CRYO.items() if key != "timestamp"}
    block = {
        "block_hash": raw(TOPIC), "author": raw(TOKEN), "block_number": 12_500_000, "gas_used": 1,
        "extra_data": b"", "timestamp": TIME, "base_fee_per_gas": 1, "chain_id": 1,
    }  # fmt: skip
    assert read(folder(tmp_path, as_parquet, a=[row], b=[CRYO_LOG], c=[block])) == [TRANSACTION]


def test_an_anonymous_log_and_one_with_a_hole_in_its_topics(tmp_path: Path) -> None:
    log = {**CRYO_LOG, "topic0": None, "topic1": None, "data": b""}
    [found] = read(folder(tmp_path, as_parquet, a=[CRYO], b=[log]))
    assert found.logs == (Log(TOKEN, (), "0x", 7),)
    log, transaction = read(folder(tmp_path, as_parquet, b=[{**CRYO_LOG, "topic0": None}]))
    assert log.reason == "topic0 is empty, yet one after it is not"
    assert f"cannot be read: {tmp_path / 'b'}[0]" in transaction.reason


@every_writer
def test_whole_rows_as_any_file(tmp_path: Path, write: Callable) -> None:
    row = {
        "hash": HASH, "from": SENDER, "to": TOKEN, "value": str(2**100 + 1), "input": CALLDATA,
        "status": 1, "block_number": 12_500_000, "block_timestamp": TIME, "nonce": 3, "gas": 90_000,
        "gas_used": 50_000, "gas_price": 4,
        "logs": [{"address": TOKEN, "topics": [TOPIC, TOPIC], "data": "0x01", "log_index": 7}],
    }  # fmt: skip
    if write is as_csv:
        assert read(folder(tmp_path, write, a=[{**row, "logs": ""}])) == [
            replace(TRANSACTION, logs=None)
        ]
    else:
        assert read(folder(tmp_path, write, a=[row])) == [TRANSACTION]


TRACE = {
    "block_number": 12_500_000, "transaction_hash": HASH, "transaction_index": 9,
    "from_address": SENDER, "to_address": TOKEN, "value": "9", "input": "0x", "output": "0x",
    "trace_type": "call", "call_type": "call", "reward_type": None, "gas": 1, "gas_used": 1,
    "subtraces": 0, "trace_address": "", "error": "", "status": 1, "trace_id": "call_1",
}  # fmt: skip


@every_writer
def test_traces_give_the_ether_that_moved_inside(tmp_path: Path, write: Callable) -> None:
    traces = [
        {**TRACE, "trace_address": "1", "value": "5", "trace_type": "suicide", "call_type": ""},
        {**TRACE, "trace_address": "0,0", "value": "4", "from_address": TOKEN},
        {**TRACE, "trace_address": "0,1", "value": "8", "call_type": "delegatecall"},
        {**TRACE, "trace_address": "0", "value": "0"},
        TRACE,
        {**TRACE, "trace_address": "2", "value": "7", "status": 0, "error": "Reverted"},
        {**TRACE, "trace_address": "2,0", "value": "6", "status": 1},
        {**TRACE, "transaction_hash": "", "trace_type": "reward", "value": "2000000000000000000"},
    ]
    [found] = read(folder(tmp_path, write, a=[BIGQUERY], b=traces))
    assert found.internal_transfers == (
        InternalTransfer(TOKEN, TOKEN, 4),
        InternalTransfer(SENDER, TOKEN, 5),
    )


def test_a_traced_transaction_that_moved_nothing_inside(tmp_path: Path) -> None:
    traces = [TRACE, {**TRACE, "transaction_hash": TOPIC}, {**TRACE, "transaction_hash": None}]
    other = {**BIGQUERY, "hash": "0x" + "99" * 32}
    records = read(folder(tmp_path, as_csv, a=[BIGQUERY, other], b=traces))
    geth, found, untraced, orphans = records
    assert "1 traces name no transaction_hash" in geth.reason
    assert (found.internal_transfers, untraced.internal_transfers) == ((), None)
    assert orphans.reason == "1 traces of 1 transactions that no file given holds"


@every_writer
def test_token_lists(tmp_path: Path, write: Callable) -> None:
    row = {"address": TOKEN, "symbol": "FOO", "name": "Foo", "decimals": "6", "total_supply": "1"}
    folder(tmp_path, write, a=[row], b=[BIGQUERY])
    [path] = token_files(tmp_path)
    [token] = read_tokens(path)
    assert (path.name, token.address, token.symbol, token.decimals) == ("a", TOKEN, "FOO", 6)


def test_a_damaged_parquet_file_costs_itself_alone(tmp_path: Path) -> None:
    folder(tmp_path, as_parquet, a=[BIGQUERY])
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a").read_bytes()[:-200])
    first, second = read(tmp_path)
    assert isinstance(first, Rejected)
    assert "not a readable Parquet file" in first.reason
    assert second == replace(TRANSACTION, logs=None)


def test_a_damaged_row_group_is_named_with_its_rows(tmp_path: Path) -> None:
    rows = [{**BIGQUERY, "hash": f"0x{number:064x}"} for number in range(30)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10, compression="none",
                   use_dictionary=False, write_page_checksum=True)  # fmt: skip
    group = pq.ParquetFile(path).metadata.row_group(1)
    hashes = group.column(0)
    content = bytearray(path.read_bytes())
    content[hashes.data_page_offset + hashes.total_compressed_size - 5] ^= 0xFF
    path.write_bytes(bytes(content))
    records = read(path)
    [rejected] = [record for record in records if isinstance(record, Rejected)]
    assert len(records) == 21
    assert rejected.where == f"{path}[10]"
    assert "rows 10 to 19 are damaged and lost" in rejected.reason
