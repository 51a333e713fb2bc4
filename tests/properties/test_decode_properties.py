"""What holds for every transaction: nothing raises, and simple kinds agree with a recount."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from decimal import Context, Decimal

import pytest
from eth_abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from ethtune.chain.calldata import LayoutMismatch, compile_type, decode_fields
from ethtune.chain.case import open_case
from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.protocols import contracts, protocols
from ethtune.chain.signatures import events, functions, read_asset
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.abi import split_types
from ethtune.core.intent import parse_intent
from ethtune.core.transaction import InternalTransfer, Log, Transaction

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


BUILT_IN = {row[0]: row for row in read_asset("tokens.csv")}
SYMBOLS = Counter(row[1].lower() for row in BUILT_IN.values())
APPROVAL_TOPIC = "0x" + keccak(b"Approval(address,address,uint256)").hex()
FOR_ALL_TOPIC = "0x" + keccak(b"ApprovalForAll(address,address,bool)").hex()
SINGLE_TOPIC = "0x" + keccak(b"TransferSingle(address,address,address,uint256,uint256)").hex()
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
WRAPPING_TOPICS = {
    "0x" + keccak(b"Deposit(address,uint256)").hex(): "wrap",
    "0x" + keccak(b"Withdrawal(address,uint256)").hex(): "unwrap",
}


def asset_of(token: str) -> str:
    row = BUILT_IN.get(token)
    return row[1] if row and re.fullmatch(r"[A-Za-z0-9$._+-]{1,24}", row[1]) else token


def shown(token: str, raw: int, decimals: int | None = None) -> dict[str, str]:
    """An amount by the decimal module instead of by digits."""
    row = BUILT_IN.get(token)
    places = decimals if decimals is not None else int((row and row[2]) or 0)
    scaled = Context(prec=200).scaleb(Decimal(raw), -places)
    text = f"{scaled:f}"
    return {
        "asset": token if decimals is not None else asset_of(token),
        "amount": text.rstrip("0").rstrip(".") if "." in text else text,
    }


def words_of(hexadecimal: str, start: int) -> list[int]:
    return [int(hexadecimal[i : i + 64], 16) for i in range(start, len(hexadecimal) - 63, 64)]


def account(word: int) -> str:
    return f"0x{word:040x}"


def plain_kind(given: Transaction) -> dict | None:
    """What a plain payment, token call, approval or wrap comes to, from raw topics and digits.

    None for everything else, and where more happened than the one event.
    """
    logs = given.logs or ()
    if given.status != 1 or given.to is None or given.to == given.sender:
        return None
    if not logs and given.calldata == "0x" and given.to not in contracts():
        sent = [shown("ETH", given.value_wei, 18)] if given.value_wei else []
        return plain("transfer", "ethereum", sent=sent, recipient=given.to)
    if len(logs) != 1 or logs[0].address != given.to:
        return None
    topic, *indexed = (int(item, 16) for item in logs[0].topics)
    topic_text, numbers = f"0x{topic:064x}", [*indexed, *words_of(logs[0].data, 2)]
    arguments = words_of(given.calldata, 10)
    if given.to == WETH and topic_text in WRAPPING_TOPICS:
        return wrapping(given, WRAPPING_TOPICS[topic_text], numbers)
    if given.value_wei:
        return None
    reader = SIMPLE.get((given.selector, topic_text))
    return reader(given, arguments, len(indexed), numbers) if reader else None


def plain(action: str, protocol: str | None, **rest: object) -> dict:
    keys = {"action": action, "protocol": protocol, "outcome": "success", **rest}
    return {key: value for key, value in keys.items() if value not in (None, [])}


def wrapping(given: Transaction, action: str, numbers: list[int]) -> dict | None:
    calls = {"wrap": ("0x", "0xd0e30db0"), "unwrap": ("0x2e1a7d4d",)}[action]
    if given.calldata[:10] not in calls or account(numbers[0]) != given.sender:
        return None
    if action == "wrap" and numbers[1] != given.value_wei:
        return None
    ether, weth = shown("ETH", numbers[1], 18), shown(WETH, numbers[1])
    sides = (ether, weth) if action == "wrap" else (weth, ether)
    sent, received = ([side] if numbers[1] else [] for side in sides)
    return plain(action, "weth", sent=sent, received=received)


def moved_token(given: Transaction, arguments: list[int], topics: int, numbers: list[int]):
    source, to, what = numbers
    told = arguments[0 if given.selector == "0xa9059cbb" else 1]
    if account(source) != given.sender or source == to or told != to:
        return None
    is_safe = given.selector in ("0x42842e0e", "0xb88d4fde")
    if topics == 3 or is_safe or BUILT_IN.get(given.to, ["", "", "", ""])[3] == "erc721":
        sent = [{"asset": asset_of(given.to), "token_id": str(what)}]
        return plain("nft_transfer", "erc721", sent=sent, recipient=account(to))
    sent = [shown(given.to, what)] if what else []
    return plain("transfer", "erc20", sent=sent, recipient=account(to))


def moved_single(given: Transaction, arguments: list[int], topics: int, numbers: list[int]):
    _, source, to, token_id, count = numbers
    if account(source) != given.sender or source == to:
        return None
    item = {"asset": asset_of(given.to), "amount": str(count), "token_id": str(token_id)}
    if count == 1:
        del item["amount"]
    sent = [item] if count else []
    return plain("nft_transfer", "erc1155", sent=sent, recipient=account(to))


def approved_token(given: Transaction, arguments: list[int], topics: int, numbers: list[int]):
    owner, spender, what = numbers
    if account(owner) != given.sender or [spender, what] != arguments[:2] or owner == spender:
        return None
    is_nft = topics == 3 or BUILT_IN.get(given.to, ["", "", "", ""])[3] == "erc721"
    someone = account(spender) if spender else None
    if is_nft:
        approved = [{"asset": asset_of(given.to), "token_id": str(what)}]
        action = "approve" if spender else "revoke_approval"
        return plain(action, "erc721", approved=approved, spender=someone)
    approved = [
        {"asset": asset_of(given.to), "amount": "unlimited"}
        if what == 2**256 - 1
        else shown(given.to, what)
    ]
    return plain(
        "approve" if what else "revoke_approval", "erc20", approved=approved, spender=someone
    )


def approved_all(given: Transaction, arguments: list[int], topics: int, numbers: list[int]):
    owner, operator, flag = numbers
    if account(owner) != given.sender or owner == operator or not operator:
        return None
    row = BUILT_IN.get(given.to)
    approved = [{"asset": asset_of(given.to), "amount": "unlimited" if flag else "0"}]
    action = "approve" if flag else "revoke_approval"
    return plain(action, row[3] if row else None, approved=approved, spender=account(operator))


SIMPLE = {
    ("0xa9059cbb", TRANSFER_TOPIC): moved_token,
    ("0x23b872dd", TRANSFER_TOPIC): moved_token,
    ("0x42842e0e", TRANSFER_TOPIC): moved_token,
    ("0xb88d4fde", TRANSFER_TOPIC): moved_token,
    ("0xf242432a", SINGLE_TOPIC): moved_single,
    ("0x095ea7b3", APPROVAL_TOPIC): approved_token,
    ("0xa22cb465", FOR_ALL_TOPIC): approved_all,
}


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


def test_plain_kinds_of_all_real_rows_agree_with_a_recount(real_data):
    """Every real row in both views; those of plain kinds must come to exactly what is recounted."""
    seen: Counter[str] = Counter()
    recounted: Counter[str] = Counter()
    with gzip.open(real_data / "mainnet_receipts.jsonl.gz", "rt") as lines:
        for line in lines:
            transaction = from_row(json.loads(line))
            intent = decode(describe(transaction, REGISTRY))
            decode(describe(transaction.before_signing(), REGISTRY))
            seen[intent.action] += 1
            expected = plain_kind(transaction)
            if expected is not None:
                recounted[expected["action"]] += 1
                assert intent.as_dict() == expected, transaction.hash
    assert {"transfer", "swap", "approve", "mint", "nft_trade", "unknown"} <= set(seen)
    assert seen["unknown"] < sum(seen.values()) / 5
    least = {"transfer": 8000, "approve": 1000, "nft_transfer": 80, "wrap": 50, "unwrap": 50}
    assert all(recounted[action] >= count for action, count in least.items()), recounted


@given(
    st.sampled_from(["0xa9059cbb", "0x23b872dd", "0x42842e0e", "0xf242432a", "0x095ea7b3",
                     "0xa22cb465", "0xd0e30db0", "0x2e1a7d4d", ""]),
    st.sampled_from([*[*BUILT_IN][:40], "0x" + "3" * 40, WETH]),
    st.one_of(st.just(2**256 - 1), st.just(0), numbers),
    st.booleans(),
)  # fmt: skip
def test_plain_kinds_agree_with_a_recount(selector, token, number, is_nft):
    """Honest tokens: one event that reports what the call asks for."""
    me, you = ("0x" + digit * 40 for digit in "12")
    words = {account: account[2:].rjust(64, "0") for account in (me, you)}
    value = f"{number:064x}"
    flag, short = f"{number % 2:064x}", f"{number % 2**200:064x}"
    layouts = {
        "0xa9059cbb": ((words[you], value), TRANSFER_TOPIC, (me, you), value),
        "0x23b872dd": ((words[me], words[you], value), TRANSFER_TOPIC, (me, you), value),
        "0x42842e0e": ((words[me], words[you], value), TRANSFER_TOPIC, (me, you), value),
        "0xf242432a": (
            (words[me], words[you], short, value, f"{160:064x}", "0" * 64),
            SINGLE_TOPIC, (me, me, you), short + value,
        ),
        "0x095ea7b3": ((words[you], value), APPROVAL_TOPIC, (me, you), value),
        "0xa22cb465": ((words[you], flag), FOR_ALL_TOPIC, (me, you), flag),
        "0xd0e30db0": ((), next(iter(WRAPPING_TOPICS)), (me,), value),
        "0x2e1a7d4d": ((value,), [*WRAPPING_TOPICS][1], (me,), value),
    }  # fmt: skip
    if selector == "":
        plain_payment = Transaction("0x" + "f" * 64, me, "0x" + "3" * 40, number, "0x", 1, ())
        check_plain(plain_payment)
        return
    arguments, topic, indexed, data = layouts[selector]
    target = WETH if topic in WRAPPING_TOPICS else token
    topics = (topic, *("0x" + words[item] for item in indexed))
    if is_nft and selector in ("0x23b872dd", "0x42842e0e"):
        topics, data = (*topics, "0x" + data), ""
    wei = number if selector == "0xd0e30db0" else 0
    event = Log(target, topics, "0x" + data, 0)
    call = selector + "".join(arguments)
    check_plain(Transaction("0x" + "f" * 64, me, target, wei, call, 1, (event,)))


def check_plain(given: Transaction) -> None:
    expected = plain_kind(given)
    if expected is not None:
        assert decode(describe(given, REGISTRY)).as_dict() == expected


def nested(depth: int) -> str:
    """A multicall in a multicall in a multicall…"""
    data = bytes.fromhex("12210e8a")
    for _ in range(depth):
        head = (32).to_bytes(32, "big") + (1).to_bytes(32, "big") + (32).to_bytes(32, "big")
        padding = bytes(-len(data) % 32)
        data = bytes.fromhex("ac9650d8") + head + len(data).to_bytes(32, "big") + data + padding
    return "0x" + data.hex()


@pytest.mark.parametrize(
    "calldata",
    [
        nested(2000),
        "0xac9650d8" + encode(["bytes[]"], [[b"\x12\x21\x0e\x8a"] * 20_000]).hex(),
        "0x8d80ff0a" + encode(["bytes"], [bytes(85) * 20_000]).hex(),
        "0x88d695b2"
        + encode(["address[]", "uint256[]"], [["0x" + "1" * 40] * 20_000, [7] * 20_000]).hex(),
    ],
    ids=["calls in calls", "many calls", "a long batch", "long arrays"],
)
def test_data_that_no_one_would_read_takes_bounded_time(calldata):
    started = time.perf_counter()
    for to in ("0x" + "3" * 40, "0xe592427a0aece92de3edee1f18e0157c05861564"):
        decode(
            describe(
                Transaction("0x" + "f" * 64, "0x" + "1" * 40, to, 5, calldata, 1, ()), REGISTRY
            )
        )
    assert time.perf_counter() - started < 10


@given(st.sampled_from(sorted(functions())), st.data())
def test_damaged_calls_of_known_functions_become_intents(selector, data):
    signature = functions()[selector]
    types = [parameter.type for parameter in signature.parameters]
    body = bytearray(encode(types, [some(abi_type) for abi_type in types]))
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    to = data.draw(accounts)
    given_ = Transaction(
        "0x" + "f" * 64, "0x" + "1" * 40, to, 5, selector + bytes(body[:cut]).hex(), 1, ()
    )
    for view in (given_, given_.before_signing()):
        decode(describe(view, REGISTRY))


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
