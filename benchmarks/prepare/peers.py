"""Rows of an export in, decoded by web3.py in two ways; its own imports wait until it is asked.

Of the functions and events that ethtune knows each has a contract object of its own here: a search
through the ABI of a whole contract is spared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from command import lines_of

COMMON_EVENTS = (
    "Transfer(address indexed from,address indexed to,uint256 value)",
    "Approval(address indexed owner,address indexed spender,uint256 value)",
    "Deposit(address indexed dst,uint256 wad)",
    "Withdrawal(address indexed src,uint256 wad)",
    "Swap(address indexed sender,uint256 amount0In,uint256 amount1In,uint256 amount0Out,"
    "uint256 amount1Out,address indexed to)",
    "Swap(address indexed sender,address indexed recipient,int256 amount0,int256 amount1,"
    "uint160 sqrtPriceX96,uint128 liquidity,int24 tick)",
)
ERC20 = (
    "name()", "symbol()", "decimals()", "totalSupply()", "balanceOf(address owner)",
    "allowance(address owner,address spender)", "transfer(address to,uint256 value)",
    "approve(address spender,uint256 value)",
    "transferFrom(address from,address to,uint256 value)",
)  # fmt: skip
Work = tuple[list[Any], Callable[[Any], Any]]  # rows, and what decodes one of them


def sampled(export: Path, stride: int) -> Iterator[dict[str, Any]]:
    """Every so many rows of the export."""
    return map(json.loads, islice(lines_of(export), 0, None, stride))


def web3_work(export: Path, stride: int) -> Work:
    """Rows as web3.py would have fetched them, and what decodes one of them."""
    from eth_abi.exceptions import DecodingError
    from hexbytes import HexBytes
    from web3 import Web3
    from web3.datastructures import AttributeDict
    from web3.exceptions import Web3Exception
    from web3.logs import DISCARD

    from ethtune.chain.signatures import functions, parse_signature

    def fetched(row: dict[str, Any]) -> dict[str, Any]:
        place = {
            "transactionHash": HexBytes(row["hash"]), "blockHash": HexBytes(row["hash"]),
            "blockNumber": row["block_number"], "transactionIndex": 0,
        }  # fmt: skip
        logs = [
            AttributeDict({
                **place, "address": Web3.to_checksum_address(log["address"]),
                "topics": list(map(HexBytes, log["topics"])), "data": HexBytes(log["data"]),
                "logIndex": log["log_index"],
            })
            for log in row["logs"] or ()
        ]  # fmt: skip
        return {"input": HexBytes(row["input"]), "logs": logs}

    calls = {
        selector: Web3().eth.contract(abi=[abi_entry(signature, "function")])
        for selector, signature in functions().items()
    }
    signatures = map(parse_signature, COMMON_EVENTS)
    common = [
        Web3().eth.contract(abi=[abi_entry(item, "event")]).events[item.name]()
        for item in signatures
    ]
    foreign = (ValueError, Web3Exception, DecodingError)  # of another layout, with trailing bytes

    def decode(row: dict[str, Any]) -> None:
        with suppress(*foreign):
            if known := calls.get(row["input"][:4].to_0x_hex()):
                known.decode_function_input(row["input"])
        for event in common if row["logs"] else ():
            with suppress(*foreign):
                event.process_receipt(row, errors=DISCARD)

    return [fetched(row) for row in sampled(export, stride)], decode


def cookbook_work(export: Path, stride: int) -> Work:
    """Emitters of transfers and swaps in each row, and what is made for them."""
    from web3 import Web3

    from ethtune.chain.signatures import events, parse_signature

    abi = [abi_entry(parse_signature(text), "function") for text in ERC20]
    contracts_of = {
        topic0: 1 if item.name == "Transfer" else 3
        for (topic0, _), item in events().items()
        if item.text in COMMON_EVENTS and item.name in ("Transfer", "Swap")
    }
    connection = Web3()

    def decode(row: dict[str, Any]) -> None:
        for log in row["logs"] or ():
            for _ in range(contracts_of.get((log["topics"] or [""])[0], 0)):
                address = Web3.to_checksum_address(log["address"])
                connection.eth.contract(address=address, abi=abi)

    rows = list(sampled(export, stride))
    if not any(row["logs"] for row in rows):
        sys.exit("the export has no logs, and it decodes nothing else")
    return rows, decode


def abi_entry(signature: Any, kind: str) -> dict[str, Any]:
    """A signature as a JSON ABI has it."""
    inputs = [abi_input(parameter) for parameter in signature.parameters]
    return {
        "type": kind, "name": signature.name, "inputs": inputs, "outputs": [], "anonymous": False,
        "stateMutability": "payable",
    }  # fmt: skip


def abi_input(parameter: Any) -> dict[str, Any]:
    """A parameter, a struct with its fields under it."""
    entry = {"name": parameter.name, "type": parameter.type, "indexed": parameter.is_indexed}
    if not parameter.members:
        return entry
    array = parameter.type[parameter.type.rindex(")") + 1 :]
    members = [abi_input(member) for member in parameter.members]
    return entry | {"type": f"tuple{array}", "components": members}
