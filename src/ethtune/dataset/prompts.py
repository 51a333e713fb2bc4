"""A described transaction in, the text that the model reads out: minified JSON, facts only.

    {"to":"#1=0x7a25…","value":"0.5","call":"swapExactETHForTokens",
     "args":["1200 USDC",["WETH","USDC"],"sender","1650000000"],"status":"success",
     "logs":["WETH Deposit #1 0.5","USDC Transfer #2=0x… sender 1203.5"]}

Keys, absent where there is nothing to say: ``to``; ``value`` in ETH; ``call``, the function's name,
its selector, or both where the name does not tell the selector; ``args`` by their types or
``words`` of unknown layout, and ``tail`` behind them; ``created``, a new contract's code by length
and hash; ``status``; ``internal`` ether transfers, from, to, ETH; ``logs``.

The calldata can be restored from it byte by byte (``restoring``), the code of a new contract
excepted: megabytes that no model could read. Nothing in it is a judgement; neither action nor
protocol is ever named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from eth_hash.auto import keccak

from ethtune.core.abi import Parameter
from ethtune.core.described import Argument, DecodedCall, DescribedTransaction
from ethtune.core.units import scale_amount
from ethtune.dataset.addresses import NATIVE, AddressNames, number_repeats
from ethtune.dataset.amounts import AmountUnits
from ethtune.dataset.encoding import encode_arguments, parameters_of
from ethtune.dataset.loglines import log_lines
from ethtune.dataset.values import Json, ValueWriter
from ethtune.dataset.words import write_words

PROMPT_VERSION = 1
INSTRUCTION = "Decode this Ethereum transaction into its intent."

# Known functions with overloads whose arguments may read the same, an empty array for one.
OVERLOADED_ALIKE = frozenset({
    "deposit", "exchange", "handleOps", "remove_liquidity_one_coin", "swap", "unoswap",
})  # fmt: skip

_SELECTOR_DIGITS = 8
_CODE_HASH_DIGITS = 8


def render(described: DescribedTransaction) -> str:
    """The model's input; same bytes for the same transaction and tokens."""
    transaction = described.transaction
    names = AddressNames(transaction.sender, described.tokens)
    plain: dict[str, Any] = {}
    if transaction.to is not None:
        plain["to"] = names.write(transaction.to)
    if transaction.value_wei:
        plain["value"] = _ether(transaction.value_wei)
    if transaction.to is None:
        plain["created"] = _code_summary(transaction.calldata)
    else:
        plain |= _call(described, names)
    if transaction.status is not None:
        plain["status"] = "success" if transaction.status else "failed"
    internal = [
        f"{names.write(moved.sender)} {names.write(moved.to)} {_ether(moved.value_wei)}"
        for moved in transaction.internal_transfers or ()
        if moved.to is not None and moved.value_wei
    ]
    if internal:
        plain["internal"] = internal
    lines = log_lines(described.events, names, described.tokens)
    if lines:
        plain["logs"] = lines
    text = json.dumps(plain, separators=(",", ":"), ensure_ascii=False)
    # A "#" of the transaction's own texts must not look like one of our references.
    return number_repeats(text.replace("#", "\\u0023"))


def _ether(wei: int) -> str:
    return scale_amount(wei, NATIVE.decimals or 0)


def _code_summary(code: str) -> str:
    digest = sha256(bytes.fromhex(code[2:])).hexdigest()
    return f"{len(code) // 2 - 1} bytes 0x{digest[:_CODE_HASH_DIGITS]}"


def _call(described: DescribedTransaction, names: AddressNames) -> dict[str, Any]:
    """The calldata under ``call``, ``args`` or ``words``, and ``tail``."""
    digits = described.transaction.calldata[2:]
    if not digits:
        return {}
    selector, data = digits[:_SELECTOR_DIGITS], digits[_SELECTOR_DIGITS:]
    name = described.function
    if name is None:
        return _unknown_layout(f"0x{selector}", data, names)
    if not described.arguments:
        is_told = not data and _selector_without_arguments(name) == selector
        return {"call": name} if is_told else _unknown_layout(f"{name} 0x{selector}", data, names)
    parameters = parameters_of(described.signature, described.arguments)
    encoded = encode_arguments(parameters, described.arguments)
    if not data.startswith(encoded):
        return _unknown_layout(f"{name} 0x{selector}", data, names)
    call = f"{name} 0x{selector}" if name in OVERLOADED_ALIKE else name
    plain = {"call": call, "args": _arguments(described, parameters, names)}
    tail = write_words(bytes.fromhex(data[len(encoded) :]), names)
    return plain | ({"tail": tail} if tail else {})


def _unknown_layout(call: str, data: str, names: AddressNames) -> dict[str, Any]:
    words = write_words(bytes.fromhex(data), names)
    return {"call": call} | ({"words": words} if words else {})


@cache
def _selector_without_arguments(name: str) -> str:
    return keccak(f"{name}()".encode())[:4].hex()


def _arguments(
    described: DescribedTransaction, parameters: Sequence[Parameter], names: AddressNames
) -> list[Json]:
    units = AmountUnits(
        described.function or "", described.arguments, described.transaction.to, described.tokens
    )
    writer = ValueWriter(names, units)
    carrier = _carrier(described)
    return [
        _inner_calls(described, argument, writer, names)
        if argument is carrier
        else writer.write(argument, members)
        for argument, members in _with_members(parameters, described.arguments)
    ]


def _with_members(
    parameters: Sequence[Parameter], arguments: Sequence[Argument]
) -> Iterator[tuple[Argument, Sequence[Parameter]]]:
    """Each argument with the fields of the structs in it."""
    listed = (item for parameter in parameters for item in parameter.opened)
    for argument, parameter in zip(arguments, listed, strict=True):
        yield argument, parameter.members


def _carrier(described: DescribedTransaction) -> Argument | None:
    """The argument whose bytes hold the inner calls, one each and in their order."""
    count = len(described.calls)
    for argument in described.arguments:
        if argument.type == "bytes[]" and len(argument.value) == count:
            return argument
        if argument.type == "bytes" and argument.name == "data" and count == 1:
            return argument
    return None


def _inner_calls(
    described: DescribedTransaction,
    argument: Argument,
    writer: ValueWriter,
    names: AddressNames,
) -> Json:
    blobs = (argument.value,) if isinstance(argument.value, str) else argument.value
    written = [
        _inner_call(described, call, str(blob), names)
        or writer.write(Argument(argument.name, "bytes", blob))
        for call, blob in zip(described.calls, blobs, strict=True)
    ]
    return written[0] if isinstance(argument.value, str) else written


def _inner_call(
    described: DescribedTransaction, call: DecodedCall, blob: str, names: AddressNames
) -> Json | None:
    """Function and arguments; None unless they give exactly the bytes back."""
    if call.function is None or not call.arguments:
        return None
    parameters = parameters_of(call.signature, call.arguments)
    encoded = encode_arguments(parameters, call.arguments)
    if encoded not in (blob[2:], blob[2 + _SELECTOR_DIGITS :]):
        return None
    contract = call.target or described.transaction.to
    writer = ValueWriter(
        names, AmountUnits(call.function, call.arguments, contract, described.tokens)
    )
    is_alike = call.function in OVERLOADED_ALIKE
    return [
        f"{call.function} {blob[: 2 + _SELECTOR_DIGITS]}" if is_alike else call.function,
        *(writer.write(*pair) for pair in _with_members(parameters, call.arguments)),
    ]
