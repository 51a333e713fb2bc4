"""What is repaired means the same afterwards; what might not is left alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.intent import parse_intent
from ethtune.core.units import scale_amount
from ethtune.dataset.repairs import repaired

CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def line(output: str) -> bytes:
    row = {"instruction": "a", "input": "{}", "output": output, "meta": {"x": 1}}
    return json.dumps(row).encode()


def repair(output: str) -> str | None:
    better = repaired(line(output))
    if better is None:
        return None
    row = json.loads(better)
    assert {**row, "output": output} == json.loads(line(output))
    return row["output"]


def sent(amount: str, **more: str) -> str:
    extra = "".join(f',"{key}":{value}' for key, value in more.items())
    entry = f'{{"asset":"ETH","amount":{amount}{extra}}}'
    return f'{{"action":"burn","outcome":"unknown","sent":[{entry}]}}'


@pytest.mark.parametrize(
    ("spelled", "exact"),
    [
        ('"1.50"', "1.5"), ('"01"', "1"), ('"1.0"', "1"), ('"0.000"', "0"), ("5", "5"),
        ('"1e3"', "1000"), ('"25e-1"', "2.5"), ('"1.5"', "1.5"), ('"unlimited"', "unlimited"),
        ('"100"', "100"),
    ],
)  # fmt: skip
def test_exact_amounts_get_one_spelling(spelled: str, exact: str) -> None:
    assert repair(sent(spelled)) == sent(f'"{exact}"')


@pytest.mark.parametrize(
    "amount", ["0.5", "1e3", "true", "-1", '"-1"', '"1,000"', '"1e999"', "null", '"0x10"', '"١"']
)
def test_what_may_mean_something_else_is_left_alone(amount: str) -> None:
    assert repair(sent(amount)) is None


def test_keys_and_addresses_get_their_one_spelling() -> None:
    spelled = f'{{"recipient": "{CHECKSUMMED}", "action": "transfer"}}'
    exact = f'{{"action":"transfer","outcome":"unknown","recipient":"{CHECKSUMMED.lower()}"}}'
    assert repair(spelled) == exact
    assert repair(spelled.replace("Aed", "aED")) is None


@pytest.mark.parametrize("output", ["", "[]", "{", '{"action":"wrap","action":"burn"}', '"a"'])
def test_what_is_no_intent_stays_none(output: str) -> None:
    assert repair(output) is None


@given(st.integers(0, 2**256 - 1), st.integers(0, 40), st.integers(0, 5))
def test_a_repaired_amount_is_the_same_number(raw: int, decimals: int, zeros: int) -> None:
    exact = scale_amount(raw, decimals)
    spelled = "0" * zeros + exact + ("0" * zeros if "." in exact else "")
    result = repair(sent(f'"{spelled}"'))
    if len(spelled) <= 80:
        assert parse_intent(result).sent[0].amount == exact
