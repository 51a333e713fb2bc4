"""The file of rows: nothing twice, torn tails cut, foreign files left alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ethtune.chain.rpc.records import Fetched
from ethtune.chain.rpc.rowfile import RowFile
from ethtune.core.errors import DataError, MachineError, UsageError


def row(number: int, block: int = 7, *, size: int | None = None, chain_id: int = 1) -> Fetched:
    transaction = {"hash": f"0x{number:064x}", "blockNumber": hex(block)}
    return Fetched(transaction, {"logs": []}, 1_700_000_000, chain_id, size)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "rows.jsonl"


def written(path, *rows: Fetched) -> None:
    file = RowFile(path)
    for item in rows:
        file.append(item)
    file.close()


def test_rows_are_lines_of_json_and_known_again(path):
    written(path, row(1), row(0xAB))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["transaction"]["hash"] for line in lines] == [row(1).hash, row(0xAB).hash]
    assert list(lines[0]) == ["transaction", "receipt", "block_timestamp", "chain_id"]
    file = RowFile(path)
    assert file.hashes == {row(1).hash, row(0xAB).hash}
    assert file.chain_id == 1
    file.close()


def test_a_torn_last_line_is_cut_wherever_it_is_torn(path):
    written(path, row(1))
    first = path.read_bytes()
    for cut in range(1, len(row(2).line())):
        path.write_bytes(first + row(2).line()[:cut])
        written(path, row(3))
        assert path.read_bytes() == first + row(3).line()


@pytest.mark.parametrize(
    "content",
    [
        b"hash,value\n1,2\n",
        b"one line without an end",
        b'{"hash": "0x1"}\n',
        b"[]\n",
        row(1).line() + b"notes\n" + row(2).line(),
        row(1).line() + b"notes",
        b"\x1f\x8b\x08\x00",
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.jsonl:[12]: no row that ethtune fetch wrote"):
        RowFile(path)
    assert path.read_bytes() == content


def test_a_block_is_there_when_all_its_rows_are(path):
    written(path, row(1, 7, size=2), row(2, 7, size=2), row(3, 8, size=2), row(4, 9))
    file = RowFile(path)
    assert [file.has_block(number) for number in (7, 8, 9, 10)] == [True, False, False, False]
    file.close()


def test_a_row_that_stands_twice_counts_once(path):
    path.parent.mkdir()
    path.write_bytes(row(1, 7, size=2).line() * 2)
    file = RowFile(path)
    assert not file.has_block(7)
    file.close()


def test_rows_of_another_chain_are_not_mixed_in(path):
    written(path, row(1, chain_id=10))
    file = RowFile(path)
    file.require_chain(10)
    with pytest.raises(UsageError, match="of chain 10, the node is one of chain 1"):
        file.require_chain(1)
    file.close()


def test_an_empty_file_is_not_left_behind(path):
    RowFile(path).close()
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_two_processes_do_not_write_to_one_file(path):
    written(path, row(1))
    file = RowFile(path)
    code = (
        "import sys; from pathlib import Path; from ethtune.chain.rpc.rowfile import RowFile\n"
        "try: RowFile(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert "another process writes to" in done.stdout
    file.close()


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        RowFile(tmp_path / "file" / "rows.jsonl")
    with pytest.raises(MachineError, match="cannot be written"):
        RowFile(tmp_path)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from ethtune.chain.rpc.records import Fetched
from ethtune.chain.rpc.rowfile import RowFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = RowFile(Path(sys.argv[1]))
try:
    for number in range(100):
        file.append(Fetched({"hash": f"0x{number:064x}", "blockNumber": "0x1"}, {}, 1, 1))
except Exception as error:
    print(type(error).__name__, error, len(file.hashes))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_disk_that_takes_no_more_is_told_and_whole_rows_stay(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True
    )
    kind, *words, num_written = done.stdout.split()
    assert kind == "MachineError"
    assert "cannot be written: File too large" in " ".join(words)
    assert path.stat().st_size == 1000
    file = RowFile(path)
    assert len(file.hashes) == int(num_written) > 1
    assert path.stat().st_size < 1000
    file.close()
