"""What the model is given: short, exact, and never the answer."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from dataset_builders import (
    ALICE,
    SENDER,
    TOKENS,
    UNLISTED,
    USDC,
    WETH,
    selector,
    token_transfer,
    transaction,
)
from eth_abi import encode

from ethtune.core.described import Argument, DecodedCall, DecodedEvent, DescribedTransaction, Token
from ethtune.core.intent import ACTIONS
from ethtune.core.transaction import InternalTransfer
from ethtune.dataset.addresses import expand_repeats
from ethtune.dataset.prompts import INSTRUCTION, render


def test_a_token_transfer_reads_like_a_sentence() -> None:
    assert render(token_transfer(USDC, ALICE, 12_500_000)) == (
        '{"to":"USDC","call":"transfer","args":["#1=' + ALICE + '","12.5 USDC"],'
        '"status":"success","logs":["USDC Transfer sender #1 12.5"]}'
    )


def test_a_token_whose_symbol_is_not_its_own_is_its_address() -> None:
    text = render(token_transfer(UNLISTED, ALICE, 12_500_000))
    assert json.loads(text)["to"] == "#1=" + UNLISTED
    assert json.loads(text)["args"] == ["#2=" + ALICE, "12.5 #1"]


def test_plain_ether_is_recipient_and_amount() -> None:
    described = DescribedTransaction(transaction(value_wei=1, status=0, logs=()))
    assert render(described) == (
        '{"to":"' + ALICE + '","value":"0.000000000000000001","status":"failed"}'
    )


@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("max", "it means the greatest number"),
        ("sender", "it means the sender"),
        ("ETH", "it means ether"),
        ("12.5", "it reads as a number"),
        ("#1", "it reads as a reference"),
        ("a b", "it falls into two words"),
    ],
)
def test_a_symbol_that_reads_as_something_else_is_not_used(symbol: str, why: str) -> None:
    token = Token(USDC, symbol, 6, name_is_unique=True)
    described = DescribedTransaction(transaction(to=USDC), tokens={USDC: token})
    assert json.loads(render(described))["to"] == token.asset == USDC, why


def test_numbers_are_given_to_repeated_addresses_only() -> None:
    described = DescribedTransaction(
        transaction(
            status=1,
            internal_transfers=(
                InternalTransfer(ALICE, SENDER, 10**18),
                InternalTransfer(ALICE, UNLISTED, 5 * 10**17),
            ),
        )
    )
    plain = json.loads(render(described))
    assert plain["to"] == f"#1={ALICE}"
    assert plain["internal"] == ["#1 sender 1", f"#1 {UNLISTED} 0.5"]


def test_text_of_the_transaction_cannot_pose_as_a_reference() -> None:
    name = Argument("name", "string", "#1 vitalik")
    data = selector("setName(string)") + (
        "20".rjust(64, "0") + "0a".rjust(64, "0") + b"#1 vitalik".hex().ljust(64, "0")
    )
    described = DescribedTransaction(transaction(calldata=data), "setName", (name,))
    text = render(described)
    assert "#" not in text
    assert json.loads(expand_repeats(text))["args"] == ["#1 vitalik"]


def test_an_unknown_call_is_words_with_calls_inside_calls() -> None:
    inner = "a9059cbb" + ALICE[2:].rjust(64, "0") + "64".rjust(64, "0")
    data = "".join(
        [
            "20".rjust(64, "0"),
            f"{len(inner) // 2:064x}",
            inner.ljust(6 * 32, "0"),
            "f" * 64,
            "ff" * 31 + "fb",
            "1234".ljust(64, "0"),
            "abcd",
        ]
    )
    described = DescribedTransaction(transaction(to=WETH, calldata="0xdeadbeef" + data))
    assert json.loads(render(described)) == {
        "to": WETH,
        "call": "0xdeadbeef",
        "words": ["32", ["0xa9059cbb", ALICE, "100"], "max", "-5", "0x1234*", "+0xabcd"],
    }


def test_inner_calls_are_written_by_name_where_they_give_their_bytes_back() -> None:
    described = token_transfer(USDC, ALICE, 1_000_000)
    data = described.transaction.calldata
    call = DecodedCall("transfer", described.arguments, USDC, calldata=data)
    outer = "20".rjust(64, "0") + f"{len(data) // 2 - 1:064x}" + data[2:].ljust(6 * 32, "0")
    wrapped = DescribedTransaction(
        transaction(calldata=selector("run(bytes)") + outer),
        "run",
        (Argument("data", "bytes", data),),
        (call,),
        tokens=TOKENS,
    )
    assert json.loads(render(wrapped))["args"] == [["transfer", "#1", "1 USDC"]]


SWAP = (
    "swap(address caller,(address srcToken,address dstToken,address dstReceiver,uint256 amount,"
    "uint256 minReturnAmount,bytes permit) desc,bytes data)"
)


def test_fields_of_a_struct_with_tails_are_scaled() -> None:
    types = ["address", "(address,address,address,uint256,uint256,bytes)", "bytes"]
    description = (USDC, WETH, SENDER, 12_500_000, 5 * 10**15, b"")
    data = selector(f"swap({','.join(types)})") + encode(types, [ALICE, description, b""]).hex()
    described = DescribedTransaction(
        transaction(calldata=data),
        "swap",
        (
            Argument("caller", "address", ALICE),
            Argument("srcToken", "address", USDC),
            Argument("dstToken", "address", WETH),
            Argument("dstReceiver", "address", SENDER),
            Argument("amount", "uint256", "12500000"),
            Argument("minReturnAmount", "uint256", str(5 * 10**15)),
            Argument("permit", "bytes", "0x"),
            Argument("data", "bytes", "0x"),
        ),
        tokens=TOKENS,
        signature=SWAP,
    )
    assert json.loads(render(described))["args"] == [
        "#1", "USDC", "WETH", "sender", "12.5 USDC", "0.005 WETH", "0x", "0x",
    ]  # fmt: skip


def test_amounts_inside_arrays_of_structs_are_scaled_and_no_token_is_ether() -> None:
    items = ((USDC, 12_500_000), ("0x" + "0" * 40, 10**18))
    types = ["(address,uint256)[]"]
    described = DescribedTransaction(
        transaction(calldata=selector("offer((address,uint256)[])") + encode(types, [items]).hex()),
        "offer",
        (Argument("items", types[0], tuple((token, str(raw)) for token, raw in items)),),
        tokens=TOKENS,
        signature="offer((address token,uint256 startAmount)[] items)",
    )
    assert json.loads(render(described))["args"] == [[["USDC", "12.5 USDC"], ["0x0", "1 ETH"]]]


def test_a_creation_is_summarised_by_length_and_hash() -> None:
    described = DescribedTransaction(transaction(to=None, calldata="0x6001600155", status=1))
    assert json.loads(render(described)) == {
        "created": f"5 bytes 0x{sha256(bytes.fromhex('6001600155')).hexdigest()[:8]}",
        "status": "success",
    }


def test_unknown_events_keep_emitter_and_topic_and_are_counted() -> None:
    unknown = DecodedEvent(USDC, None, (), "0x" + "12" * 32)
    sync = DecodedEvent(ALICE, "Sync", (Argument("reserve0", "uint112", "5"),))
    events = (unknown, unknown, sync, DecodedEvent(ALICE, None))
    plain = json.loads(render(DescribedTransaction(transaction(), events=events, tokens=TOKENS)))
    assert plain["logs"] == ["USDC 0x12121212 x2", "#1 log"]


def test_no_word_of_the_label_schema_stands_in_keys_or_instruction() -> None:
    keys = set(json.loads(render(token_transfer(USDC, ALICE, 1))))
    assert keys.isdisjoint({"action", "protocol", "outcome", "intent"})
    assert not set(INSTRUCTION.lower().split()) & set(ACTIONS)
