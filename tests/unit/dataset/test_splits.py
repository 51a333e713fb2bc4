"""Near-duplicates stay together, later rows are for testing, the same seed gives the same split."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from dataset_builders import ALICE, SENDER, UNLISTED, example
from hypothesis import given
from hypothesis import strategies as st

from ethtune.dataset.duplicates import likeness
from ethtune.dataset.splits import RowKey, assign_splits, is_common
from ethtune.dataset.spool import Spool

RATIOS = (0.7, 0.15, 0.15)


def keys(count: int, *, templates: int, people: int = 1000) -> list[RowKey]:
    return [
        RowKey(f"0x{i:064x}", b"%d" % (i % templates), b"%d" % (i % people), i)
        for i in range(count)
    ]


def prompt(to: str = ALICE, *, amount: str = "1", call: str = "deposit") -> str:
    return json.dumps({"to": to, "call": call, "args": [amount, f"{amount} USDC"]})


def test_rows_of_a_rare_template_are_never_separated() -> None:
    rows = keys(1000, templates=100)
    splits = assign_splits(rows, RATIOS)
    by_template = {}
    for row, split in zip(rows, splits, strict=True):
        assert by_template.setdefault(row.template, split) == split


def test_rows_of_a_common_template_are_kept_together_by_counterparties() -> None:
    rows = keys(1000, templates=1, people=100)
    splits = assign_splits(rows, RATIOS)
    by_people = {}
    for row, split in zip(rows, splits, strict=True):
        assert by_people.setdefault(row.counterparties, split) == split
    assert set(splits) == {"train", "validation", "test"}


def test_later_blocks_are_for_testing_and_shares_are_kept() -> None:
    rows = keys(1000, templates=1000)
    splits = assign_splits(rows[::-1], RATIOS)[::-1]
    assert splits == ["train"] * 700 + ["validation"] * 150 + ["test"] * 150


def test_a_share_of_nothing_gets_nothing() -> None:
    assert set(assign_splits(keys(99, templates=99), (0.8, 0.2, 0))) == {"train", "validation"}


@given(st.integers(0, 5), st.permutations(range(40)))
def test_the_split_does_not_depend_on_the_order_of_reading(seed: int, order: list[int]) -> None:
    rows = keys(40, templates=13)
    once = assign_splits(rows, RATIOS, seed=seed)
    again = assign_splits([rows[i] for i in order], RATIOS, seed=seed)
    assert again == [once[i] for i in order]


def test_another_seed_shuffles_otherwise() -> None:
    rows = keys(200, templates=200)
    first, same, other = (
        assign_splits(rows, RATIOS, order="random", seed=seed) for seed in (1, 1, 2)
    )
    assert first == same != other
    assert Counter(first) == {"train": 140, "validation": 30, "test": 30}


@pytest.mark.parametrize(
    ("sharing", "rows", "common"), [(21, 100_000, True), (20, 100_000, False), (6, 100, True),
                                    (5, 100, False), (15, 300, False)],
)  # fmt: skip
def test_what_counts_as_common(sharing: int, rows: int, common: bool) -> None:
    assert is_common(sharing, rows) is common


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


def test_the_spool_tells_repeated_rows_from_contradictions() -> None:
    spool = Spool(io.BytesIO())
    rows = [
        example(1, prompt()),
        example(1, prompt(amount="2")),
        example(2, prompt()),
        example(3, prompt(), '{"action":"swap"}'),
        example(4, prompt(amount="4")),
    ]
    assert [spool.add(row, sender=SENDER) for row in rows] == [
        ("kept", rows[0].id),
        ("duplicate hash", rows[0].id),
        ("duplicate input", rows[0].id),
        ("contradiction", rows[0].id),
        ("kept", rows[4].id),
    ]
    lines = [line.decode().rstrip("\n") for line in spool.lines([1, 0])]
    assert lines == [rows[4].to_json(), rows[0].to_json()]
