"""Rows decoded by the guide's own tools keep the label they carry, with exact amounts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from ethtune.chain.sources import Labelled, Rejected, read_transactions
from ethtune.core.intent import Intent, Movement

HASH = "0x" + "ab" * 32
ALICE = "0x" + "11" * 20
BOB = "0x" + "22" * 20
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
BASE = {"tx_hash": HASH, "from": ALICE, "to": BOB, "status": "success"}


def as_json(folder: Path, row: dict) -> Path:
    path = folder / "decoded.json"
    path.write_text(json.dumps([row]))
    return path


def as_csv(folder: Path, row: dict) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, row.keys())
    writer.writeheader()
    writer.writerow(row)
    path = folder / "decoded.csv"
    path.write_text(text.getvalue())
    return path


def one(path: Path) -> Labelled | Rejected:
    [record] = read_transactions(path)
    assert isinstance(record, Labelled | Rejected)
    return record


def labelled(path: Path) -> Labelled:
    record = one(path)
    assert isinstance(record, Labelled), record
    return record


TRANSFER_ETH = Intent(
    "transfer", "ethereum", "success", sent=(Movement("ETH", "1"),), recipient=BOB
)
SWAP = Intent(
    "swap",
    "uniswap_v2",
    "success",
    sent=(Movement("USDC", "1000"),),
    received=(Movement("WETH", "0.5"),),
)


@pytest.mark.parametrize(
    ("row", "intent"),
    [
        (
            {"action": "transfer", "protocol": "ethereum", "amount_wei": 10**18, "amount_eth": 1.0},
            TRANSFER_ETH,
        ),
        (
            {"action": "transfer", "protocol": "ethereum", "assets": ["ETH"], "amounts": [1.0]},
            TRANSFER_ETH,
        ),
        (
            {
                "action": "transfer",
                "protocol": "erc20",
                "token_address": USDC,
                "token_symbol": "USDC",
                "token_decimals": 6,
                "amount": 29978006960000001,
                "amount_formatted": 29978006960.000002,
            },
            Intent(
                "transfer",
                "erc20",
                "success",
                sent=(Movement("USDC", "29978006960.000001"),),
                recipient=BOB,
            ),
        ),
        (
            {
                "action": "transfer",
                "protocol": "erc20",
                "token_address": USDC,
                "token_symbol": "UNKNOWN",
                "token_decimals": None,
                "amount": 7,
                "amount_formatted": None,
            },
            Intent(
                "transfer", "erc20", "success", sent=(Movement(USDC.lower(), "7"),), recipient=BOB
            ),
        ),
        (
            {
                "action": "swap",
                "protocol": "uniswap_v2",
                "token_in": USDC,
                "token_out": WETH,
                "token_in_symbol": "USDC",
                "token_out_symbol": "WETH",
                "amount_in": 10**9,
                "amount_out": 5 * 10**17,
                "amount_in_formatted": 1000.0,
                "amount_out_formatted": 0.5,
            },
            SWAP,
        ),
    ],
)
def test_decoded_json(tmp_path: Path, row: dict, intent: Intent) -> None:
    record = labelled(as_json(tmp_path, {**BASE, "block_number": 5_000_000, **row}))
    assert record.intent == intent
    assert record.transaction.status == 1
    assert record.transaction.block_number == 5_000_000
    assert record.transaction.value_wei == (10**18 if intent == TRANSFER_ETH else 0)
    assert record.has_calldata is (intent == TRANSFER_ETH)


@pytest.mark.parametrize(
    ("row", "intent"),
    [
        (
            {
                "decoded_action": "transfer", "protocol": "ethereum", "value": "1.0",
                "assets": "ETH", "amounts": "1.0",
            },
            TRANSFER_ETH,
        ),
        (
            {
                "action": "transfer", "protocol": "ethereum", "value": "1000000000000000000",
                "assets": "ETH", "amounts": "1.0",
            },
            TRANSFER_ETH,
        ),
        (
            {
                "decoded_action": "transfer", "protocol": "erc20", "value": "1e-05",
                "assets": f"USDC ({USDC})", "amounts": "1e-05",
            },
            Intent(
                "transfer", "erc20", "success", sent=(Movement("USDC", "0.00001"),), recipient=BOB
            ),
        ),
        (
            {
                "decoded_action": "swap", "protocol": "uniswap_v2",
                "value": "1000.0 USDC → 0.5 WETH", "assets": "USDC → WETH",
                "amounts": "1000.0 → 0.5", "token_in": USDC, "token_out": WETH,
                "amount_in": "1000.0", "amount_out": "0.5",
            },
            SWAP,
        ),
        (
            {
                "action": "swap", "protocol": "uniswap_v2", "value": "0",
                "assets": "USDC→WETH", "amounts": "1000→0.5",
            },
            SWAP,
        ),
        (
            {"action": "claim", "protocol": "lido", "value": "0", "assets": "LDO", "amounts": "3"},
            Intent("claim", "lido", "success", received=(Movement("LDO", "3"),)),
        ),
        (
            {"action": "approve", "protocol": "erc20", "assets": "DAI", "amounts": "3"},
            Intent("approve", "erc20", "success", approved=(Movement("DAI", "3"),)),
        ),
    ],
)  # fmt: skip
def test_decoded_csv(tmp_path: Path, row: dict, intent: Intent) -> None:
    record = labelled(as_csv(tmp_path, {**BASE, "block": "18500000", "timestamp": "", **row}))
    assert record.intent == intent
    assert record.transaction.block_number == 18_500_000
    assert record.transaction.value_wei == (10**18 if intent == TRANSFER_ETH else 0)


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        ("failed", "failed", 0),
        (1, "success", 1),
        ("pending", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_status_becomes_outcome(tmp_path: Path, status: object, outcome: str, code: object) -> None:
    row = {"action": "transfer", "protocol": "ethereum", "amount_wei": 1, "block_number": 5_000_000}
    record = labelled(as_json(tmp_path, {**BASE, **row, "status": status}))
    assert (record.intent.outcome, record.transaction.status) == (outcome, code)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"action": "yolo", "assets": ["ETH"], "amounts": [1]}, "action is 'yolo'"),
        ({"action": "transfer", "assets": ["ETH"], "amounts": []}, "1 assets and 0 amounts"),
        ({"action": "transfer", "assets": ["ETH"], "amounts": ["many"]}, "amount is 'many'"),
        ({"action": "transfer", "assets": ["ETH"], "amounts": [-1]}, "amount is '-1'"),
        ({"action": "transfer", "assets": ["UNKNOWN"], "amounts": [1]}, "asset is 'UNKNOWN'"),
        ({"action": "swap", "assets": ["A", "B", "C"], "amounts": [1, 2, 3]}, "3 assets"),
        ({"action": "swap", "token_in": "USDC", "token_out": "WETH", "amount_in": "1",
          "amount_out": "2"}, "no decimals are given"),
        ({"action": "transfer", "amount_eth": 1e-19, "protocol": "ethereum"}, "18 decimals"),
        ({"action": "transfer", "token_address": USDC, "amount": 1, "token_decimals": 10**9},
         "1000000000 decimals"),
        ({"action": "transfer", "amount_wei": 1, "tx_hash": "unknown_3"}, "hash is"),
    ],
)  # fmt: skip
def test_a_row_without_a_usable_label_is_rejected(tmp_path: Path, row: dict, reason: str) -> None:
    record = one(as_json(tmp_path, {**BASE, "protocol": "erc20", **row}))
    assert isinstance(record, Rejected)
    assert reason in record.reason
