"""Every known export gives the same transactions, and damage costs only what it touches."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from ethtune.chain.sources import Rejected, read_transactions, token_files
from ethtune.core.errors import DataError
from ethtune.core.transaction import Log, Transaction

HASH = "0x" + "ab" * 32
SENDER = "0x" + "11" * 20
TOKEN = "0x" + "22" * 20
TOPIC = "0x" + "cd" * 32
ROW = {
    "hash": HASH,
    "block_number": 12_500_000,
    "block_timestamp": 1_621_898_262,
    "from": SENDER,
    "to": TOKEN,
    "value": str(2**200),
    "input": "0xa9059cbb" + "00" * 64,
    "nonce": 3,
    "gas": 90_000,
    "gas_price": 5,
    "status": 1,
    "gas_used": 50_000,
    "effective_gas_price": 4,
    "logs": [{"address": TOKEN, "topics": [TOPIC, TOPIC], "data": "0x01", "log_index": 7}],
}
TRANSACTION = Transaction(
    hash=HASH,
    sender=SENDER,
    to=TOKEN,
    value_wei=2**200,
    calldata="0xa9059cbb" + "00" * 64,
    status=1,
    logs=(Log(TOKEN, (TOPIC, TOPIC), "0x01", 7),),
    block_number=12_500_000,
    timestamp=1_621_898_262,
    nonce=3,
    gas=90_000,
    gas_used=50_000,
    gas_price_wei=4,
)
TRANSACTIONS_CSV = (
    "hash,nonce,block_number,from_address,to_address,value,gas,gas_price,input,block_timestamp\n"
    f"{HASH},3,12500000,{SENDER},{TOKEN},{2**200},90000,5,0xa9059cbb{'00' * 64},1621898262\n"
)
RECEIPTS_CSV = (
    "transaction_hash,cumulative_gas_used,gas_used,contract_address,status,effective_gas_price\n"
    f"{HASH},50000,50000,,1,4\n"
)
LOGS_CSV = (
    f'log_index,transaction_hash,address,data,topics\n7,{HASH},{TOKEN},0x01,"{TOPIC},{TOPIC}"\n'
)


def read(path: Path) -> list:
    return list(read_transactions(path))


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def etl_folder(folder: Path, **texts: str) -> Path:
    files = {"transactions": TRANSACTIONS_CSV, "receipts": RECEIPTS_CSV, "logs": LOGS_CSV, **texts}
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        lines(ROW),
        "\n" + lines(ROW) + "\n\n",
        lines(ROW).replace("\n", "\r\n"),
        json.dumps([ROW]),
        json.dumps([ROW], indent=4),
        lines({"tx_hash" if key == "hash" else key: value for key, value in ROW.items()}),
        lines({**ROW, "from": SENDER.upper(), "hash": HASH.upper().replace("X", "x")}),
        lines({**ROW, "hash": HASH[2:], "value": hex(2**200), "nonce": "3", "status": "0x1"}),
        lines({**ROW, "value": 2**200}),
        lines({**ROW, "logs": [{**ROW["logs"][0], "logIndex": 7, "log_index": None}]}).replace(
            '"log_index": null, ', ""
        ).replace(', "log_index": null', ""),
    ],
    ids=[
        "lines", "blank lines", "crlf", "array", "pretty array", "cookbook", "upper case",
        "no 0x, hex and string numbers", "big integer", "logIndex",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gzip"])
def test_the_same_transaction_in_every_dress(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "no-suffix"
    path.write_bytes(gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding))
    assert read(path) == [TRANSACTION]


def test_ethereum_etl_folder_is_joined_by_hash(tmp_path: Path) -> None:
    assert read(etl_folder(tmp_path / "export")) == [TRANSACTION]


def test_ethereum_etl_csv_survives_bom_crlf_and_gzip(tmp_path: Path) -> None:
    for name, text in (("a", TRANSACTIONS_CSV), ("b", RECEIPTS_CSV), ("c", LOGS_CSV)):
        windows = text.replace("\n", "\r\n").encode("utf-8-sig")
        (tmp_path / name).write_bytes(gzip.compress(windows))
    assert read(tmp_path) == [TRANSACTION]


def test_a_lone_transactions_csv_has_no_outcome(tmp_path: Path) -> None:
    folder = etl_folder(tmp_path / "export")
    expected = replace(TRANSACTION, status=None, logs=None, gas_used=None, gas_price_wei=5)
    assert read(folder / "transactions.csv") == [expected]


def test_receipts_without_a_log_file_leave_logs_unknown(tmp_path: Path) -> None:
    folder = etl_folder(tmp_path / "export")
    (folder / "logs.csv").unlink()
    assert read(folder) == [replace(TRANSACTION, logs=None)]


def test_log_rows_repeated_in_overlapping_files_count_once(tmp_path: Path) -> None:
    assert read(etl_folder(tmp_path / "export", again=LOGS_CSV)) == [TRANSACTION]


def test_a_transaction_with_an_unreadable_log_is_rejected_naming_the_log(tmp_path: Path) -> None:
    folder = etl_folder(tmp_path / "export", logs=LOGS_CSV.replace("0x01", "0x0"))
    [rejected] = read(folder)
    assert rejected.where.endswith("transactions.csv:2")
    assert "logs.csv:2: log data is '0x0'" in rejected.reason


@pytest.mark.parametrize("bad_hash", ["\ud800", None, 7])
def test_a_log_of_no_transaction_costs_only_itself(tmp_path: Path, bad_hash: object) -> None:
    folder = etl_folder(tmp_path / "export")
    log = {"transaction_hash": HASH, "topics": [], "data": "0x", "address": TOKEN, "log_index": 8}
    (folder / "logs.csv").write_text(lines(log, {**log, "transaction_hash": bad_hash}))
    rejected, transaction = read(folder)
    assert "no usable transaction_hash" in rejected.reason
    assert transaction == replace(TRANSACTION, logs=(Log(TOKEN, (), "0x", 8),))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"hash": "0x12"}, "hash is '0x12'"),
        ({"from": None}, "from is 'None'"),
        ({"value": 1e18}, "value is '1E+18'"),
        ({"value": None}, "value is null"),
        ({"value": -1}, "value is -1"),
        ({"value": 2**256}, "value is 1157"),
        ({"value": True}, "value is 'True'"),
        ({"input": "0x1"}, "input is '0x1'"),
        ({"input": 7}, "input is '7'"),
        ({"status": 2}, "status is 2"),
        ({"logs": 5}, "logs cannot be read"),
        ({"logs": [{"topics": []}]}, "logs cannot be read"),
        ({"logs": [{"address": TOKEN, "topics": [TOPIC] * 5, "data": "0x"}]}, "topics"),
        ({"block_timestamp": "last-week"}, "timestamp is 'last-week'"),
    ],
)
def test_a_bad_row_is_rejected_and_its_neighbours_are_kept(
    tmp_path: Path, changed: dict, reason: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(ROW, {**ROW, **changed}, ROW).replace("1e+18", "1E+18"))
    first, rejected, last = read(path)
    assert first == last == TRANSACTION
    assert rejected.where == f"{path}:2"
    assert reason in rejected.reason


@pytest.mark.parametrize("missing", ["to", "value", "input", "from", "hash"])
def test_a_missing_field_is_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(ROW, {key: value for key, value in ROW.items() if key != missing}))
    assert f'no field "{missing}"' in read(path)[1].reason


@pytest.mark.parametrize(
    "broken",
    ['{"hash": "0x', "garbage", "[1]", "\x00\x00\x00", '{"a":' * 100_000, '{"n": ' + "9" * 5000],
    ids=["torn", "text", "list", "NUL", "deep", "long number"],
)
def test_a_broken_json_line_costs_only_itself(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(ROW) + broken + "\n" + lines(ROW))
    first, rejected, last = read(path)
    assert first == last == TRANSACTION
    assert rejected.where == f"{path}:2"
    assert len(rejected.row) < 200


@pytest.mark.parametrize("broken", ['"', "0x12,3", "\x00", f'"{HASH},3,"'], ids=repr)
def test_a_broken_csv_line_costs_only_itself(tmp_path: Path, broken: str) -> None:
    header, row = TRANSACTIONS_CSV.splitlines(keepends=True)
    path = tmp_path / "transactions.csv"
    path.write_text(header + row + broken + "\n" + row)
    kinds = [type(record) for record in read(path)]
    assert kinds == [Transaction, Rejected, Transaction]


def test_a_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    noise = random.Random(0)
    rows = [{**ROW, "hash": f"0x{noise.getrandbits(256):064x}"} for _ in range(3000)]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(lines(*rows).encode())[:-5000])
    *records, last = read(path)
    assert len(records) > 1000
    assert isinstance(last, Rejected)
    assert "breaks off" in last.reason or "not JSON" in last.reason


def test_a_truncated_array_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW, ROW, ROW])[:-50])
    first, second, rejected = read(path)
    assert first == second == TRANSACTION
    assert rejected.where == f"{path}[2]"


def test_an_array_element_longer_than_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW, {**ROW, "input": "0x" + "ab" * 2_000_000}, ROW]))
    first, long, last = read(path)
    assert first == last == TRANSACTION
    assert len(long.calldata) == 4_000_002


def test_status_zero_before_byzantium_means_unknown(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    early = {**ROW, "block_number": 4_369_999}
    path.write_text(lines({**early, "status": 0}, {**early, "status": False}, {**ROW, "status": 0}))
    assert [record.status for record in read(path)] == [None, None, 0]


def test_a_folder_of_mixed_files_reads_the_exports_and_names_the_rest(tmp_path: Path) -> None:
    folder = etl_folder(tmp_path / "export", tokens="address,symbol,name,decimals\n")
    (folder / "token_transfers.csv").write_text("token_address,from_address,to_address,value\n")
    (folder / "more.jsonl").write_text(lines(ROW))
    (folder / "README.md").write_text("# notes\n")
    (folder / ".hidden").write_text("x")
    records = read(folder)
    assert records.count(TRANSACTION) == 2
    assert [r.where for r in records if isinstance(r, Rejected)] == [str(folder / "README.md")]
    assert token_files(folder) == (folder / "tokens.csv",)
    assert token_files(folder / "more.jsonl") == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("a,b\n1,2\n", "not an export we know: columns a, b"),
        ('{"x": 1}\n', "not an export we know: keys x"),
        ('{"x": ', "not an export we know: keys nothing readable"),
        ("[]", "not an export we know"),
        ("PAR1\x00\x01", "not a readable Parquet file"),
        (LOGS_CSV, "holds logs, and no transactions are beside it"),
        ("Transaction Hash,Blockno,From,To,Value_IN(ETH)\n", "transactions without calldata"),
        (TRANSACTIONS_CSV.replace("input", "x"), "transactions without calldata"),
    ],
)
def test_nothing_to_read_says_what_was_found(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_transactions(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_transactions(tmp_path / "absent")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no files"):
        read_transactions(tmp_path)


def test_what_only_looks_like_gzip(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(b"\x1f\x8bnothing of the kind")
    with pytest.raises(DataError, match="not a readable gzip"):
        read_transactions(path)


def test_real_blocks_are_the_same_in_every_format(real_data: Path) -> None:
    converted = real_data / "native" / "converted"
    by_csv = {t.hash: t for t in read(converted / "ethereum-etl-csv")}
    by_bigquery = {t.hash: t for t in read(converted / "bigquery-jsonl")}
    by_peer = {t.hash: t for t in read(converted / "peer-transactions.json")}
    by_line = {
        t.hash: replace(t, internal_transfers=None)
        for t in read_transactions(real_data / "mainnet_receipts.jsonl.gz")
        if isinstance(t, Transaction) and t.hash in by_csv
    }
    assert len(by_csv) == 716
    assert by_csv == by_bigquery
    assert {key: by_csv[key] for key in by_line} == by_line
    assert len(by_line) > 500
    for key, peer in by_peer.items():
        kept = replace(by_csv[key], timestamp=None, gas_price_wei=peer.gas_price_wei)
        assert kept == peer


def test_order_of_csv_rows_does_not_matter(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "native" / "converted" / "ethereum-etl-csv"
    for name in ("transactions.csv", "receipts.csv", "logs.csv"):
        header, *rows = (source / name).read_text().splitlines(keepends=True)
        random.Random(1).shuffle(rows)
        (tmp_path / name).write_text(header + "".join(rows))
    assert set(read(tmp_path)) == set(read(source))
