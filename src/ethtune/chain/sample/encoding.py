"""Calls and events as contracts write them: signatures and arguments in, hex out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak


@dataclass(frozen=True, slots=True)
class Event:
    """A log before it has an index."""

    address: str
    topics: tuple[str, ...]
    data: str


def keccak_hex(content: bytes) -> str:
    """32 bytes as hex with 0x."""
    return "0x" + keccak(content).hex()


@cache
def _hash_of(signature: str) -> str:
    return keccak_hex(signature.encode())


def _types(signature: str) -> list[str]:
    """Top-level argument types: "f((address,uint24),uint256)" → ["(address,uint24)", "uint256"]."""
    types, depth, current = [], 0, ""
    for character in signature[signature.index("(") + 1 : -1]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            types.append(current)
            current = ""
        else:
            current += character
    return [*types, current] if current else types


def call(signature: str, *arguments: Any) -> str:
    """Calldata: selector and encoded arguments."""
    return _hash_of(signature)[:10] + encode(_types(signature), arguments).hex()


def event(
    address: str, signature: str, indexed: Sequence[str], types: Sequence[str], *values: Any
) -> Event:
    """A log whose indexed arguments are addresses."""
    topics = (_hash_of(signature), *(address_topic(argument) for argument in indexed))
    return Event(address, topics, "0x" + encode(types, values).hex())


def address_topic(address: str) -> str:
    """An address as a 32-byte topic."""
    return "0x" + "00" * 12 + address[2:]


def transfer(token: str, sender: str, recipient: str, amount: int) -> Event:
    """ERC-20 Transfer."""
    signature = "Transfer(address,address,uint256)"
    return event(token, signature, (sender, recipient), ("uint256",), amount)


def approval(token: str, owner: str, spender: str, amount: int) -> Event:
    """ERC-20 Approval."""
    signature = "Approval(address,address,uint256)"
    return event(token, signature, (owner, spender), ("uint256",), amount)


def weth_deposit(weth: str, account: str, amount: int) -> Event:
    """WETH9 Deposit."""
    return event(weth, "Deposit(address,uint256)", (account,), ("uint256",), amount)


def weth_withdrawal(weth: str, account: str, amount: int) -> Event:
    """WETH9 Withdrawal."""
    return event(weth, "Withdrawal(address,uint256)", (account,), ("uint256",), amount)


def created_address(sender: str, nonce: int) -> str:
    """Where CREATE puts a contract: the end of keccak(rlp([sender, nonce]))."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if nonce and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(sender[2:]) + item
    return "0x" + keccak_hex(bytes([0xC0 + len(payload)]) + payload)[-40:]


def create2_address(factory: str, salt: bytes, init_code_hash: str) -> str:
    """Where CREATE2 puts a contract (EIP-1014)."""
    content = b"\xff" + bytes.fromhex(factory[2:]) + keccak(salt) + bytes.fromhex(init_code_hash)
    return "0x" + keccak_hex(content)[-40:]
