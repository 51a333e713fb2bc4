"""Hashes or block numbers in, transactions with receipt and time of block out, from a node.

    hashes ──transactions──┐                ┌──▶ Fetched   raw results, as prepare reads them
                           ├──▶ node.ask ───┤
    numbers ────blocks─────┘   batches,     └──▶ Failure   why the node has no such thing
                               retries, pace

A node that fails for good raises MachineError; what it says of a single transaction is a Failure.
The endpoint's URL may hold a key: only ``Endpoint`` and the transport ever see it.
"""

from ethtune.chain.rpc.blocks import fetch_blocks
from ethtune.chain.rpc.endpoint import Endpoint
from ethtune.chain.rpc.node import Node
from ethtune.chain.rpc.records import Failure, Fetched, Item
from ethtune.chain.rpc.settings import NodeSettings
from ethtune.chain.rpc.transactions import fetch_transactions

__all__ = [
    "Endpoint",
    "Failure",
    "Fetched",
    "Item",
    "Node",
    "NodeSettings",
    "fetch_blocks",
    "fetch_transactions",
]
