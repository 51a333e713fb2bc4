"""Percentiles, histogram, and which rows are too long."""

from __future__ import annotations

import pytest

from ethtune.dataset.rowlengths import Distribution, RowLengths


def test_percentiles_are_lengths_that_occur() -> None:
    found = Distribution.of(range(1, 101))
    assert (found.p50, found.p90, found.p99, found.max, found.sum) == (50, 90, 99, 100, 5050)
    alone = Distribution.of([7])
    assert (alone.p50, alone.p99, alone.histogram) == (7, 7, ((5, 8, 1),))


def test_the_histogram_counts_every_row_once_between_powers_of_two() -> None:
    lengths = [0, 1, 2, 3, 4, 5, 8, 9, 40]
    histogram = Distribution.of(lengths).histogram
    assert [rows for *_, rows in histogram] == [2, 1, 2, 2, 1, 0, 1]
    assert histogram[0][:2] == (0, 1)
    for low, high, rows in histogram:
        assert rows == sum(low <= length <= high for length in lengths)


@pytest.mark.parametrize(
    ("lengths", "lost"),
    [((60, 40), None), ((60, 41), "the end token"), ((100, 5), "the whole answer")],
)
def test_a_row_above_the_limit_would_lose_its_end(lengths, lost) -> None:
    rows = RowLengths("tokens", 100)
    fault = rows.add(*lengths)
    assert (fault is None) == (lost is None)
    report = rows.report()
    assert report.over_limit == (lost is not None)
    assert report.answerless == (lost == "the whole answer")
    if fault is not None:
        assert (fault.code, fault.value) == ("E401", str(sum(lengths)))
        assert lost in fault.message


def test_without_rows_or_limit_nothing_is_judged() -> None:
    assert RowLengths("characters", None).report() is None
    rows = RowLengths("characters", None)
    assert rows.add(10**6, 10**6) is None
    assert rows.report().as_dict()["over_max_seq_length"] is None
