"""The call of a trade in; what it sells, at least buys, and for whom, out.

Aggregators spell the same few things in many ways. Names of arguments tell them, at any depth of
structs; zero and the usual placeholder stand for ether.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ethtune.chain.actors import Call
from ethtune.chain.describe import path_tokens
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.protocols import NATIVE
from ethtune.core.abi import Parameter, parse_parameters
from ethtune.core.described import Value

NATIVE_PLACEHOLDER = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

_SOLD = (
    "srcToken", "fromToken", "tokenFrom", "inputToken", "tokenIn", "sellToken",
    "sendingAssetId", "token",
)  # fmt: skip
_SOLD_AMOUNTS = (
    "inputTokenAmount", "fromTokenAmount", "fromAmount", "amountIn", "sellAmount", "inputAmount",
    "amount",
)  # fmt: skip
_BOUGHT = (
    "dstToken", "destToken", "toToken", "outputToken", "tokenOut", "buyToken", "receivingAssetId",
)  # fmt: skip
_LEAST = (
    "minReturnAmount", "minReturn", "minOutputTokenAmount", "outputMin", "minAmountOut",
    "toAmount", "amountOutMin", "minBuyAmount", "buyAmount",
)  # fmt: skip
_PAYEES = (
    "dstReceiver", "beneficiary", "outputReceiver", "recipient", "receiver", "to",
)  # fmt: skip
_PATHS = ("tokens", "path")
_PACKED_PATH = "encodedPath"
_FOR_ETHER = "sellTokenForEth"
_ADDRESS_DIGITS = 42


@dataclass(frozen=True, slots=True)
class Trade:
    """None where the call does not say; ``payee`` is None for the caller."""

    sold: str | None
    sold_raw: int
    bought: str | None
    least_raw: int
    payee: str | None


def read_trade(call: Call) -> Trade:
    """From the call's own arguments and, where it only carries a trade, from the carried call."""
    values = dict(_named(call))
    path = _path(values)
    sold, bought = _token(values, _SOLD), _token(values, _BOUGHT)
    if len(path) > 1 and all(isinstance(item, str) for item in path):
        sold, bought = sold or _asset(str(path[0])), bought or _asset(str(path[-1]))
    if (call.function or "").startswith(_FOR_ETHER):
        bought = NATIVE
    payee = next((values[name] for name in _PAYEES if name in values), None)
    is_other = isinstance(payee, str) and len(payee) == _ADDRESS_DIGITS and payee != ZERO_ADDRESS
    return Trade(
        sold,
        _number(values, _SOLD_AMOUNTS),
        bought,
        _number(values, _LEAST),
        str(payee) if is_other else None,
    )


def is_ether(token: str) -> bool:
    """Zero and the placeholder."""
    return token in (ZERO_ADDRESS, NATIVE_PLACEHOLDER)


def _named(call: Call) -> Iterator[tuple[str, Value]]:
    """Values by name, those of the outer call last, for they win."""
    if call.function == "exec":  # hands the sold token on to the call in it
        for inner in call.inner[:1]:
            for argument in inner.arguments:
                yield argument.name, argument.value
    if call.signature is not None:
        for parameter in parse_parameters(call.signature):
            if not parameter.is_struct:
                yield from _opened(parameter, call.arguments.get(parameter.name))
                continue
            for member in parameter.members:
                yield from _opened(member, call.arguments.get(member.name))


def _opened(parameter: Parameter, value: Value | None) -> Iterator[tuple[str, Value]]:
    if value is None:
        return
    if parameter.is_struct and not isinstance(value, str):
        for member, item in zip(parameter.members, value, strict=True):
            yield from _opened(member, item)
    else:
        yield parameter.name, value


def _path(values: Mapping[str, Value]) -> tuple[Value, ...]:
    packed = values.get(_PACKED_PATH)
    if isinstance(packed, str):
        return tuple("0x" + digits for digits in path_tokens(packed))
    paths = (values.get(name) for name in _PATHS)
    return next((path for path in paths if isinstance(path, tuple)), ())


def _token(values: Mapping[str, Value], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = values.get(name)
        if isinstance(value, str):
            return _asset(f"0x{int(value):040x}" if value.isdecimal() else value)
    return None


def _asset(token: str) -> str | None:
    if len(token) != _ADDRESS_DIGITS:
        return None  # a number with flags beside the address
    return NATIVE if is_ether(token) else token


def _number(values: Mapping[str, Value], names: tuple[str, ...]) -> int:
    text = next((values[name] for name in names if isinstance(values.get(name), str)), "0")
    return int(str(text)) if str(text).isdecimal() else 0
