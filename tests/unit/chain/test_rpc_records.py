"""What a node may answer that is no transaction with its receipt."""

from __future__ import annotations

import pytest

from ethtune.chain.rpc.records import fault, timestamp_of
from ethtune.chain.rpc.wire import NodeError

HASH, OTHER, BLOCK = "0x" + "1a" * 32, "0x" + "2b" * 32, "0x" + "3c" * 32
TRANSACTION = {"hash": HASH, "blockHash": BLOCK, "blockNumber": "0x10"}
RECEIPT = {"transactionHash": HASH, "blockHash": BLOCK}


def test_a_pair_of_one_block_is_faultless_however_the_hash_is_spelled():
    assert fault(HASH, TRANSACTION, RECEIPT) is None
    upper = HASH.upper().replace("X", "x")
    assert fault(HASH, TRANSACTION | {"hash": upper}, RECEIPT | {"transactionHash": upper}) is None


@pytest.mark.parametrize(
    ("transaction", "receipt", "told"),
    [
        (None, None, "not found"),
        (NodeError(-32000, "no state"), None, "no state (-32000)"),
        (TRANSACTION, NodeError(None, "no index"), "no index"),
        (TRANSACTION, None, "no receipt"),
        ("0x", RECEIPT, "is no object"),
        (TRANSACTION, [RECEIPT], "is no object"),
        (TRANSACTION | {"hash": OTHER}, RECEIPT, "another transaction"),
        ({}, RECEIPT, "another transaction"),
        (TRANSACTION | {"blockHash": None}, None, "not in a block yet"),
        (TRANSACTION | {"blockNumber": None}, None, "not in a block yet"),
        (TRANSACTION | {"blockNumber": 16}, RECEIPT, "its block is '16'"),
        (TRANSACTION | {"blockHash": ["0x"]}, RECEIPT, "with hash \"['0x']\""),
        (TRANSACTION, RECEIPT | {"transactionHash": OTHER}, "another transaction's receipt"),
        (TRANSACTION, RECEIPT | {"blockHash": OTHER}, "reorganised"),
    ],
)
def test_what_is_wrong_is_told(transaction, receipt, told):
    assert told in fault(HASH, transaction, receipt)


@pytest.mark.parametrize(
    ("block", "timestamp"),
    [
        ({"timestamp": "0x6553f100"}, 1_700_000_000),
        (None, "its block is not found"),
        (NodeError(-1, "gone"), "block: gone (-1)"),
        ({}, "timestamp of its block is 'None'"),
        ({"timestamp": "soon"}, "timestamp of its block is 'soon'"),
        ({"timestamp": 17}, "timestamp of its block is '17'"),
    ],
)
def test_the_time_of_a_block(block, timestamp):
    assert timestamp_of(block) == timestamp
