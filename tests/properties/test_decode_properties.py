"""What holds for every transaction: nothing raises, and simple kinds agree with a recount."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ethtune.chain.calldata import LayoutMismatch, compile_type, decode_fields
from ethtune.chain.case import open_case
from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.protocols import contracts, protocols
from ethtune.chain.signatures import events, functions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.abi import split_types
from ethtune.core.intent import parse_intent
from ethtune.core.transaction import InternalTransfer, Log, Transaction
from ethtune.core.units import unscale_amount

REGISTRY = TokenRegistry()
TRANSFER_TOPIC = next(
    topic0 for topic0, count in events() if events()[topic0, count].name == "Transfer"
)

accounts = st.sampled_from(
    ["0x" + "1" * 40, "0x" + "2" * 40, "0x" + "0" * 40, *list(contracts())[:8],
     "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"]
)  # fmt: skip
numbers = st.one_of(st.integers(0, 200), st.integers(0, 2**256 - 1))
words = st.one_of(
    accounts.map(lambda account: account[2:].rjust(64, "0")),
    numbers.map(lambda number: f"{number:064x}"),
)
digits = st.tuples(st.lists(words, max_size=14), st.binary(max_size=3)).map(
    lambda parts: "".join(parts[0]) + parts[1].hex()
)
calldata = st.one_of(
    st.just("0x"),
    st.binary(max_size=5).map(lambda data: "0x" + data.hex()),
    st.tuples(st.sampled_from(sorted(functions())), digits).map("".join),
)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    topic0, count = draw(st.sampled_from(sorted(events())))
    topics = draw(st.lists(words, min_size=count - 1, max_size=count - 1))
    known = (topic0, *("0x" + topic for topic in topics))
    given_topics = draw(st.sampled_from([known, known[:2], (*known, known[0])[:4], ()]))
    return Log(draw(accounts), given_topics, "0x" + draw(digits), 0)


transactions = st.builds(
    Transaction,
    hash=st.just("0x" + "f" * 64),
    sender=accounts,
    to=st.one_of(st.none(), accounts),
    value_wei=numbers,
    calldata=calldata,
    status=st.sampled_from([0, 1, None]),
    logs=st.one_of(st.none(), st.lists(logs(), max_size=5).map(tuple)),
    internal_transfers=st.one_of(
        st.none(),
        st.lists(st.builds(InternalTransfer, accounts, accounts, numbers), max_size=2).map(tuple),
    ),
    chain_id=st.sampled_from([1, 10]),
)


@given(transactions)
def test_any_transaction_becomes_an_intent_that_reads_back(transaction):
    for view in (transaction, transaction.before_signing()):
        intent = decode(describe(view, REGISTRY))
        assert parse_intent(intent.to_json()) == intent
        assert intent.protocol is None or intent.protocol in protocols()


def some(abi_type: str) -> object:
    """A value of any type; arrays have two items."""
    if array := re.fullmatch(r"(.+)\[(\d*)\]", abi_type):
        return [some(array[1])] * int(array[2] or 2)
    if abi_type.startswith("("):
        return tuple(map(some, split_types(abi_type[1:-1])))
    if abi_type.startswith("bytes"):
        return bytes(int(abi_type[5:] or 64))
    plain = {"address": "0x" + "2" * 40, "bool": True, "string": "name"}
    return plain.get(abi_type, 7)


def test_every_known_function_is_decoded_whichever_contract_is_called():
    by_role = {contract.role: address for address, contract in contracts().items()}
    for selector, signature in functions().items():
        types = [parameter.type for parameter in signature.parameters]
        data = selector + encode(types, [some(abi_type) for abi_type in types]).hex()
        for to in ("0x" + "3" * 40, *by_role.values()):
            signed = Transaction("0x" + "f" * 64, "0x" + "1" * 40, to, 5, data, 1, ())
            for view in (signed, signed.before_signing()):
                described = describe(view, REGISTRY)
                assert described.arguments or not types, signature.text
                decode(described)


@given(transactions)
def test_events_run_parallel_to_logs(transaction):
    described = describe(transaction, REGISTRY)
    assert [e.address for e in described.events] == [g.address for g in transaction.logs or ()]


scalars = {
    "uint256": st.integers(0, 2**256 - 1), "uint8": st.integers(0, 255),
    "int24": st.integers(-(2**23), 2**23 - 1), "int256": st.integers(-(2**255), 2**255 - 1),
    "address": st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex()),
    "bool": st.booleans(), "bytes4": st.binary(min_size=4, max_size=4),
    "bytes": st.binary(max_size=70), "string": st.text(max_size=40),
}  # fmt: skip


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[str, object]:
    shape = draw(
        st.sampled_from(["scalar", "scalar", "list", "fixed", "tuple"][: 5 if depth else 1])
    )
    if shape == "scalar":
        name = draw(st.sampled_from(sorted(scalars)))
        return name, draw(scalars[name])
    if shape == "tuple":
        parts = draw(st.lists(typed_values(depth - 1), min_size=1, max_size=3))
        return f"({','.join(t for t, _ in parts)})", tuple(v for _, v in parts)
    item, value = draw(typed_values(depth - 1))
    size = draw(st.integers(0 if shape == "list" else 1, 3))
    return f"{item}[{'' if shape == 'list' else size}]", [value] * size


def as_text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, (list, tuple)):
        return tuple(as_text(item) for item in value)
    return str(value)


@given(st.lists(typed_values(), min_size=1, max_size=4), st.binary(max_size=40))
def test_layouts_agree_with_the_general_codec(pairs, trailing):
    types, values = [t for t, _ in pairs], [v for _, v in pairs]
    data = encode(types, values).hex()
    codecs = [compile_type(item) for item in types]
    expected = tuple(as_text(value) for value in values)
    assert decode_fields(codecs, data) == expected
    assert decode_fields(codecs, data + trailing.hex()) == expected


@given(st.lists(typed_values(), min_size=1, max_size=3), st.data())
def test_truncated_heads_are_refused(pairs, data):
    codecs = [compile_type(item) for item, _ in pairs]
    encoded = encode([t for t, _ in pairs], [v for _, v in pairs]).hex()
    head = sum(codec.size for codec in codecs)
    cut = data.draw(st.integers(0, max(0, head - 1)))
    if head:
        with pytest.raises(LayoutMismatch):
            decode_fields(codecs, encoded[:cut])


def test_shared_offsets_cannot_unfold_to_more_than_the_data():
    many, size = 400, 400
    heads = "".join(f"{32 * many:064x}" for _ in range(many))
    array = f"{32:064x}{many:064x}" + heads + f"{size:064x}" + f"{7:064x}" * size
    with pytest.raises(LayoutMismatch):
        decode_fields([compile_type("uint256[][]")], array)


def recount(transaction: Transaction) -> Counter[str]:
    """Net of the sender in ERC-20 units straight from topics and data."""
    net: Counter[str] = Counter()
    for entry in transaction.logs or ():
        if len(entry.topics) == 3 and entry.topics[0] == TRANSFER_TOPIC and len(entry.data) == 66:
            value, source, to = int(entry.data, 16), *(f"0x{t[26:]}" for t in entry.topics[1:])
            net[entry.address] += value * (
                (to == transaction.sender) - (source == transaction.sender)
            )
    return net


def from_row(row: dict, *, with_trace: bool = False) -> Transaction:
    trace = row.get("internal_transfers")
    given_logs = [
        (g["address"], tuple(g["topics"]), g["data"], g["log_index"]) for g in row["logs"]
    ]
    return Transaction(
        row["hash"], row["from"], row["to"], int(row["value"]), row["input"], row["status"],
        tuple(Log(*item) for item in given_logs),
        tuple(InternalTransfer(t["from"], t["to"], int(t["value"])) for t in trace)
        if with_trace and trace is not None else None,
    )  # fmt: skip


def test_real_transfers_and_wraps_agree_with_a_recount(real_data):
    seen: Counter[str] = Counter()
    with gzip.open(real_data / "mainnet_receipts.jsonl.gz", "rt") as lines:
        for number, line in enumerate(lines):
            if number % 7:
                continue
            transaction = from_row(json.loads(line))
            intent = decode(describe(transaction, REGISTRY))
            seen[intent.action] += 1
            if transaction.status != 1 or intent.via:
                continue
            if intent.action == "transfer" and intent.protocol == "ethereum":
                is_own = transaction.to == transaction.sender
                value = 0 if is_own else transaction.value_wei
                assert [unscale_amount(m.amount, 18) for m in intent.sent] == [value] * bool(value)
            elif intent.action == "transfer":
                net = recount(transaction)
                token = REGISTRY.get(transaction.to)
                decimals = token.decimals if token else 0
                sent = {m.asset: unscale_amount(m.amount, decimals) for m in intent.sent}
                asset = token.asset if token else transaction.to
                assert sent.get(asset, 0) == max(0, -net[transaction.to])
            elif intent.action in ("wrap", "unwrap") and intent.protocol == "weth":
                assert [m.amount for m in intent.sent] == [m.amount for m in intent.received]
    assert {"transfer", "swap", "approve", "mint", "nft_trade", "unknown"} <= set(seen)
    assert seen["unknown"] < sum(seen.values()) / 4


def test_ether_told_without_a_trace_never_exceeds_the_trace(real_data):
    told = 0
    with gzip.open(real_data / "mainnet_receipts.jsonl.gz", "rt") as lines:
        for number, line in enumerate(lines):
            if number % 2 or '"internal_transfers"' not in line:
                continue
            row = json.loads(line)
            full, bare = (
                open_case(describe(from_row(row, with_trace=flag), REGISTRY))
                for flag in (True, False)
            )
            if row.get("internal_transfers") is not None:
                known, inferred = (case.net.get(("ETH", None), 0) for case in (full, bare))
                assert inferred <= known, row["hash"]
                told += inferred == known > -int(row["value"])
    assert told > 100
