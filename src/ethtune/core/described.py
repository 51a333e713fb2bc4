"""A transaction with everything that follows from chain data alone: names, arguments, tokens.

Flows in from ``chain.describe``; prompts and labels are both built from it. It holds no judgement:
neither action nor protocol, so nothing of it can leak a label into a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias

from ethtune.core.transaction import Transaction
from ethtune.core.units import scale_amount

TokenKind = Literal["erc20", "erc721", "erc1155"]

# Lower-case 0x address or bytes, decimal integer, "true"/"false", text; arrays and tuples nest.
Value: TypeAlias = "str | tuple[Value, ...]"

_SYMBOLS_KEPT = 1 << 14
_RESERVED = frozenset({"sender", "max", "true", "false", "eth"})  # words of prompts
_PLAIN_SYMBOL = re.compile(r"(?=.*[A-Za-z])(?!0x)[A-Za-z0-9$._+-]{1,24}").fullmatch


@lru_cache(_SYMBOLS_KEPT)
def is_plain_symbol(symbol: str) -> bool:
    """Whether a text may name a token by it: nothing else that prompts write looks like it."""
    return bool(_PLAIN_SYMBOL(symbol)) and symbol.lower() not in _RESERVED


@dataclass(frozen=True, slots=True)
class Token:
    """A token contract. ``name_is_unique``: its symbol means this contract and no other known."""

    address: str
    symbol: str
    decimals: int | None
    kind: TokenKind = "erc20"
    name_is_unique: bool = False

    @property
    def asset(self) -> str:
        """How prompts and intents write it: the address unless the symbol is plain and its own."""
        is_named = self.name_is_unique and is_plain_symbol(self.symbol)
        return self.symbol if is_named else self.address

    def amount(self, raw: int) -> str:
        """Exact amount: scaled where the decimals are known, else raw."""
        return scale_amount(raw, self.decimals or 0)


@dataclass(frozen=True, slots=True)
class Argument:
    """One decoded value under its ABI name and type."""

    name: str
    type: str
    value: Value


@dataclass(frozen=True, slots=True)
class DecodedCall:
    """A call packed into the calldata (multicall, router command, Safe). Names as outside.

    ``target`` is the contract it goes to, None where the called contract runs it itself.
    ``signature`` is that of ``function`` with the names of all arguments, ``calls`` those packed
    into this one. ``calldata`` are its bytes, without a selector where its kind has none.
    """

    function: str | None
    arguments: tuple[Argument, ...] = ()
    target: str | None = None
    value_wei: int = 0
    signature: str | None = None
    calls: tuple[DecodedCall, ...] = ()
    calldata: str = "0x"


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    """One log, in order. ``name`` is None and ``arguments`` empty when its layout is unknown."""

    address: str
    name: str | None
    arguments: tuple[Argument, ...] = ()
    topic0: str | None = None


@dataclass(frozen=True, slots=True)
class DescribedTransaction:
    """``arguments`` is empty unless the calldata fits the known layout of ``function`` strictly.

    ``signature`` is that layout with all names: it tells which arguments are fields of one struct.
    ``events`` runs parallel to the logs and is empty where there are none or none were given;
    ``tokens`` holds the known tokens whose addresses occur in ``to``, calldata or logs.
    """

    transaction: Transaction
    function: str | None = None
    arguments: tuple[Argument, ...] = ()
    calls: tuple[DecodedCall, ...] = ()
    events: tuple[DecodedEvent, ...] = ()
    tokens: Mapping[str, Token] = field(default_factory=dict)
    signature: str | None = None
