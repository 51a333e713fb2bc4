"""One row of an export in, one ``Transaction`` out, whatever the export calls its fields.

Numbers may be integers, decimal strings, 0x hex or, after a detour through pandas, "1.0"; a number
in floating-point notation has lost digits and is refused. "" and null both mean: not said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ethtune.core.transaction import InternalTransfer, InvalidTransaction, Log, Status, Transaction

BYZANTIUM_BLOCK = 4_370_000  # first mainnet block whose receipts say success or failure (EIP-658)

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII).fullmatch
_WHOLE_FLOAT = re.compile(r"([0-9]{1,15})\.0+", re.ASCII).fullmatch
_HEX_INTEGER = re.compile(r"0x[0-9a-fA-F]+").fullmatch


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What one family of exports calls the fields of a transaction and its receipt."""

    hash: str = "hash"
    sender: str = "from"
    to: str = "to"
    timestamp: str = "block_timestamp"
    status: str = "status"
    gas_used: str = "gas_used"
    effective_gas_price: str = "effective_gas_price"
    contract_address: str = "contract_address"
    omits_null: bool = False  # no "to" at all where a contract is created


PLAIN = FieldNames()
COOKBOOK = FieldNames(hash="tx_hash")
ETHEREUM_ETL = FieldNames(
    sender="from_address",
    to="to_address",
    status="receipt_status",
    gas_used="receipt_gas_used",
    effective_gas_price="receipt_effective_gas_price",
    contract_address="receipt_contract_address",
    omits_null=True,
)


def field_names(row: Mapping[str, Any]) -> FieldNames:
    """The family a row belongs to, told from the names that differ between families."""
    if "from_address" in row:
        return ETHEREUM_ETL
    if "tx_hash" in row:
        return COOKBOOK
    return PLAIN


def transaction_from(
    row: Mapping[str, Any], names: FieldNames, *, logs: tuple[Log, ...] | None = None
) -> Transaction:
    """Build and check the record; logs of the row itself win over ``logs``.

    Raises InvalidTransaction naming the field that is missing or wrong.
    """
    get = row.get
    to = _present(row, names.to) if not names.omits_null else get(names.to)
    value = integer("value", _present(row, "value"))
    if value is None:
        raise InvalidTransaction("value is null, expected an integer in wei")
    block_number = integer("block_number", get("block_number"))
    own_logs = get("logs")
    price = get(names.effective_gas_price)
    chain_id = integer("chain_id", get("chain_id"))
    return Transaction(
        hash=_hex("hash", _present(row, names.hash)),
        sender=_hex("from", _present(row, names.sender)),
        to=_hex("to", to) if to else None,
        value_wei=value,
        calldata=_hex("input", _present(row, "input")),
        status=_status(get(names.status), block_number),
        logs=logs if own_logs is None else _logs(own_logs),
        internal_transfers=_internal_transfers(get("internal_transfers")),
        chain_id=1 if chain_id is None else chain_id,
        block_number=block_number,
        timestamp=_timestamp(get(names.timestamp)),
        nonce=integer("nonce", get("nonce")),
        gas=integer("gas", get("gas")),
        gas_used=integer("gas_used", get(names.gas_used)),
        gas_price_wei=integer(
            "gas_price", get("gas_price") if price is None or price == "" else price
        ),
        contract_address=address_or_none(get(names.contract_address)),
    )


def log_from(address: str, topics: list[str], data: str, index: int) -> Log:
    """A checked ``Log``; hex may be in any case and without its 0x."""
    return Log(
        _hex("log address", address),
        tuple([_hex("topic", topic) for topic in topics]),
        _hex("log data", data),
        index,
    )


def integer(name: str, value: Any) -> int | None:
    """An exact integer or None. Raises InvalidTransaction for anything that may have lost digits.

    >>> integer("value", "0x10"), integer("status", "1.0"), integer("nonce", "")
    (16, 1, None)
    """
    if type(value) is int:
        return value
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else str(value)
    if not isinstance(value, bool) and len(text) <= 80:
        if _INTEGER(text):
            return int(text)
        if _HEX_INTEGER(text):
            return int(text, 16)
        if whole := _WHOLE_FLOAT(text):
            return int(whole[1])
    raise InvalidTransaction(f"{name} is {text[:60]!r}, expected an integer")


def address_or_none(value: Any) -> str | None:
    """A lower-case address, or None where the export says nothing."""
    return _hex("address", value) if value else None


def _present(row: Mapping[str, Any], name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise InvalidTransaction(f'no field "{name}"') from None


def _hex(name: str, value: Any) -> str:
    """Lower case with 0x; some libraries print bytes without it. The record checks the digits."""
    if not isinstance(value, str):
        raise InvalidTransaction(f"{name} is {str(value)[:60]!r}, expected hex digits")
    text = value.lower()
    return text if text[:2] == "0x" else "0x" + text


def _status(value: Any, block_number: int | None) -> Status:
    number = int(value) if isinstance(value, bool) else integer("status", value)
    if number == 0:  # dumps fill in 0 or false where the chain did not yet say
        is_early = block_number is not None and block_number < BYZANTIUM_BLOCK
        return None if is_early else 0
    if number == 1:
        return 1
    if number is None:
        return None
    raise InvalidTransaction(f"status is {number}, expected 0, 1 or null")


def _logs(value: Any) -> tuple[Log, ...]:
    try:
        return tuple(
            [
                log_from(log["address"], log["topics"], log["data"], _index(log, place))
                for place, log in enumerate(value)
            ]
        )
    except (KeyError, TypeError) as error:
        raise InvalidTransaction(f"logs cannot be read: {error!r}") from None


def _index(log: Mapping[str, Any], place: int) -> int:
    index = integer("log index", log.get("log_index", log.get("logIndex")))
    return place if index is None else index


def _internal_transfers(value: Any) -> tuple[InternalTransfer, ...] | None:
    if value is None:
        return None
    try:
        return tuple(
            InternalTransfer(
                _hex("internal from", item["from"]),
                address_or_none(item["to"]),
                integer("internal value", item["value"]) or 0,
            )
            for item in value
        )
    except (KeyError, TypeError) as error:
        raise InvalidTransaction(f"internal_transfers cannot be read: {error!r}") from None


def _timestamp(value: Any) -> int | None:
    """Seconds since 1970 from a number or from "2021-05-24 23:17:42 UTC" and ISO 8601."""
    if type(value) is int or value is None or value == "":
        return value or None
    text = str(value)
    if "-" not in text[1:]:
        return integer("timestamp", text)
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC").replace("Z", "+00:00"))
    except ValueError:
        raise InvalidTransaction(f"timestamp is {text[:60]!r}, expected seconds or UTC") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())
