"""Augmented transactions: other accounts and amounts everywhere alike, sums kept, names gone."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from dataset_builders import ALICE, SENDER, TOKENS, UNLISTED, USDC, token_transfer, transaction
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.described import Argument, DescribedTransaction
from ethtune.core.transaction import InternalTransfer, Log
from ethtune.dataset.forgetting import forget_names
from ethtune.dataset.renaming import new_addresses
from ethtune.dataset.rescaling import amounts_of, new_amounts
from ethtune.dataset.rewriting import Replacements, rename, rewrite

PAYEE = "0x51c0d3e9a1f24b6d8795b2fa8c60e3d4f7a98b12"
OTHER = "0x0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f607182930"


def amounts(*values: int) -> DescribedTransaction:
    found = tuple(Argument("amount", "uint256", str(value)) for value in values)
    return DescribedTransaction(transaction(), "pay", found)


def test_unknown_addresses_get_new_ones_known_and_degenerate_ones_stay() -> None:
    described = replace(
        token_transfer(USDC, PAYEE, 10**6), transaction=transaction(sender=OTHER, to=USDC)
    )
    found = new_addresses(described, Random(1), is_known=lambda address: address in TOKENS)
    assert set(found) == {PAYEE, OTHER}  # SENDER of the event is one byte twenty times
    assert all(len(new) == 42 and new != old for old, new in found.items())
    assert found == new_addresses(described, Random(1), is_known=TOKENS.__contains__)


def test_an_address_is_replaced_wherever_it_stands() -> None:
    before = transaction(
        sender=PAYEE, to=OTHER, calldata="0x12345678" + "00" * 12 + PAYEE[2:] + "ff" + OTHER[2:],
        logs=(Log(OTHER, ("0x" + "00" * 12 + PAYEE[2:],), "0x" + PAYEE[2:], 0),),
        internal_transfers=(InternalTransfer(OTHER, PAYEE, 5), InternalTransfer(OTHER, None, 0)),
    )  # fmt: skip
    swapped = rewrite(before, Replacements({PAYEE: OTHER, OTHER: PAYEE}))
    assert swapped.sender == OTHER
    assert swapped.to == PAYEE
    assert swapped.calldata == "0x12345678" + "00" * 12 + OTHER[2:] + "ff" + PAYEE[2:]
    assert swapped.logs == (
        Log(PAYEE, ("0x" + "00" * 12 + OTHER[2:],), "0x" + OTHER[2:], 0),
    )  # fmt: skip
    assert swapped.internal_transfers[0] == InternalTransfer(PAYEE, OTHER, 5)
    assert rewrite(swapped, Replacements({PAYEE: OTHER, OTHER: PAYEE})) == before
    assert rename(f'{{"recipient":"{PAYEE}"}}', {PAYEE: OTHER}) == f'{{"recipient":"{OTHER}"}}'


def test_an_amount_is_replaced_where_it_fills_a_word() -> None:
    old, new = 15 * 10**17, 42 * 10**17
    data = f"0x{old:064x}{old + 1:064x}"
    before = transaction(value_wei=old, calldata="0x12345678" + data[2:],
                         logs=(Log(ALICE, (), data, 0),))  # fmt: skip
    after = rewrite(before, Replacements(amounts={old: new}))
    assert after.value_wei == new
    assert after.calldata == f"0x12345678{new:064x}{old + 1:064x}"
    assert after.logs[0].data == f"0x{new:064x}{old + 1:064x}"


@given(st.lists(st.integers(1 << 20, 1 << 100), min_size=1, max_size=5), st.integers(0, 99))
def test_new_amounts_stand_to_each_other_as_the_old_ones(values, seed) -> None:
    described = amounts(*values, 0, 2**256 - 1)
    found = new_amounts(described, Random(seed))
    assert found == new_amounts(described, Random(seed))
    if found:
        assert set(found) == set(values)
        ratios = {(new * values[0], old * found[values[0]]) for old, new in found.items()}
        assert all(one == other for one, other in ratios)
        assert all(0 < new < 10 * old for old, new in found.items())


@pytest.mark.parametrize("values", [(), (5,), (10**18, 1)])
def test_numbers_that_may_be_anything_are_left_alone(values) -> None:
    assert new_amounts(amounts(*values), Random(1)) == {}


def test_a_single_payment_keeps_its_number_of_digits() -> None:
    drawn = {new_amounts(amounts(15 * 10**17), Random(seed)).get(15 * 10**17) for seed in range(50)}
    drawn.discard(None)
    assert len(drawn) > 20
    assert all(10**18 <= amount < 10**19 and amount % 10**17 == 0 for amount in drawn)


def test_amounts_are_those_that_names_call_so() -> None:
    described = token_transfer(USDC, ALICE, 10**6)
    assert list(amounts_of(described)) == [0, 10**6, 10**6]


def test_names_are_forgotten_as_if_the_code_were_unknown() -> None:
    described = token_transfer(UNLISTED, ALICE, 10**6)
    results = [forget_names(described, Random(seed)) for seed in range(20)]
    for result in results:
        assert result.transaction == described.transaction
        assert (result.function, result.arguments, result.calls) == (None, (), ())
    assert {event.name for result in results for event in result.events} == {None, "Transfer"}
    assert SENDER in str(described.events)
