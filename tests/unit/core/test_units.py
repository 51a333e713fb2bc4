from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.units import GIB, format_bytes, format_duration, scale_amount, unscale_amount

raws, decimals = st.integers(0, 2**256 - 1), st.integers(0, 255)


@given(raws, decimals)
def test_scaling_is_exact_and_can_be_undone(raw, places):
    text = scale_amount(raw, places)
    assert unscale_amount(text, places) == raw
    with localcontext() as context:
        context.prec = 400
        assert Decimal(text) == Decimal(raw).scaleb(-places)


@given(raws, decimals)
def test_an_amount_has_one_spelling(raw, places):
    text = scale_amount(raw, places)
    whole, _, fraction = text.partition(".")
    assert whole == str(int(whole))
    assert not fraction.endswith("0")
    assert not text.endswith(".")


@pytest.mark.parametrize(
    ("raw", "places", "text"),
    [
        (1_500_000, 6, "1.5"),
        (1, 18, "0.000000000000000001"),
        (0, 18, "0"),
        (42, 0, "42"),
        (10**18, 18, "1"),
    ],
)
def test_known_amounts(raw, places, text):
    assert scale_amount(raw, places) == text


@pytest.mark.parametrize(
    ("text", "places"),
    [("1.23", 1), ("", 6), (".5", 6), ("-1", 6), ("1e3", 6), ("1.-5", 6), ("²", 0)],
)
def test_what_is_no_amount_is_refused(text, places):
    with pytest.raises(ValueError, match="is no amount"):
        unscale_amount(text, places)


def test_negative_amounts_are_refused():
    with pytest.raises(ValueError, match="neither may be negative"):
        scale_amount(-1, 6)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (12 * GIB, "12.0 GiB"),
        (2048 * GIB, "2.0 TiB"), (5_000 * 1024 * GIB, "5000.0 TiB"), (-2048, "-2.0 KiB"),
    ],
)  # fmt: skip
def test_bytes_for_people(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"), (0.42, "0.4s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m 00s"), (75, "1m 15s"),
        (3599.7, "1h 00m"), (13320, "3h 42m"), (49 * 3600, "2d 01h"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds, text):
    assert format_duration(seconds) == text
