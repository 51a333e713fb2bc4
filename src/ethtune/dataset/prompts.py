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
from hashlib import sha256
from typing import Any

from ethtune.core.described import DecodedCall, DescribedTransaction
from ethtune.core.units import scale_amount
from ethtune.dataset.addresses import NATIVE, AddressNames, number_repeats
from ethtune.dataset.calls import CallWriter, call_head, selector_without_arguments
from ethtune.dataset.encoding import encode_arguments, parameters_of
from ethtune.dataset.loglines import log_lines
from ethtune.dataset.words import write_words

PROMPT_VERSION = 2
INSTRUCTION = "Decode this Ethereum transaction into its intent."

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_WRAPPERS = ("execTransaction", "handleOps")
_SELECTOR_DIGITS = 8
_CODE_HASH_DIGITS = 8


def render(described: DescribedTransaction) -> str:
    """The model's input; same bytes for the same transaction and tokens."""
    transaction = described.transaction
    names = AddressNames(_actor(described), described.tokens)
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
    text = _to_json(plain)
    # A "#" of the transaction's own texts must not look like one of our references.
    return number_repeats(text.replace("#", "\\u0023"))


def _actor(described: DescribedTransaction) -> str:
    """The sender, unless an account acts for which the sender only pays the gas: then nobody."""
    is_wrapped = bool(described.calls) and described.function in _WRAPPERS
    return "" if is_wrapped else described.transaction.sender


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
        is_told = not data and selector_without_arguments(name) == f"0x{selector}"
        return {"call": name} if is_told else _unknown_layout(f"{name} 0x{selector}", data, names)
    parameters = parameters_of(described.signature, described.arguments)
    encoded = encode_arguments(parameters, described.arguments)
    if not data.startswith(encoded):
        return _unknown_layout(f"{name} 0x{selector}", data, names)
    call = DecodedCall(name, described.arguments, calls=described.calls)
    writer = CallWriter(names, described.tokens)
    arguments = writer.arguments(call, parameters, described.transaction.to)
    plain: dict[str, Any] = {"call": call_head(name, f"0x{selector}"), "args": arguments}
    tail = write_words(bytes.fromhex(data[len(encoded) :]), names)
    return plain | ({"tail": tail} if tail else {})


def _unknown_layout(call: str, data: str, names: AddressNames) -> dict[str, Any]:
    words = write_words(bytes.fromhex(data), names)
    return {"call": call} | ({"words": words} if words else {})
