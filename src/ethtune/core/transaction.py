"""One Ethereum transaction as read from an export: the record every stage of ``chain`` takes.

Hex is lower case with ``0x``; amounts are integers in wei or raw token units. ``None`` means that
the export did not say: ``status`` is ``None`` before Byzantium and before signing, ``logs`` is
``None`` where no receipt was given (an empty tuple means a receipt without logs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Status = Literal[0, 1] | None

_ADDRESS = re.compile(r"0x[0-9a-f]{40}").fullmatch
_WORD = re.compile(r"0x[0-9a-f]{64}").fullmatch
_HEX = re.compile(r"0x[0-9a-f]*").fullmatch
UINT256_MAX = 2**256 - 1


class InvalidTransaction(ValueError):
    """A field of a transaction breaks the protocol; the message names field and value."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:60] + f"… ({len(text):,} characters)"


def _is_bytes(text: str) -> bool:
    return len(text) % 2 == 0 and _HEX(text) is not None


def _require(matched: object, field: str, expected: str, value: object) -> None:
    if not matched:
        raise InvalidTransaction(f"{field} is {_shown(value)}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Log:
    """One event: emitter, up to four 32-byte topics, data."""

    address: str
    topics: tuple[str, ...]
    data: str
    index: int

    def __post_init__(self) -> None:
        _require(_ADDRESS(self.address), "log address", "0x and 40 hex digits", self.address)
        _require(len(self.topics) <= 4, "topics", "at most 4", self.topics)
        for topic in self.topics:
            _require(_WORD(topic), "topic", "0x and 64 hex digits", topic)
        _require(_is_bytes(self.data), "log data", "0x and whole bytes of hex", self.data)


@dataclass(frozen=True, slots=True)
class InternalTransfer:
    """Ether that a contract moved inside the transaction, from a trace. ``value_wei`` in wei."""

    sender: str
    to: str | None
    value_wei: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """See the module text for units and the meaning of ``None``."""

    hash: str
    sender: str
    to: str | None  # None creates a contract
    value_wei: int
    calldata: str
    status: Status = None
    logs: tuple[Log, ...] | None = None
    internal_transfers: tuple[InternalTransfer, ...] | None = None
    chain_id: int = 1
    block_number: int | None = None
    timestamp: int | None = None  # seconds since 1970
    nonce: int | None = None
    gas: int | None = None
    gas_used: int | None = None
    gas_price_wei: int | None = None  # effective price where a receipt gives it
    contract_address: str | None = None

    def __post_init__(self) -> None:
        _require(_WORD(self.hash), "hash", "0x and 64 hex digits", self.hash)
        _require(_ADDRESS(self.sender), "from", "0x and 40 hex digits", self.sender)
        _require(
            self.to is None or _ADDRESS(self.to), "to", "null or 0x and 40 hex digits", self.to
        )
        _require(0 <= self.value_wei <= UINT256_MAX, "value", "an unsigned integer", self.value_wei)
        _require(_is_bytes(self.calldata), "input", "0x and whole bytes of hex", self.calldata)
        _require(self.status in (0, 1, None), "status", "0, 1 or null", self.status)

    @property
    def selector(self) -> str | None:
        """First four bytes of the calldata as ``0x`` and 8 digits; None when there are fewer."""
        return self.calldata[:10] if len(self.calldata) >= 10 else None

    def before_signing(self) -> Transaction:
        """The same transaction as a wallet sees it before signature: no outcome, no logs."""
        return replace(
            self,
            status=None,
            logs=None,
            internal_transfers=None,
            gas_used=None,
            contract_address=None,
        )
