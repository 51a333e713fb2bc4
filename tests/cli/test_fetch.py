"""ethtune fetch: every row once, whatever the node and the user do; the key is never seen."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_run import INTENTS, answer_from, write_run
from rpc_server import CANARIES, Chain, RpcServer, error_object, reset, serving, status

from ethtune.chain.rpc import Endpoint, NodeSettings
from ethtune.core.errors import MachineError
from ethtune.services.fetching import FetchRequest
from ethtune.services.fetching import fetch as fetch_to_file

SIZES = [3, 0, 5, 1, 4, 7, 2]
COMMAND = [sys.executable, "-c", "from ethtune.cli.app import main; main()", "fetch"]


@pytest.fixture
def server(monkeypatch):
    with serving(Chain(SIZES)) as running:
        monkeypatch.setenv("ETHTUNE_RPC_URL", running.url)
        yield running


@pytest.fixture
def fetch(ethtune, server, tmp_path):
    """``fetch(...)`` with the output filled in; no canary may be anywhere afterwards."""

    def run(*arguments: object):
        result = ethtune("fetch", "--output", tmp_path / "rows.jsonl", *arguments)
        no_canary(result.stdout, result.stderr, tmp_path)
        return result

    return run


def no_canary(*places: str | Path) -> None:
    texts = [
        text
        for place in places
        for text in (
            [file.read_text() for file in place.rglob("*") if file.is_file()]
            if isinstance(place, Path)
            else [place]
        )
    ]
    assert not [canary for canary in CANARIES for text in texts if canary in text]


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def hashes_of(folder: Path) -> list[str]:
    return [row["transaction"]["hash"] for row in rows(folder)]


def listed(folder: Path, hashes: list[str]) -> Path:
    path = folder / "hashes.txt"
    path.write_text("\n".join(hashes) + "\n")
    return path


def test_hashes_become_rows_that_prepare_reads(fetch, server, ethtune, tmp_path):
    hashes = server.chain.hashes
    result = fetch(hashes[0], hashes[1].upper().replace("X", "x"), hashes[0], "--input",
                   listed(tmp_path, hashes[1:]))  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sorted(hashes_of(tmp_path)) == sorted(hashes)
    for row in rows(tmp_path):
        assert row["transaction"] == server.chain.transactions[row["transaction"]["hash"]]
        assert row["receipt"] == server.chain.receipt(row["transaction"]["hash"])
        block = server.chain.by_hash[row["transaction"]["blockHash"]]
        assert row["block_timestamp"] == int(block["timestamp"], 16)
        assert row["chain_id"] == 1
    assert f"ethtune prepare --input {tmp_path / 'rows.jsonl'}" in result.stderr
    prepared = ethtune("prepare", "--input", tmp_path / "rows.jsonl", "--output",
                       tmp_path / "data", "--json")  # fmt: skip
    report = json.loads(prepared.stdout)
    assert prepared.exit_code == 0, prepared.output
    assert report["read"] == len(hashes)
    assert report["rejected"] == {}


def test_blocks_become_rows(fetch, server, tmp_path):
    result = fetch("--blocks", "0-4", "--json")
    report = json.loads(result.stdout)
    assert (report["asked"], report["fetched"], report["failed"]) == (5, 13, 0)
    assert (report["unit"], report["chain_id"]) == ("blocks", 1)
    assert report["endpoint"] == server.host
    assert {int(row["transaction"]["blockNumber"], 16) for row in rows(tmp_path)} == {0, 2, 3, 4}
    again = json.loads(fetch("--blocks", "latest-4", "--json").stdout)
    assert (again["asked"], again["already_there"], again["fetched"]) == (4, 2, 9)
    assert sorted(hashes_of(tmp_path)) == sorted(server.chain.hashes)


def test_what_is_there_is_not_asked_for_again(fetch, server, tmp_path):
    hashes = server.chain.hashes
    fetch(*hashes[:10])
    server.answered.clear()
    report = json.loads(fetch(*hashes, "--json").stdout)
    assert (report["asked"], report["already_there"], report["fetched"]) == (22, 10, 12)
    assert sorted(server.times_answered("eth_getTransactionByHash")) == sorted(hashes[10:])
    num_requests = server.num_requests
    result = fetch(*hashes)
    assert server.num_requests == num_requests  # nothing lacks: the node is not even greeted
    assert "already there" in result.stdout
    assert sorted(hashes_of(tmp_path)) == sorted(hashes)


def test_a_block_that_is_there_in_part_is_filled_up(fetch, server, tmp_path):
    first, *others = (transaction["hash"] for transaction in server.chain.blocks[2]["transactions"])
    fetch(first)
    report = json.loads(fetch("--blocks", "2", "--json").stdout)
    assert (report["already_there"], report["fetched"]) == (0, 4)
    assert hashes_of(tmp_path) == [first, *others]
    assert json.loads(fetch("--blocks", "2", "--json").stdout)["already_there"] == 1


def test_failures_are_told_by_hash_and_tried_again(fetch, server, tmp_path):
    hashes, absent = server.chain.hashes, "0x" + "00" * 32
    server.nulls = {("eth_getTransactionReceipt", hashes[3])}
    source = listed(tmp_path, [*hashes, absent, "0x12"])
    result = fetch("--input", source, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (report["fetched"], report["failed"]) == (len(hashes) - 1, 3)
    expected = {
        absent: "not found",
        hashes[3]: "no receipt: the node has pruned it",
        f"{source}:24": "'0x12' is no hash: 0x and 64 hex digits",
    }
    names = [next(value for key, value in item.items() if key != "error")
             for item in report["failures"]]  # fmt: skip
    assert dict(zip(names, (item["error"] for item in report["failures"]), strict=True)) == expected
    lines = (tmp_path / "rows.failed.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == report["failures"]
    server.nulls = set()
    result = fetch(*hashes)
    assert not (tmp_path / "rows.failed.jsonl").exists()
    assert sorted(hashes_of(tmp_path)) == sorted(hashes)


def test_reasons_are_counted_for_people(fetch, server):
    result = fetch(*("0x" + f"{number:064x}" for number in range(30)))
    assert result.exit_code == 1
    assert "not found" in result.stdout
    assert "and 25 more" in result.stdout
    assert "rows.failed.jsonl" in result.stderr


def test_stdin_holds_hashes_too(server, tmp_path):
    done = subprocess.run(
        [*COMMAND, "--input", "-", "--output", tmp_path / "rows.jsonl"],
        input="\n".join([*server.chain.hashes, "nonsense"]), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert sorted(hashes_of(tmp_path)) == sorted(server.chain.hashes)
    assert "-:23" in done.stdout
    no_canary(done.stdout, done.stderr, tmp_path)


def test_a_node_that_refuses_batches_is_asked_one_by_one(fetch, server, tmp_path):
    server.batch_limit, server.refuse = 1, error_object(-32600, "batches are disabled")
    result = fetch(*server.chain.hashes)
    assert result.exit_code == 0
    assert "takes batches of 1 at most" in result.stderr
    assert sorted(hashes_of(tmp_path)) == sorted(server.chain.hashes)


def test_a_node_that_dies_leaves_what_was_fetched(server, tmp_path):
    settings = NodeSettings(batch_size=4, num_threads=2, num_retries=2, backoff_seconds=0.01)
    request = FetchRequest(
        Endpoint(server.url), tmp_path / "rows.jsonl", hashes=server.chain.hashes, settings=settings
    )
    server.faults.extend([lambda handler, asked: False] * 9)
    server.always = reset
    with pytest.raises(MachineError) as caught:
        fetch_to_file(request)
    fetched = hashes_of(tmp_path)
    assert 0 < len(fetched) == len(set(fetched)) < len(server.chain.hashes)
    assert f"{len(fetched)} transactions are in {tmp_path / 'rows.jsonl'}" in caught.value.message
    assert "3 times in a row" in caught.value.message
    server.always = None
    assert fetch_to_file(request).num_present == len(fetched)
    assert sorted(hashes_of(tmp_path)) == sorted(server.chain.hashes)


@pytest.fixture
def long_chain(monkeypatch):
    with serving(Chain([10] * 60)) as running:
        monkeypatch.setenv("ETHTUNE_RPC_URL", running.url)
        running.delay_seconds = 0.03
        yield running


def started(server: RpcServer, folder: Path, num_rows: int, *arguments: object):
    """A command of its own that has written so many rows."""
    command = [*COMMAND, *map(str, arguments), "--output", str(folder / "rows.jsonl")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "rows.jsonl").exists() and len(rows_so_far(folder)) >= num_rows:
            return process
        time.sleep(0.01)
    process.kill()
    raise AssertionError(process.communicate())


def rows_so_far(folder: Path) -> list[str]:
    return (folder / "rows.jsonl").read_text().split("\n")[:-1]


@pytest.mark.parametrize("asks_blocks", [False, True])
def test_a_killed_command_goes_on_where_it_was(long_chain, ethtune, tmp_path, asks_blocks):
    what = ["--input", listed(tmp_path, long_chain.chain.hashes)]
    if asks_blocks:
        what = ["--blocks", "0-59"]
    process = started(long_chain, tmp_path, 100, *what, "--batch-size", 10, "--threads", 3)
    process.kill()
    process.communicate()
    kept = rows_so_far(tmp_path)
    assert 100 <= len(kept) < 600
    long_chain.delay_seconds = 0
    result = ethtune("fetch", *what, "--output", tmp_path / "rows.jsonl", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert report["fetched"] == 600 - len(kept)
    assert rows_so_far(tmp_path)[: len(kept)] == kept
    assert sorted(hashes_of(tmp_path)) == sorted(long_chain.chain.hashes)
    method = "eth_getBlockByNumber" if asks_blocks else "eth_getTransactionByHash"
    times = long_chain.times_answered(method)
    num_twice = sum(times.values()) - len(times)
    assert num_twice <= 3 * (1 if asks_blocks else 5)  # what the three threads had in hand
    no_canary(result.stdout, result.stderr, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal to send")
def test_ctrl_c_says_what_there_is_at_once(long_chain, tmp_path):
    source = listed(tmp_path, long_chain.chain.hashes)
    process = started(long_chain, tmp_path, 50, "--input", source, "--batch-size", 10)
    long_chain.delay_seconds = 20
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 130
    assert "transactions are in" in stderr
    assert len(hashes_of(tmp_path)) == len(set(hashes_of(tmp_path))) >= 50
    no_canary(stdout, stderr, tmp_path)


def test_another_chain_is_named_and_never_mixed_in(fetch, server, tmp_path):
    fetch(server.chain.hashes[0])
    server.chain = Chain(SIZES, chain_id=137)
    result = fetch(server.chain.hashes[0])
    assert result.exit_code == 2
    assert "of chain 1, the node is one of chain 137" in result.stderr
    assert len(rows(tmp_path)) == 1
    (tmp_path / "rows.jsonl").unlink()
    result = fetch(server.chain.hashes[0])
    assert "chain 137 is not Ethereum mainnet" in result.stderr
    assert [row["chain_id"] for row in rows(tmp_path)] == [137]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "give hashes or blocks"),
        (("0x12",), 2, "'0x12' is no transaction hash"),
        (("--blocks", "5-3"), 2, "--blocks is '5-3'"),
        (("--blocks", "1", "0x" + "00" * 32), 2, "one of the two"),
        (("--input", "absent.txt"), 4, "absent.txt: no such file"),
        (("--rpc-url", f"wss://{CANARIES[1]}/x", "--blocks", "1"), 2, "does not begin with http"),
        (("--rpc-url", "", "--blocks", "1"), 2, "no node is named"),
    ],
)
def test_what_cannot_be_asked_is_told(fetch, tmp_path, arguments, code, told):
    result = fetch(*arguments)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_list_without_a_hash_is_told(fetch, tmp_path):
    result = fetch("--input", listed(tmp_path, ["hello", "world"]))
    assert result.exit_code == 4
    assert "hashes.txt:1: 'hello' is no hash" in result.stderr


def test_a_wrong_key_is_told_without_it(fetch, server):
    message = f"invalid project id {CANARIES[1]}".encode()
    server.always = status(401, b'{"error": {"message": "' + message + b'"}}')
    result = fetch("--blocks", "1")
    assert result.exit_code == 5
    assert "401 Unauthorized: invalid project id [secret]" in result.stderr
    assert "ETHTUNE_RPC_URL" in result.stderr
    server.always = lambda handler, asked: 1 / 0  # the connection is dropped
    result = fetch("--blocks", "1")
    assert result.exit_code == 5
    assert "3 times in a row" in result.stderr


def test_predict_gets_transactions_by_hash(ethtune, server, monkeypatch, tmp_path):
    answer_from(monkeypatch, {}, otherwise=INTENTS[0].to_json())
    run, hashes, absent = write_run(tmp_path), server.chain.hashes[4:0:-1], "0x" + "00" * 32
    asked = [part for hash in (*hashes, absent) for part in ("--hash", hash)]
    result = ethtune("predict", run, *asked)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["hash"] for answer in answers] == hashes
    assert {answer["from"] for answer in answers} == {
        server.chain.transactions[hash]["from"] for hash in hashes
    }
    assert f"{absent}: not found" in result.stderr
    no_canary(result.stdout, result.stderr, tmp_path)
    result = ethtune("predict", run, "--hash", absent)
    assert result.exit_code == 4
    assert f"{server.host} has none of the 1 transactions" in result.stderr
    for arguments in (("--input", "x", "--hash", absent), (), ("--hash", "0x1")):
        assert ethtune("predict", run, *arguments).exit_code == 2
