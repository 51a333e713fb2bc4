"""An answer may say what its prompt holds, or what adds up from it, and nothing else."""

from __future__ import annotations

import json

import pytest
from dataset_builders import ALICE, UNLISTED

from ethtune.core.intent import Intent, Movement
from ethtune.dataset.grounding import ungrounded

PROMPT = json.dumps(
    {
        "to": f"#1={ALICE}",
        "value": "2",
        "call": "swap",
        "args": ["12.5 USDC", "max", ["7", UNLISTED], "4000"],
        "status": "success",
        "internal": [f"#1 sender {amount}" for amount in ("0.5", "0.1")],
        "logs": [
            *(f"USDC Transfer sender #1 {amount}" for amount in (1, 2, 3, 4, 5)),
            "USDC Transfer #1 sender 0.25",
            "WETH Withdrawal #1 0.6",
            "NFT Transfer 0x0 sender 42",
            "DAI Transfer #1 sender 100.000000000000000001",
            "DAI Fee 0.000000000000000001",
        ],
    }
)


def missing(**plain) -> list[str]:
    return ungrounded(Intent("swap", **plain), PROMPT)


@pytest.mark.parametrize(
    "movement",
    [
        Movement("USDC", "12.5"),  # stands there
        Movement("USDC", "14.75"),  # 1+2+3+4+5-0.25: the sender's net
        Movement("USDC", "15"),  # the sender's outflow
        Movement("ETH", "1.4"),  # value less what came back
        Movement("ETH", "0.6"),  # wrapped ether counts
        Movement("DAI", "100"),  # exact to the last digit
        Movement("NFT", token_id="42"),
        Movement("USDC", "unlimited"),  # max
        Movement(UNLISTED, "4007"),  # bare numbers of an unknown token
    ],
)
def test_what_stands_there_or_adds_up_is_grounded(movement: Movement) -> None:
    assert missing(outcome="success", sent=(movement,)) == []


@pytest.mark.parametrize(
    ("movement", "phrase"),
    [
        (Movement("USDC", "12.6"), "amount 12.6 USDC"),
        (Movement("DAI", "100.000000000000000003"), "amount 100.000000000000000003 DAI"),
        (Movement("USDT", "1"), "asset USDT"),
        (Movement("0x" + "9" * 40, "1"), "asset 0x" + "9" * 40),
        (Movement("NFT", token_id="43"), "token_id 43"),
    ],
)
def test_what_does_not_is_named(movement: Movement, phrase: str) -> None:
    assert missing(received=(movement,)) == [phrase]


def test_accounts_and_outcome_are_looked_for_too() -> None:
    stranger = "0x" + "9" * 40
    assert missing(outcome="failed", recipient=stranger, spender=ALICE) == [
        "outcome failed",
        f"recipient {stranger}",
    ]


def test_unlimited_needs_a_word_for_it() -> None:
    approval = Intent("approve", approved=(Movement("USDC", "unlimited"),))
    assert ungrounded(approval, '{"to":"USDC","args":["5 USDC"]}') == ["amount unlimited USDC"]
    assert ungrounded(approval, '{"to":"USDC","call":"setApprovalForAll","args":["true"]}') == []
