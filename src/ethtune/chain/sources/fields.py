"""One row of an export in, one ``Transaction`` out, whatever the export calls its fields.

Numbers may be integers, decimal strings, 0x hex, big-endian bytes or, after a detour through
pandas, "1.0"; a number in floating-point notation has lost digits and is refused. Hex may be bytes
too. "" and null both mean: not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from ethtune.chain.sources.names import FieldNames
from ethtune.core.transaction import InternalTransfer, InvalidTransaction, Log, Status, Transaction

BYZANTIUM_BLOCK = 4_370_000  # first mainnet block whose receipts say success or failure (EIP-658)

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII).fullmatch
_WHOLE_FLOAT = re.compile(r"([0-9]{1,15})\.0+", re.ASCII).fullmatch
_HEX_INTEGER = re.compile(r"0x[0-9a-fA-F]+").fullmatch
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII).fullmatch
_EPOCH = re.compile(r"[0-9]\.[0-9]{1,9}[eE]\+?[0-9]", re.ASCII).fullmatch  # 1.621898262E9
_STATUS_WORDS = {"true": 1, "false": 0}
_SEPARATORS = re.compile(r"[\s,'\"\[\]]+").split


def transaction_from(
    row: Mapping[str, Any], names: FieldNames, *, logs: tuple[Log, ...] | None = None
) -> Transaction:
    """Build and check the record; logs of the row itself win over ``logs``.

    Raises InvalidTransaction naming the field that is missing or wrong.
    """
    get = row.get
    to = _present(row, names.to) if not names.omits_null else get(names.to)
    value = integer("value", _present(row, names.value))
    if value is None:
        raise InvalidTransaction("value is null, expected an integer in wei")
    block_number = integer("block_number", get(names.block_number))
    own_logs = get("logs")
    price = get(names.effective_gas_price)
    chain_id = integer("chain_id", get(names.chain_id))
    sender = _hex("from", _present(row, names.sender))
    nonce = integer("nonce", get("nonce"))
    contract = address_or_none(get(names.contract_address))
    if names.omits_contract and not to and nonce is not None:
        contract = _created(sender, nonce)
    return Transaction(
        hash=_hex("hash", _present(row, names.hash)),
        sender=sender,
        to=_hex("to", to) if to else None,
        value_wei=value,
        calldata=_hex("input", _present(row, "input")),
        status=_status(get(names.status), None if chain_id not in (None, 1) else block_number),
        logs=logs if own_logs is None or own_logs == "" else _logs(own_logs),
        internal_transfers=_internal_transfers(get("internal_transfers")),
        chain_id=1 if chain_id is None else chain_id,
        block_number=block_number,
        timestamp=_timestamp(get(names.timestamp)),
        nonce=nonce,
        gas=integer("gas", get(names.gas)),
        gas_used=integer("gas_used", get(names.gas_used)),
        gas_price_wei=integer(
            "gas_price", get(names.gas_price) if price is None or price == "" else price
        ),
        contract_address=contract,
    )


def log_from(address: Any, topics: Iterable[Any], data: Any, index: int) -> Log:
    """A checked ``Log``; hex may be bytes, in any case and without its 0x."""
    return Log(
        _hex("log address", address),
        tuple([_hex("topic", topic) for topic in topics]),
        _hex("log data", data),
        index,
    )


def topics_of(row: Mapping[str, Any]) -> list[Any]:
    """Topics of a log's row: a list, a list as text whatever its brackets, or topic0 to topic3."""
    topics = row.get("topics")
    if topics is None and "topic0" in row:
        columns = [row.get(f"topic{number}") or None for number in range(4)]
        count = next((place for place, topic in enumerate(columns) if topic is None), 4)
        if any(columns[count:]):
            raise InvalidTransaction(f"topic{count} is empty, yet one after it is not")
        return columns[:count]
    if isinstance(topics, list):
        return topics
    return [] if topics is None else [item for item in _SEPARATORS(str(topics)) if item]


def integer(name: str, value: Any) -> int | None:
    """An exact integer or None. Raises InvalidTransaction for anything that may have lost digits.

    >>> integer("value", "0x10"), integer("status", "1.0"), integer("nonce", "")
    (16, 1, None)
    """
    if type(value) is int:
        return value
    if value is None or value == "":
        return None
    if type(value) is bytes:
        return int.from_bytes(value, "big")
    text = value if isinstance(value, str) else str(value)
    if not isinstance(value, bool) and len(text) <= 80:
        if _INTEGER(text):
            return int(text)
        if _HEX_INTEGER(text):
            return int(text, 16)
        if whole := _WHOLE_FLOAT(text):
            return int(whole[1])
    raise InvalidTransaction(f"{name} is {_no_integer(text)}")


def _no_integer(text: str) -> str:
    """The text and what is wrong with it."""
    if len(text) > 80:
        return f"{text[:40]!r}… ({len(text):,} characters), expected an integer"
    if _FLOAT(text):
        return f"{text!r}: floating-point notation loses digits, export it as text or an integer"
    return f"{text!r}, expected an integer"


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
        if isinstance(value, bytes):
            return "0x" + value.hex()
        raise InvalidTransaction(f"{name} is {str(value)[:60]!r}, expected hex digits")
    text = value.lower()
    return text if text[:2] == "0x" else "0x" + text


def _status(value: Any, mainnet_block: int | None) -> Status:
    word = str(value).lower() if isinstance(value, str | bool) else ""
    number = _STATUS_WORDS[word] if word in _STATUS_WORDS else integer("status", value)
    if number == 0:  # dumps fill in 0 or false where the chain did not yet say
        is_early = mainnet_block is not None and mainnet_block < BYZANTIUM_BLOCK
        return None if is_early else 0
    if number == 1:
        return 1
    if number is None:
        return None
    raise InvalidTransaction(f"status is {number}, expected 0, 1 or null")


def _created(sender: str, nonce: int) -> str:
    """Where a transaction without ``to`` puts its contract."""
    from ethtune.chain.sample.encoding import created_address

    try:
        return created_address(sender, nonce)
    except (ValueError, OverflowError):
        raise InvalidTransaction(f"no contract can be made by {sender!r}, {nonce}") from None


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
        return int(Decimal(text)) if _EPOCH(text) else integer("timestamp", text)
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC").replace("Z", "+00:00"))
    except ValueError:
        raise InvalidTransaction(f"timestamp is {text[:60]!r}, expected seconds or UTC") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())
