"""A transaction in, the same with names, arguments, inner calls, events and tokens out.

Judgement-free and total: what does not fit a known layout is left as it is, nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ethtune.chain.logs import decode_log
from ethtune.chain.nested import nested_calls, read_call
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.described import Argument, DecodedCall, DescribedTransaction, Token, Value
from ethtune.core.transaction import Transaction

_HOP = 46  # hex digits of a token and a fee in a packed Uniswap V3 path
_PATH_NAMES = ("path", "encodedPath")


def describe(transaction: Transaction, registry: TokenRegistry) -> DescribedTransaction:
    """Everything about a transaction that follows from its data without judgement."""
    is_call = transaction.to is not None  # else the data is a contract's code
    signature, arguments = read_call(transaction.calldata) if is_call else (None, ())
    calls = nested_calls(signature.name, arguments, transaction.to) if signature else ()
    return DescribedTransaction(
        transaction,
        signature.name if signature else None,
        arguments,
        calls,
        tuple(decode_log(log) for log in transaction.logs or ()),
        _tokens(transaction, arguments, calls, registry),
        signature.text if signature else None,
    )


def _tokens(
    transaction: Transaction,
    arguments: tuple[Argument, ...],
    calls: tuple[DecodedCall, ...],
    registry: TokenRegistry,
) -> dict[str, Token]:
    if transaction.chain_id != registry.chain_id:
        return {}
    digits = list(_words(transaction.calldata, 10))
    if transaction.to is not None:
        digits.append(transaction.to[2:])
    for log in transaction.logs or ():
        digits.append(log.address[2:])
        digits.extend(topic[26:] for topic in log.topics)
        digits.extend(_words(log.data, 2))
    digits.extend(_path_tokens(arguments))
    for call in every_call(calls):
        if call.target is not None:
            digits.append(call.target[2:])
        digits.extend(_path_tokens(call.arguments))
        for argument in call.arguments:
            digits.extend(item[2:] for item in _leaves(argument.value))
    return registry.among(digits)


def every_call(calls: Iterable[DecodedCall]) -> Iterator[DecodedCall]:
    """Calls and those within them, outer ones first."""
    for call in calls:
        yield call
        yield from every_call(call.calls)


def _words(data: str, start: int) -> list[str]:
    return [data[at + 24 : at + 64] for at in range(start, len(data) - 63, 64)]


def _leaves(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for item in value:
            yield from _leaves(item)


def _path_tokens(arguments: tuple[Argument, ...]) -> Iterator[str]:
    for argument in arguments:
        if argument.type == "bytes" and argument.name in _PATH_NAMES:
            yield from path_tokens(str(argument.value))


def path_tokens(path: str) -> list[str]:
    """Addresses' hex digits in a packed path: token, 3-byte fee, token, …; empty if it is none."""
    digits = path[2:]
    if len(digits) % _HOP != 40 or len(digits) <= _HOP:
        return []
    return [digits[at : at + 40] for at in range(0, len(digits), _HOP)]
