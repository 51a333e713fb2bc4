"""ethtune fetch from a real node: Foundry's Anvil, ``npm install --global @foundry-rs/anvil``.

Everything the other tests believe about JSON-RPC bodies is held against what a node really sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from ethtune.chain.sources import read_transactions

ANVIL = os.environ.get("ETHTUNE_ANVIL") or shutil.which("anvil")
pytestmark = pytest.mark.skipif(ANVIL is None, reason="no anvil on the PATH nor in ETHTUNE_ANVIL")

CHAIN_ID = 31337
GENESIS = 17_000_000  # receipts of early blocks are read as those before Byzantium, without status
TOPIC = "ab" * 32
LOGGING = f"60016000527f{TOPIC}60206000a100"  # LOG1 of the word 1
REVERTING = "60006000fd"
BOB = "0x" + "b2" * 20


def creation(runtime: str) -> str:
    """Code that deploys ``runtime``."""
    return f"0x60{len(runtime) // 2:02x}80600b6000396000f3{runtime}"


def blocks(first: int, last: int) -> str:
    return f"{GENESIS + first}-{GENESIS + last}"


class Anvil:
    """Asked without the code under test."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"

    def ask(self, method: str, *params: object) -> object:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        head = {"content-type": "application/json"}
        request = urllib.request.Request(self.url, body.encode(), head)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["result"]

    def send(self, **fields: str) -> str:
        sender = self.ask("eth_accounts")[0]
        hash = self.ask("eth_sendTransaction", {"from": sender, "gas": "0x30000"} | fields)
        self.ask("anvil_mine", "0x1")
        return hash


@pytest.fixture(scope="module")
def anvil():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            ANVIL,
            "--port",
            str(port),
            "--silent",
            "--no-mining",
            "--timestamp",
            "1700000000",
            "--number",
            str(GENESIS),
        ]
    )
    node = Anvil(port)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                node.ask("eth_chainId")
                break
            time.sleep(0.05)
        yield node
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def sent(anvil) -> dict[str, str]:
    """A transaction of each kind, each in a block of its own, then an empty block."""
    logging = anvil.send(data=creation(LOGGING))
    reverting = anvil.send(data=creation(REVERTING))
    targets = [anvil.ask("eth_getTransactionReceipt", hash) for hash in (logging, reverting)]
    sent = {
        "creation": logging,
        "creation of what fails": reverting,
        "transfer": anvil.send(to=BOB, value="0xde0b6b3a7640000"),
        "log": anvil.send(to=targets[0]["contractAddress"], data="0x12345678"),
        "failure": anvil.send(to=targets[1]["contractAddress"]),
    }
    anvil.ask("anvil_mine", "0x1")
    return sent


@pytest.fixture
def fetch(ethtune, anvil, monkeypatch, tmp_path):
    monkeypatch.setenv("ETHTUNE_RPC_URL", anvil.url)

    def run(*arguments: object) -> dict:
        output = tmp_path / "rows.jsonl"
        result = ethtune("fetch", "--output", output, "--json", *arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def rows(folder: Path) -> dict[str, dict]:
    lines = (folder / "rows.jsonl").read_text().splitlines()
    return {row["transaction"]["hash"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("way", ["hashes", "one by one", "blocks"])
def test_rows_hold_what_the_node_says(anvil, sent, fetch, tmp_path, way):
    what = {
        "hashes": [*sent.values()],
        "one by one": [*sent.values(), "--batch-size", 1],
        "blocks": ["--blocks", blocks(0, 6)],
    }[way]
    report = fetch(*what)
    assert (report["chain_id"], report["fetched"], report["failures"]) == (CHAIN_ID, 5, [])
    fetched = rows(tmp_path)
    assert sorted(fetched) == sorted(sent.values())
    for hash, row in fetched.items():
        block = anvil.ask("eth_getBlockByNumber", row["transaction"]["blockNumber"], False)
        assert row["transaction"] == anvil.ask("eth_getTransactionByHash", hash)
        assert row["receipt"] == anvil.ask("eth_getTransactionReceipt", hash)
        assert row["block_timestamp"] == int(block["timestamp"], 16)
        assert row["chain_id"] == CHAIN_ID
    assert fetch(*what)["fetched"] == 0


def test_what_the_node_does_not_know_fails_alone(sent, fetch):
    absent = "0x" + "00" * 32
    report = fetch(absent, *sent.values())
    assert report["failures"] == [{"hash": absent, "error": "not found"}]
    assert report["fetched"] == 5
    report = fetch("--blocks", blocks(5, 8))
    assert report["failures"] == [
        {"block": str(GENESIS + 7), "error": "not found"},
        {"block": str(GENESIS + 8), "error": "not found"},
    ]


def test_what_waits_for_a_block_is_no_row_yet(anvil, sent, fetch):
    sender = anvil.ask("eth_accounts")[1]
    waiting = anvil.ask("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1"})
    report = fetch(waiting, sent["transfer"])
    assert report["failures"] == [{"hash": waiting, "error": "not in a block yet"}]
    anvil.ask("anvil_dropTransaction", waiting)


def test_the_newest_blocks_are_counted_back(sent, fetch, tmp_path):
    assert fetch("--blocks", "latest-2")["asked"] == 2
    assert list(rows(tmp_path)) == [sent["failure"]]


def test_the_rows_are_read_as_transactions(sent, fetch, tmp_path):
    fetch("--blocks", blocks(1, 6))
    read = {item.hash: item for item in read_transactions(tmp_path / "rows.jsonl")}
    assert sorted(read) == sorted(sent.values())
    created, transfer, log, failure = (
        read[sent[kind]] for kind in ("creation", "transfer", "log", "failure")
    )
    assert created.to is None
    assert created.contract_address == log.to
    assert (transfer.to, transfer.value_wei, transfer.calldata) == (BOB, 10**18, "0x")
    assert (transfer.status, transfer.logs, transfer.gas_used) == (1, (), 21_000)
    assert (log.calldata, log.status) == ("0x12345678", 1)
    ((address, topics, data),) = [(entry.address, entry.topics, entry.data) for entry in log.logs]
    assert (address, topics, data) == (log.to, ("0x" + TOPIC,), f"0x{1:064x}")
    assert (failure.status, failure.logs) == (0, ())
    assert {item.chain_id for item in read.values()} == {CHAIN_ID}
    assert [read[hash].block_number for hash in sent.values()] == [
        GENESIS + place for place in (1, 2, 3, 4, 5)
    ]
    assert all(item.timestamp >= 1_700_000_000 for item in read.values())
