"""Lists of transactions in every form that people have them in."""

from __future__ import annotations

import gzip

import pytest

from ethtune.chain.rpc.blocks import parse_blocks
from ethtune.chain.rpc.hashes import read_hashes
from ethtune.chain.sources import Rejected
from ethtune.core.errors import DataError, UsageError

ONE, TWO = "0x" + "1a" * 32, "0x" + "2b" * 32


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}\n",
        f"# mine\n\n  {ONE.upper().replace('X', 'x')}  \n{TWO}",
        f"{ONE},swap\n{TWO},transfer\n",
        f"hash,value\n{ONE},1\n{TWO},2\n",
        f"block_number,tx_hash\n1,{ONE}\n2,{TWO}\n",
        f'\ufeff"Transaction Hash","Blockno"\n"{ONE}","1"\n"{TWO}","2"\n',
        f'{{"hash": "{ONE}", "value": 1}}\n{{"transactionHash": "{TWO}"}}\n',
        f'[{{"hash": "{ONE}"}}, {{"hash": "{TWO}"}}]',
    ],
)
def test_hashes_are_found_in_lines_columns_and_keys(tmp_path, text):
    path = tmp_path / "list"
    path.write_text(text, encoding="utf-8")
    assert list(read_hashes(path)) == [ONE, TWO]
    path.write_bytes(gzip.compress(text.encode()))
    assert list(read_hashes(path)) == [ONE, TWO]


def test_lines_that_hold_none_come_with_their_place(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(f"{ONE}\n0x12\nhello world\n{TWO}\n{TWO}00\n")
    found = list(read_hashes(path))
    assert [item for item in found if isinstance(item, str)] == [ONE, TWO]
    rejected = [item for item in found if isinstance(item, Rejected)]
    assert [item.where for item in rejected] == [f"{path}:2", f"{path}:3", f"{path}:5"]
    assert "'0x12' is no hash" in rejected[0].reason


def test_rows_without_a_hash_come_with_their_place(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text(f'{{"hash": "{ONE}"}}\n{{"value": 3}}\n{{broken\n{{"hash": null}}\n')
    found = list(read_hashes(path))
    assert found[0] == ONE
    assert [item.where for item in found[1:]] == [f"{path}:{line}" for line in (2, 3, 4)]


def test_a_missing_and_an_empty_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(read_hashes(tmp_path / "no"))
    (tmp_path / "empty").write_text("")
    assert list(read_hashes(tmp_path / "empty")) == []


@pytest.mark.parametrize(
    "text", ["", "x", "9-8", "-5", "1-", "latest", "latest-0", "0x1", "1-2-3", "0-99999999"]
)
def test_what_is_no_range_of_blocks_is_refused(text):
    with pytest.raises(UsageError, match="expected a range of at most"):
        parse_blocks(text)


def test_ranges_of_blocks():
    assert parse_blocks("17173049-17173060") == range(17173049, 17173061)
    assert parse_blocks("0") == range(1)
    assert parse_blocks("latest-10") == 10
