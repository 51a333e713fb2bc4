"""No contract, bot or class takes a dataset over, and no class vanishes for it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from dataset_builders import spooled_row
from hypothesis import given
from hypothesis import strategies as st

from ethtune.dataset import limits
from ethtune.dataset.spool import SpooledRow, open_spool


def left(rows: list[SpooledRow], limit, *values, **how) -> list[tuple[str, str | None]]:
    """Action and contract of every row that stays."""
    with open_spool() as spool:
        for row in rows:
            spool.add(row)
        limit(spool.database, *values, **how)
        sql = "SELECT action, contract FROM rows WHERE limited IS NULL ORDER BY number"
        return spool.query(sql)


def calls(**sizes: int) -> list[SpooledRow]:
    """So many rows of one class for each contract."""
    names = [name for name, size in sizes.items() for _ in range(size)]
    return [
        spooled_row(number, action="mint", contract=None if name == "none" else name)
        for number, name in enumerate(names)
    ]


def test_a_contract_is_cut_to_its_share_of_what_is_left() -> None:
    kept = Counter(left(calls(a=900, b=300, c=300, none=400), limits.limit_contracts, 0.3, seed=1))
    sizes = {contract: size for (_, contract), size in kept.items()}
    assert sizes == {"a": 428, "b": 300, "c": 300, None: 400}


def test_a_class_of_one_contract_does_not_vanish() -> None:
    kept = left(calls(weth=1000), limits.limit_contracts, 0.3, seed=1)
    assert len(kept) == limits.spared_rows(1000) == 50
    assert limits.spared_rows(640_000) == 640


def test_classes_are_looked_at_one_by_one() -> None:
    swaps = [spooled_row(900 + n, action="swap", contract="a") for n in range(40)]
    assert len(left([*calls(a=45), *swaps], limits.limit_contracts, 0.3, seed=1)) == 85


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.integers(0, 50),
    st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0]),
)
def test_the_share_is_kept_and_not_a_row_more_than_needed_goes(sizes, others, share) -> None:
    most = limits.greatest_allowed(sizes, others, share)

    def is_within(x: int) -> bool:
        return x <= Fraction(str(share)) * (others + sum(min(size, x) for size in sizes))

    assert is_within(min(most, max(sizes)))
    assert most >= max(sizes) or not is_within(most + 1)


def test_bots_are_limited_by_template_and_accounts() -> None:
    rows = [spooled_row(n, template=b"same", people=b"%d" % (n % 2)) for n in range(100)]
    assert len(left(rows, limits.limit_alike, 7, seed=1)) == 14


def test_which_rows_of_a_large_class_stay_is_drawn_by_seed() -> None:
    rows = [spooled_row(n, action="mint", contract=str(n)) for n in range(100)]
    draws = [left(rows, limits.limit_classes, 10, seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert [len(draw) for draw in draws] == [10, 10, 10]


def test_small_classes_are_named_and_dropped() -> None:
    with open_spool() as spool:
        for number in range(9):
            spool.add(spooled_row(number, action="swap" if number else "burn"))
        assert limits.small_classes(spool.database, 2) == {"burn": 1}
        limits.drop_class(spool.database, "burn")
        sql = "SELECT limited, COUNT(*) FROM rows GROUP BY limited"
        assert spool.query(sql) == [(None, 8), (limits.SMALL_CLASS, 1)]
