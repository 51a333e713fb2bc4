"""A row is made where the label follows from the prompt; otherwise the reason is countable."""

from __future__ import annotations

import json

import pytest
from dataset_builders import ALICE, USDC, token_transfer

from ethtune.core.intent import Intent, Movement
from ethtune.dataset.examples import UngroundedLabel, make_example, reason_kind
from ethtune.dataset.prompts import PROMPT_VERSION


def transfer_of(amount: str) -> Intent:
    sent = (Movement("USDC", amount),)
    return Intent("transfer", "erc20", "success", sent=sent, recipient=ALICE)


def test_a_row_carries_what_splitting_and_reporting_need() -> None:
    described = token_transfer(USDC, ALICE, 1_500_000)
    row = make_example(described, transfer_of("1.5"), view="receipt", label_source="user")
    assert row.id == described.transaction.hash
    assert json.loads(row.output)["recipient"] == ALICE
    assert row.meta == {
        "view": "receipt",
        "prompt_version": PROMPT_VERSION,
        "label_source": "user",
        "action": "transfer",
        "protocol": "erc20",
        "contract": USDC,
        "selector": "0xa9059cbb",
        "block_number": None,
    }


def test_a_label_that_the_prompt_does_not_bear_out_is_refused() -> None:
    described = token_transfer(USDC, ALICE, 1_500_000)
    with pytest.raises(UngroundedLabel, match=r"not in the input: amount 1\.6 USDC"):
        make_example(described, transfer_of("1.6"), view="receipt", label_source="rules")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("not in the input: amount 1.6 USDC", "not in the input: amount"),
        ("not in the input: asset OHM", "not in the input: asset"),
        ("value is '1e18', expected an integer", "value is …"),
        ("same input but another output than 0x12ab", "same input but another output than …"),
        ("value is null, expected an integer", "value is null, expected an integer"),
    ],
)
def test_reasons_are_counted_by_kind(reason: str, kind: str) -> None:
    assert reason_kind(reason) == kind
