import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.scoring.intervals import Share, mcnemar


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3 (Wilson score)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(right, total, low, high):
    assert Share(right, total).interval == pytest.approx((low, high), abs=5e-5)


def test_share_of_no_rows_is_not_available():
    assert Share(0, 0).value is None
    assert Share(0, 0).interval is None


def test_share_refuses_more_right_than_rows():
    with pytest.raises(ValueError, match="2 of 1"):
        Share(2, 1)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_share_and_mirrors(counts):
    right, total = counts
    low, high = Share(right, total).interval
    assert 0 <= low <= right / total <= high <= 1
    mirrored = Share(total - right, total).interval
    assert mirrored == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 0, 1.0), (8, 0, 2 / 256), (8, 1, 20 / 512), (1, 8, 20 / 512)],
)
def test_mcnemar_is_the_two_sided_binomial_test(first, second, p_value):
    pairs = [(True, False)] * first + [(False, True)] * second + [(True, True), (False, False)]
    test = mcnemar(pairs)
    assert (test.only_first_right, test.only_second_right) == (first, second)
    assert test.p_value == pytest.approx(p_value)


def test_mcnemar_of_thousands_of_rows_is_quick_and_a_probability():
    assert 0 <= mcnemar([(True, False)] * 9000 + [(False, True)] * 4000).p_value < 1e-9
