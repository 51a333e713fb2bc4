"""Near-duplicates stay together, later rows are for testing, the same seed gives the same split."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from dataset_builders import ALICE, SENDER, UNLISTED, spooled_row
from hypothesis import given
from hypothesis import strategies as st

from ethtune.dataset.duplicates import likeness
from ethtune.dataset.splits import assign_splits, common_above
from ethtune.dataset.spool import SpooledRow, open_spool

RATIOS = (0.7, 0.15, 0.15)


def rows(count: int, *, templates: int, people: int = 1000) -> list[SpooledRow]:
    return [
        spooled_row(i, template=b"%d" % (i % templates), people=b"%d" % (i % people))
        for i in range(count)
    ]


def split(rows: list[SpooledRow], ratios: tuple[float, ...] = RATIOS, **how) -> list[str]:
    """The split of each row, in their order."""
    with open_spool() as spool:
        for row in rows:
            spool.add(row)
        assign_splits(spool.database, ratios, **how)
        return [name for (name,) in spool.query("SELECT split FROM placed ORDER BY number")]


def prompt(to: str = ALICE, *, amount: str = "1", call: str = "deposit") -> str:
    return json.dumps({"to": to, "call": call, "args": [amount, f"{amount} USDC"]})


@pytest.mark.parametrize("order", ["time", "random"])
def test_rows_of_a_rare_template_are_never_separated(order) -> None:
    these = rows(1000, templates=100)
    by_template = {}
    for row, name in zip(these, split(these, order=order), strict=True):
        assert by_template.setdefault(row.template, name) == name


def test_rows_of_a_common_template_are_kept_together_by_counterparties() -> None:
    these = rows(1000, templates=1, people=100)
    splits = split(these)
    by_people = {}
    for row, name in zip(these, splits, strict=True):
        assert by_people.setdefault(row.people, name) == name
    assert set(splits) == {"train", "validation", "test"}


def test_later_blocks_are_for_testing_and_shares_are_kept() -> None:
    splits = split(rows(1000, templates=1000)[::-1])[::-1]
    assert splits == ["train"] * 700 + ["validation"] * 150 + ["test"] * 150


def test_a_share_of_nothing_gets_nothing() -> None:
    assert set(split(rows(99, templates=99), (0.8, 0.2, 0))) == {"train", "validation"}


@given(st.integers(0, 5), st.sampled_from(["time", "random"]), st.permutations(range(40)))
def test_the_split_does_not_depend_on_the_order_of_reading(seed, order, places) -> None:
    these = rows(40, templates=13)
    once = split(these, seed=seed, order=order)
    again = split([these[i] for i in places], seed=seed, order=order)
    assert again == [once[i] for i in places]


def test_another_seed_shuffles_otherwise() -> None:
    these = rows(200, templates=200)
    first, same, other = (split(these, order="random", seed=seed) for seed in (1, 1, 2))
    assert first == same != other
    assert Counter(first) == {"train": 140, "validation": 30, "test": 30}


@pytest.mark.parametrize(
    ("sharing", "rows", "common"), [(21, 100_000, True), (20, 100_000, False), (6, 100, True),
                                    (5, 100, False), (15, 300, False)],
)  # fmt: skip
def test_what_counts_as_common(sharing: int, rows: int, common: bool) -> None:
    assert (sharing > common_above(rows)) is common


def test_likeness_ignores_particulars_but_not_the_contract_or_function() -> None:
    base = likeness(prompt(), sender=SENDER)
    assert likeness(prompt(amount="250.75"), sender=SENDER).template == base.template
    assert likeness(prompt(), sender=UNLISTED).template == base.template
    assert likeness(prompt(UNLISTED), sender=SENDER).template != base.template
    assert likeness(prompt(call="withdraw"), sender=SENDER).template != base.template
    assert likeness(prompt(), sender=UNLISTED).counterparties != base.counterparties


def test_two_payments_to_the_same_account_are_near_duplicates_two_to_others_are_not() -> None:
    def pay(to: str, amount: str):
        return likeness(json.dumps({"to": to, "value": amount}), sender=SENDER)

    assert pay(ALICE, "1").counterparties == pay(ALICE, "2").counterparties
    assert pay(ALICE, "1").counterparties != pay(UNLISTED, "1").counterparties
