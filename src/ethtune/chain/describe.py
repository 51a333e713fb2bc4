"""A transaction in, the same with names, arguments, inner calls, events and tokens out.

Judgement-free and total: what does not fit a known layout is left as it is, nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.logs import decode_log
from ethtune.chain.signatures import Signature, commands, functions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.described import Argument, DecodedCall, DescribedTransaction, Token, Value
from ethtune.core.transaction import Transaction

_NESTED_CALLS_MAX = 256
_HOP = 46  # hex digits of a token and a fee in a packed Uniswap V3 path
_PATH_NAMES = ("path", "encodedPath")
_BATCH_HEAD = 170  # hex digits before the data of one call in a Safe's batch
_COMMAND_MASK = 0x3F  # the top bit allows a command to fail, the next is reserved


def describe(transaction: Transaction, registry: TokenRegistry) -> DescribedTransaction:
    """Everything about a transaction that follows from its data without judgement."""
    is_call = transaction.to is not None  # else the data is a contract's code
    signature, arguments = _read_call(transaction.calldata) if is_call else (None, ())
    calls = tuple(_inner_calls(signature, arguments)) if arguments else ()
    return DescribedTransaction(
        transaction,
        signature.name if signature else None,
        arguments,
        calls,
        tuple(decode_log(log) for log in transaction.logs or ()),
        _tokens(transaction, arguments, calls, registry),
        signature.text if signature else None,
    )


def _read_call(calldata: str) -> tuple[Signature | None, tuple[Argument, ...]]:
    signature = functions().get(calldata[:10])
    return signature, signature.decode(calldata[10:]) if signature else ()


def _inner_calls(
    signature: Signature | None, arguments: tuple[Argument, ...]
) -> Iterator[DecodedCall]:
    if signature is None:
        return
    values = {argument.name: argument.value for argument in arguments}
    if signature.name == "multicall":
        for data in values["data"][:_NESTED_CALLS_MAX]:
            yield _decoded_call(str(data))
    elif signature.name == "execute" and "commands" in values:
        yield from _router_commands(values)
    elif signature.name == "execTransaction":
        call = _decoded_call(str(values["data"]), str(values["to"]), int(str(values["value"])))
        packed = {argument.name: argument.value for argument in call.arguments}.get("transactions")
        yield from (call,) if packed is None else _batched_calls(str(packed))
    elif signature.name == "handleOps":
        for operation in values["ops"]:
            yield _account_call(str(operation[0]), str(operation[3]))


def _batched_calls(packed: str) -> Iterator[DecodedCall]:
    """A Safe's batch: operation, 1 byte; to, 20; value and length, 32 each; data; and again."""
    digits = packed[2:]
    position = 0
    while len(digits) - position >= _BATCH_HEAD:
        head = digits[position : position + _BATCH_HEAD]
        start = position + _BATCH_HEAD
        position = start + 2 * int(head[106:], 16)
        yield _decoded_call("0x" + digits[start:position], "0x" + head[2:42], int(head[42:106], 16))


def _account_call(account: str, calldata: str) -> DecodedCall:
    """What a smart account was told to do: most have ``execute`` with one call in it."""
    outer = _decoded_call(calldata, account)
    values = {argument.name: argument.value for argument in outer.arguments}
    if outer.function == "execute" and "func" in values:
        return _decoded_call(str(values["func"]), str(values["dest"]), int(str(values["value"])))
    return outer


def _decoded_call(calldata: str, target: str | None = None, value_wei: int = 0) -> DecodedCall:
    signature, arguments = _read_call(calldata)
    if signature is None:
        return DecodedCall(None, (), target, value_wei)
    return DecodedCall(signature.name, arguments, target, value_wei, signature.text)


def _router_commands(values: dict[str, Value]) -> Iterator[DecodedCall]:
    codes = bytes.fromhex(str(values["commands"])[2:])[:_NESTED_CALLS_MAX]
    for code, data in zip(codes, values["inputs"], strict=False):
        signature = commands().get(f"{code & _COMMAND_MASK:02x}")
        if signature is None:
            yield DecodedCall(None)
        else:
            arguments = signature.decode(str(data)[2:])
            yield DecodedCall(signature.name, arguments, signature=signature.text)


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
    for call in calls:
        digits.extend(_path_tokens(call.arguments))
        for argument in call.arguments:
            digits.extend(item[2:] for item in _leaves(argument.value))
    return registry.among(digits)


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
