"""Rendering loses nothing of the calldata: whatever it was, the prompt gives it back."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from itertools import islice

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ethtune.chain.describe import describe
from ethtune.chain.signatures import Signature, commands, functions, parse_signature
from ethtune.chain.sources import read_transactions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.abi import split_types
from ethtune.core.transaction import Transaction
from ethtune.dataset.addresses import AddressNames, expand_repeats, number_repeats
from ethtune.dataset.calls import call_head
from ethtune.dataset.encoding import encode_arguments
from ethtune.dataset.prompts import render
from ethtune.dataset.restoring import restore_calldata
from ethtune.dataset.words import read_words, write_words

REGISTRY = TokenRegistry()
SENDER = "0x" + "11" * 20
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"

SIGNATURES = defaultdict(list)
for _selector, _signature in functions().items():
    SIGNATURES[_signature.name].append((_selector, _signature.canonical))
for _signature in commands().values():
    SIGNATURES[_signature.name].append(("0x", _signature.canonical))

addresses = st.one_of(
    st.sampled_from([SENDER, USDC, WETH, "0x" + "00" * 20, "0x" + "ee" * 20, "0x" + "22" * 20]),
    st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
)
numbers = st.one_of(
    st.integers(0, 100), st.integers(0, 2**256 - 1), st.sampled_from([2**256 - 1, 10**18])
)
words = st.one_of(
    addresses.map(lambda text: bytes.fromhex(text[2:]).rjust(32, b"\0")),
    numbers.map(lambda number: number.to_bytes(32, "big")),
    st.binary(max_size=32).map(lambda raw: raw.ljust(32, b"\0")),
)


@st.composite
def blobs(draw: st.DrawFn, depth: int = 2) -> bytes:
    """Words, some of them a length with a call behind it, and a few odd bytes."""
    parts = draw(st.lists(words, max_size=5))
    if depth and draw(st.booleans()):
        inner = draw(st.binary(min_size=4, max_size=4)) + draw(blobs(depth=depth - 1))
        parts += [len(inner).to_bytes(32, "big"), inner + bytes(-len(inner) % 32)]
    return b"".join(parts) + draw(st.binary(max_size=3))


def values(abi_type: str) -> st.SearchStrategy:
    """Anything that the ABI type can hold."""
    if array := re.fullmatch(r"(.+)\[(\d*)\]", abi_type):
        size = {"min_size": int(array[2]), "max_size": int(array[2])} if array[2] else {}
        return st.lists(values(array[1]), **{"max_size": 3, **size})
    if abi_type.startswith("("):
        return st.tuples(*map(values, split_types(abi_type[1:-1])))
    if abi_type in ("address", "bool", "string", "bytes"):
        return {
            "address": addresses,
            "bool": st.booleans(),
            "string": st.text(st.characters(codec="utf-8"), max_size=12)
            | st.sampled_from(["#1", "sender", USDC]),
            "bytes": blobs(),
        }[abi_type]
    kind, size = re.fullmatch(r"([a-z]+)(\d+)", abi_type).groups()
    if kind == "bytes":
        return st.binary(max_size=int(size)).map(lambda raw: raw.ljust(int(size), b"\0"))
    low, high = (0, 2 ** int(size) - 1) if kind == "uint" else (-(2 ** (int(size) - 1)), 2**7 - 1)
    return st.integers(low, high) | st.just(high)


ODD_LAYOUTS = [
    parse_signature("nested((uint8 a,string[] b)[2][] c,(bool d,(int24 e,bytes f)[] g) h)"),
    parse_signature("fixed((address a,bytes3[2] b) c,int256[][] d,string[2] e,bytes32 f)"),
]


@st.composite
def encoded_calls(draw: st.DrawFn) -> tuple[Signature, str]:
    signature = draw(st.sampled_from([*functions().values(), *ODD_LAYOUTS]))
    types = [parameter.type for parameter in signature.parameters]
    return signature, encode(types, draw(st.tuples(*map(values, types)))).hex()


@st.composite
def known_calls(draw: st.DrawFn) -> str:
    selector, signature = draw(st.sampled_from(sorted(functions().items(), key=lambda i: i[0])))
    types = [parameter.type for parameter in signature.parameters]
    arguments = draw(st.tuples(*map(values, types)))
    return selector + encode(types, arguments).hex() + draw(st.just("") | st.just("e26b9977"))


def restored(transaction: Transaction) -> str:
    described = describe(transaction, REGISTRY)
    return restore_calldata(
        render(described),
        sender=transaction.sender,
        tokens=described.tokens,
        signatures=SIGNATURES,
    )


def called(calldata: str, to: str = USDC) -> Transaction:
    return Transaction("0x" + "00" * 32, SENDER, to, 0, calldata)


@given(blobs())
def test_words_give_their_bytes_back(data: bytes) -> None:
    names = AddressNames(SENDER, REGISTRY.among([USDC[2:], WETH[2:]]))
    assert read_words(json.loads(json.dumps(write_words(data, names))), names) == data


@given(st.binary(max_size=4), blobs(), addresses)
def test_any_calldata_comes_back(head: bytes, data: bytes, to: str) -> None:
    transaction = called("0x" + (head + data).hex(), to)
    assert restored(transaction) == transaction.calldata


@given(encoded_calls())
def test_arguments_encode_as_eth_abi_does(call: tuple[Signature, str]) -> None:
    signature, digits = call
    arguments = signature.decode(digits)
    assert arguments or not digits
    assert encode_arguments(signature.parameters, arguments) == digits


@given(known_calls())
def test_calls_of_known_functions_come_back(calldata: str) -> None:
    assert restored(called(calldata)) == calldata


@given(st.lists(st.sampled_from(["a", '"', " ", "x0x" + "3" * 40, SENDER, USDC]), max_size=9))
def test_numbering_addresses_is_undone(parts: list[str]) -> None:
    text = "".join(parts)
    assert expand_repeats(number_repeats(text)) == text


def _coarse(abi_type: str) -> str:
    """Arrays without their items, for an empty one shows none."""
    return "[]" if abi_type.endswith("[]") else abi_type


def test_functions_of_one_name_can_be_told_apart() -> None:
    """By what their arguments look like, or by selector."""
    shapes = defaultdict(list)
    for selector, signature in functions().items():
        leaves = [
            re.sub(r"(address|bytes\d*)$", "hex", re.sub(r"u?int\d+", "int", _coarse(abi_type)))
            for parameter in signature.parameters
            for abi_type in (item.type for item in parameter.opened)
        ]
        shapes[signature.name, tuple(leaves)].append(selector)
    for (name, _), selectors in shapes.items():
        untold = [selector for selector in selectors if call_head(name, selector) == name]
        assert len(untold) <= 1, name


@pytest.mark.parametrize("name", ["mainnet_receipts.jsonl.gz", "mainnet_calldata.jsonl.gz"])
def test_real_calldata_comes_back(real_data, name: str) -> None:
    checked = 0
    for record in islice(read_transactions(real_data / name), 0, 60_000, 20):
        assert isinstance(record, Transaction)
        if record.to is not None:
            assert restored(record) == record.calldata, record.hash
            checked += 1
    assert checked > 900


def test_prompts_take_clearly_less_text_than_raw_json(real_data) -> None:
    raw = rendered = 0
    with gzip.open(real_data / "mainnet_receipts.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in islice(lines, 500)]
    for row in rows:
        kept = {key: row[key] for key in ("from", "to", "value", "input", "status", "logs")}
        raw += len(json.dumps(kept, separators=(",", ":")))
    for record in islice(read_transactions(real_data / "mainnet_receipts.jsonl.gz"), 500):
        rendered += len(render(describe(record, REGISTRY)))
    assert rendered < 0.4 * raw
