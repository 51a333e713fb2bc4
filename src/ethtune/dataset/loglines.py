"""Decoded events in, one short line each out: ``USDC Transfer sender #1 12.5``.

Lines say who emitted what and the values that say who moved how much; token amounts are scaled.
Left out, to save tokens, are values that describe a contract's state afterwards, pool amounts
that the transfers beside them repeat, hashes and opaque data. An unknown event is its emitter and
the first bytes of its topic, ``x3`` behind it when it comes three times running.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    shown = (event for event in events if event.name not in _STATE_EVENTS)
    lines: list[str] = []
    for (is_known, line), same in groupby(
        (event.name is not None, " ".join(_words(event, names, tokens))) for event in shown
    ):
        count = len(list(same))
        if is_known or count == 1:
            lines += [line] * count
        else:
            lines.append(f"{line} x{count}")
    return lines


def _words(event: DecodedEvent, names: AddressNames, tokens: Mapping[str, Token]) -> Iterator[str]:
    yield names.write(event.address)
    if event.name is None:
        yield event.topic0[:_TOPIC_CHARACTERS] if event.topic0 else "log"
        return
    yield event.name
    units = AmountUnits(event.name, event.arguments, event.address, tokens)
    is_pooled = any(argument.name == _POOL_ID for argument in event.arguments)
    left_out = _STATE if is_pooled else _STATE | _REPEATED
    for argument in event.arguments:
        if argument.name not in left_out:
            unit = units.of(argument)
            yield from _value(argument, argument.value, names, unit)


def _value(
    argument: Argument, value: Value, names: AddressNames, unit: Token | None
) -> Iterator[str]:
    """The words of one argument; arrays of numbers and addresses are one word."""
    abi_type = argument.type
    if not isinstance(value, str):
        if not abi_type.startswith("("):
            item = Argument(argument.name, abi_type.partition("[")[0], "")
            parts = [part for entry in value for part in _value(item, entry, names, unit)]
            yield ",".join(parts) or "-"
    elif abi_type == "address":
        yield names.write(value)
    elif "int" in abi_type:
        yield _number(argument.name, abi_type, int(value), unit)
    elif abi_type == "string":
        yield _BLANK.sub("_", value)[:_TEXT_CHARACTERS_MAX] or "-"
    elif abi_type == "bool":
        yield value


def _number(name: str, abi_type: str, number: int, unit: Token | None) -> str:
    if number == greatest(abi_type):
        return MAX
    if number >= _ALMOST_ALL and name in _ALLOWANCES:
        return "~" + MAX  # what is left of an unlimited approval
    return unit.amount(number) if unit is not None and number >= 0 else str(number)
