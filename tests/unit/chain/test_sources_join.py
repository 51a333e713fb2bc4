"""A join gives whole receipts or says that it cannot: gaps, lost rows, blocks not covered."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from ethtune.chain.sources import Rejected, read_transactions, token_files
from ethtune.core.errors import DataError
from ethtune.core.transaction import Transaction

SENDER, TOKEN, TOPIC = "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "cd" * 32


def hash_of(block: int, index: int) -> str:
    return f"0x{block:032x}{index:032x}"


def transactions(blocks: range, *, num: int = 2) -> list[dict]:
    return [
        {"hash": hash_of(block, index), "from_address": SENDER, "to_address": TOKEN, "value": 0,
         "input": "0x12345678", "block_number": block}
        for block in blocks
        for index in range(num)
    ]  # fmt: skip


def receipts(blocks: range, *, num: int = 2, gas_used: int = 50_000) -> list[dict]:
    return [
        {"transaction_hash": hash_of(block, index), "cumulative_gas_used": 1, "status": 1,
         "gas_used": gas_used}
        for block in blocks
        for index in range(num)
    ]  # fmt: skip


def logs(blocks: range, *, num: int = 2, each: int = 3) -> list[dict]:
    return [
        {"transaction_hash": hash_of(block, index), "address": TOKEN, "topics": [TOPIC],
         "data": "0x", "log_index": index * each + place, "block_number": block}
        for block in blocks
        for index in range(num)
        for place in range(each)
    ]  # fmt: skip


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(folder: Path, **texts: str | bytes) -> tuple[dict[str, Transaction], list[Rejected]]:
    for name, text in texts.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    records = list(read_transactions(folder))
    found = {record.hash: record for record in records if isinstance(record, Transaction)}
    return found, [record for record in records if isinstance(record, Rejected)]


def num_logs(found: dict[str, Transaction], block: int, index: int = 0) -> int | None:
    logs = found[hash_of(block, index)].logs
    return None if logs is None else len(logs)


BLOCKS = range(100, 110)


def test_a_transaction_without_logs_in_a_covered_block_has_none(tmp_path: Path) -> None:
    kept = [log for log in logs(BLOCKS) if log["transaction_hash"] != hash_of(105, 1)]
    found, rejected = read(
        tmp_path, a=lines(transactions(BLOCKS)), b=lines(receipts(BLOCKS)), c=lines(kept)
    )
    assert rejected == []
    assert (num_logs(found, 105, 0), num_logs(found, 105, 1)) == (3, 0)


def test_logs_of_blocks_that_the_log_file_does_not_reach_are_unknown(tmp_path: Path) -> None:
    found, _ = read(
        tmp_path,
        a=lines(transactions(BLOCKS)),
        b=lines(receipts(BLOCKS)),
        c=lines(logs(BLOCKS[:5])),
    )
    assert (num_logs(found, 104), num_logs(found, 105)) == (3, None)


@pytest.mark.parametrize("changed", [{"gas_used": 21_000}, {"status": 0}, {"status": "0x0"}])
def test_what_cannot_have_logged_has_none_wherever_it_is(tmp_path: Path, changed: dict) -> None:
    late = [{**receipt, "block_number": 5_000_000, **changed} for receipt in receipts(BLOCKS)]
    moved = [{**row, "block_number": 5_000_000} for row in transactions(BLOCKS)]
    found, _ = read(tmp_path, a=lines(moved), b=lines(late), c=lines(logs(range(7, 8))))
    assert {len(transaction.logs) for transaction in found.values()} == {0}


def test_a_gap_in_the_indices_shows_that_logs_are_missing(tmp_path: Path) -> None:
    kept = [log for log in logs(BLOCKS) if log["log_index"] != 4]
    found, rejected = read(tmp_path, a=lines(transactions(BLOCKS)), c=lines(kept))
    assert len(found) == len(rejected) == 10
    assert "2 logs with indices from 3 to 5" in rejected[0].reason
    assert "without a filter" in rejected[0].reason


def test_two_logs_of_one_index_and_two_receipts_of_one_hash(tmp_path: Path) -> None:
    doubled = [*logs(BLOCKS[:1]), {**logs(BLOCKS[:1])[0], "data": "0x01"}]
    other = [*receipts(BLOCKS), {**receipts(BLOCKS)[4], "status": 0}]
    found, rejected = read(
        tmp_path, a=lines(transactions(BLOCKS)), b=lines(other), c=lines(doubled)
    )
    assert len(found) == 18
    assert "4 logs with indices from 0 to 2" in rejected[0].reason
    assert "two receipts that disagree on its status" in rejected[1].reason


@pytest.mark.parametrize("broken", ['{"transaction_hash": "%s", "top', '{"log_index": 7, "x": "%s'])
def test_a_log_that_cannot_be_read_costs_its_own_transaction(tmp_path: Path, broken: str) -> None:
    rows = lines(logs(BLOCKS)).splitlines(keepends=True)
    rows[2] = broken % hash_of(100, 0) + "\n"
    found, rejected = read(tmp_path, a=lines(transactions(BLOCKS)), c="".join(rows))
    assert len(found) == 19
    assert hash_of(100, 0) not in found
    assert f"cannot be read: {tmp_path / 'c'}:3" in rejected[1].reason


def test_a_log_file_that_breaks_off_leaves_no_half_receipt(tmp_path: Path) -> None:
    many = range(100, 3000)
    packed = gzip.compress(lines(logs(many)).encode())
    found, rejected = read(
        tmp_path, a=lines(transactions(many)), c=packed[: len(packed) // 2], d=lines(logs(BLOCKS))
    )
    counts = [num_logs(found, block) for block in many if hash_of(block, 0) in found]
    assert set(counts) == {3, None}
    first_unknown = counts.index(None)
    assert set(counts[first_unknown:]) == {None}
    lost = [record for record in rejected if record.where.startswith(str(tmp_path / "a"))]
    assert 0 < len(lost) <= 2
    assert len(found) + len(lost) == 2 * len(many)


def test_a_torn_log_file_in_no_order_makes_all_its_blocks_doubtful(tmp_path: Path) -> None:
    rows = logs(BLOCKS)[::-1]
    text = json.dumps(rows)[:-20]
    found, rejected = read(tmp_path, a=lines(transactions(BLOCKS)), c=text)
    assert found == {}
    assert len(rejected) == 21


def test_rows_of_no_transaction_are_counted_for_each_file(tmp_path: Path) -> None:
    found, rejected = read(
        tmp_path,
        a=lines(transactions(BLOCKS[:4])),
        b=lines(receipts(BLOCKS)),
        c=lines(logs(BLOCKS)),
    )
    assert len(found) == 8
    assert [(record.where, record.reason) for record in rejected] == [
        (str(tmp_path / "b"), "12 receipts of 12 transactions that no file given holds"),
        (str(tmp_path / "c"), "36 logs of 12 transactions that no file given holds"),
    ]


def test_one_stream_of_every_kind_of_row(tmp_path: Path) -> None:
    block = {"type": "block", "number": 1, "parent_hash": TOPIC, "timestamp": 5}
    transfer = {
        "token_address": TOKEN,
        "from_address": SENDER,
        "value": 1,
        "transaction_hash": TOPIC,
    }
    rows = [block, *transactions(BLOCKS), *logs(BLOCKS), transfer, *receipts(BLOCKS), {"odd": 1}]
    found, rejected = read(tmp_path, a=lines(rows))
    assert len(found) == 20
    assert {transaction.status for transaction in found.values()} == {1}
    assert [record.reason for record in rejected] == [
        "no transaction, receipt, log, trace or block: keys odd"
    ]


def zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def test_zstandard_whole_in_parts_and_torn(tmp_path: Path) -> None:
    path = tmp_path / "a"
    many = lines(transactions(range(3000))).encode()
    path.write_bytes(zstandard(many) + zstandard(many))
    assert len(list(read_transactions(path))) == 12_000
    path.write_bytes(zstandard(many)[:-100])
    *records, last = read_transactions(path)
    assert len(records) > 1000
    assert "breaks off" in last.reason or "not JSON" in last.reason
    path.write_bytes(b"\x28\xb5\x2f\xfdnothing of the kind")
    with pytest.raises(DataError, match="not a readable Zstandard file"):
        read_transactions(path)


def test_folders_patterns_and_hidden_files(tmp_path: Path) -> None:
    for name in ("x/1.jsonl", "x/2.jsonl", "x/.cryo/reports/3.json", "y/deep/4.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines(transactions(range(1), num=1)))
    (tmp_path / "x" / "tokens.csv").write_text("address,symbol,decimals\n")
    counts = {
        pattern: len(list(read_transactions(tmp_path / pattern)))
        for pattern in ("", "x", "x/*.jsonl", "x/[2].jsonl", "*", "**/*.txt")
    }
    assert counts == {"": 3, "x": 2, "x/*.jsonl": 2, "x/[2].jsonl": 1, "*": 3, "**/*.txt": 1}
    assert token_files(tmp_path / "x" / "*.csv") == (tmp_path / "x" / "tokens.csv",)
    with pytest.raises(DataError, match=r"z/\*\.parquet: no file matches"):
        read_transactions(tmp_path / "z" / "*.parquet")


@pytest.mark.skipif(sys.platform != "linux", reason="names are not bytes there")
def test_a_file_name_that_is_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"logs\xff.json")
    read(tmp_path, a=lines(transactions(BLOCKS)))
    broken = f'{{"transaction_hash": "{hash_of(100, 0)}"\n'
    found, rejected = read(tmp_path, **{name: lines(logs(BLOCKS)) + broken})
    assert len(found) == 19
    for record in rejected:
        assert record.where.encode()
        assert "logs\\udcff.json" in record.where + record.reason


def test_a_zip_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(DataError, match="a zip archive") as caught:
        read_transactions(path)
    assert "unpack" in str(caught.value.hint)
