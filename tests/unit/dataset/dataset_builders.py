"""Small transactions and rows for the tests of the dataset package."""

from __future__ import annotations

from typing import Any

from eth_abi import encode
from eth_hash.auto import keccak

from ethtune.core.described import Argument, DecodedEvent, DescribedTransaction, Token
from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow
from ethtune.core.transaction import Log, Transaction
from ethtune.dataset.spool import SpooledRow

SENDER = "0x" + "a1" * 20
ALICE = "0x" + "b2" * 20
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
UNLISTED = "0x" + "c3" * 20

TOKENS = {
    USDC: Token(USDC, "USDC", 6, name_is_unique=True),
    WETH: Token(WETH, "WETH", 18, name_is_unique=True),
    UNLISTED: Token(UNLISTED, "USDC", 6),
}


def selector(signature: str) -> str:
    return "0x" + keccak(signature.encode())[:4].hex()


def transaction(**changes: Any) -> Transaction:
    plain: dict[str, Any] = {
        "hash": "0x" + "11" * 32, "sender": SENDER, "to": ALICE, "value_wei": 0, "calldata": "0x",
    }  # fmt: skip
    return Transaction(**plain | changes)


def token_transfer(token: str, to: str, amount: int, *, status: int | None = 1):
    """A described ERC-20 transfer with its event."""
    event = DecodedEvent(
        token,
        "Transfer",
        (
            Argument("from", "address", SENDER),
            Argument("to", "address", to),
            Argument("value", "uint256", str(amount)),
        ),
        "0x" + keccak(b"Transfer(address,address,uint256)").hex(),
    )
    log = Log(token, (str(event.topic0),), "0x", 0)
    return DescribedTransaction(
        transaction(
            to=token,
            calldata=selector("transfer(address,uint256)")
            + encode(["address", "uint256"], [to, amount]).hex(),
            status=status,
            logs=(log,) if status else (),
        ),
        "transfer",
        (Argument("to", "address", to), Argument("value", "uint256", str(amount))),
        events=(event,) if status else (),
        tokens=TOKENS,
    )


def example(number: int, text: str, output: str = '{"action":"unknown"}', **meta: Any) -> Example:
    plain = {"action": "unknown", "protocol": None, "label_source": "rules"} | meta
    return Example(f"0x{number:064x}", "Decode.", text, output, plain)


def spooled_row(number: int, **changes: Any) -> SpooledRow:
    key = number.to_bytes(32, "big")
    plain = {
        "id": key, "text": key, "template": key, "people": key, "answer": 0, "contract": None,
        "block_number": number, "action": "unknown", "protocol": None, "label_source": "rules",
        "characters": 1, "line": b"{}\n",
    }  # fmt: skip
    return SpooledRow(**plain | changes)


def token_row(name: int, length: int) -> TokenRow:
    return TokenRow(str(name), (*[5] * (length - 1), 2), 1, 2)
