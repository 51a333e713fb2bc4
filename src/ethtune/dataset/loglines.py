"""Decoded events in, one short line each out: ``USDC Transfer sender #1 12.5``.

Lines say who emitted what and the values that say who moved how much; token amounts are scaled.
Left out, to save tokens, are values that describe a contract's state afterwards, pool amounts
that the transfers beside them repeat, hashes and opaque data. An unknown event is its emitter and
the first bytes of its topic, ``x3`` behind it when it comes three times running.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby

from ethtune.core.described import Argument, DecodedEvent, Token, Value
from ethtune.dataset.addresses import MAX, AddressNames
from ethtune.dataset.amounts import AmountUnits
from ethtune.dataset.values import greatest

_STATE = frozenset({
    "reserve0", "reserve1", "sqrtPriceX96", "liquidity", "tick", "fee", "protocolFeesToken0",
    "protocolFeesToken1", "previousBalance", "newBalance", "accountBorrows", "totalBorrows",
    "borrowRate", "borrowRateMode", "interestRateMode", "referral", "referralCode", "salt",
    "metadata", "actualGasUsed", "tickLower", "tickUpper",
})  # fmt: skip
_REPEATED = frozenset({
    "amount0In", "amount1In", "amount0Out", "amount1Out", "amount0", "amount1",
})  # fmt: skip
_STATE_OR_REPEATED = _STATE | _REPEATED
_POOL_ID = "id"  # pools behind one contract, Uniswap v4: ether in them makes no transfer
_STATE_EVENTS = frozenset({"Sync"})
_TOPIC_CHARACTERS = 10  # 0x and four bytes
_ALMOST_ALL = 1 << 255
_ALLOWANCES = frozenset({"value", "amount"})
_TEXT_CHARACTERS_MAX = 64
_BLANK = re.compile(r"\s+")


def log_lines(
    events: tuple[DecodedEvent, ...], names: AddressNames, tokens: Mapping[str, Token]
) -> list[str]:
    """Lines in the order of the logs; events that only report a contract's state have none."""
    lines: list[str] = []
    shown = [event for event in events if event.name not in _STATE_EVENTS]
    for is_unknown, run in groupby(shown, lambda event: event.name is None):
        if not is_unknown:
            lines += [_known_line(event, names, tokens) for event in run]
            continue
        for line, same in groupby(_unknown_line(event, names) for event in run):
            count = len(list(same))
            lines.append(line if count == 1 else f"{line} x{count}")
    return lines


def _unknown_line(event: DecodedEvent, names: AddressNames) -> str:
    topic = event.topic0[:_TOPIC_CHARACTERS] if event.topic0 else "log"
    return f"{names.write(event.address)} {topic}"


def _known_line(event: DecodedEvent, names: AddressNames, tokens: Mapping[str, Token]) -> str:
    units = AmountUnits(event.name or "", event.arguments, event.address, tokens)
    is_pooled = any(argument.name == _POOL_ID for argument in event.arguments)
    left_out = _STATE if is_pooled else _STATE_OR_REPEATED
    words = [names.write(event.address), event.name or ""]
    for argument in event.arguments:
        if argument.name not in left_out:
            word = _word(argument, argument.value, names, units.of(argument))
            if word is not None:
                words.append(word)
    return " ".join(words)


def _word(argument: Argument, value: Value, names: AddressNames, unit: Token | None) -> str | None:
    """One argument, None for opaque data; arrays of numbers and addresses are one word."""
    abi_type = argument.type
    if not isinstance(value, str):
        if abi_type.startswith("("):
            return None
        item = Argument(argument.name, abi_type.partition("[")[0], "")
        words = [_word(item, entry, names, unit) for entry in value]
        return ",".join([word for word in words if word is not None]) or "-"
    if abi_type == "address":
        return names.write(value)
    if "int" in abi_type:
        return _number(argument.name, abi_type, int(value), unit)
    if abi_type == "string":
        return _BLANK.sub("_", value)[:_TEXT_CHARACTERS_MAX] or "-"
    return value if abi_type == "bool" else None


def _number(name: str, abi_type: str, number: int, unit: Token | None) -> str:
    if number == greatest(abi_type):
        return MAX
    if number >= _ALMOST_ALL and name in _ALLOWANCES:
        return "~" + MAX  # what is left of an unlimited approval
    return unit.amount(number) if unit is not None and number >= 0 else str(number)
