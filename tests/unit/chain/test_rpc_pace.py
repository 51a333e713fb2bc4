"""Rate, backoff and Retry-After, on a clock of our own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from ethtune.chain.rpc.pace import Pacer, backoff_seconds, retry_after_seconds


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(rate: float | None) -> tuple[Pacer, Clock]:
    clock = Clock()
    return Pacer(rate, clock=clock, sleep=clock.sleep), clock


@pytest.mark.parametrize(("rate", "size"), [(10, 1), (10, 10), (10, 3), (0.5, 1)])
def test_no_more_calls_go_out_than_the_rate_allows(rate, size):
    pacer, clock = paced(rate)
    sent = []
    for _ in range(40):
        pacer.take(size)
        sent.append(clock.now)
    for index, moment in enumerate(sent):
        within = sum(size for other in sent[index:] if other < moment + 1)
        assert within <= max(rate, size) + size
    elapsed = sent[-1] - sent[0]
    assert elapsed == pytest.approx(39 * size / rate)


def test_without_a_rate_nobody_waits():
    pacer, clock = paced(None)
    for _ in range(100):
        pacer.take(50)
    assert clock.now == 100.0


def test_a_pause_holds_whoever_comes_next():
    pacer, clock = paced(None)
    assert pacer.pause(7)
    assert not pacer.pause(2)  # does not shorten it
    assert not pacer.pause(7)  # no news
    pacer.take(1)
    assert clock.now == 107.0
    pacer.take(1)
    assert clock.now == 107.0


def test_waits_double_up_to_a_limit_and_differ():
    for num_failures, longest in ((1, 0.5), (2, 1.0), (5, 8.0), (50, 30.0)):
        waits = {backoff_seconds(num_failures, 0.5) for _ in range(50)}
        assert len(waits) > 1
        assert longest / 2 <= min(waits)
        assert max(waits) <= longest


def test_retry_after_is_a_number_of_seconds_or_a_date():
    assert retry_after_seconds("17") == 17.0
    assert retry_after_seconds(" 0 ") == 0.0
    later = datetime.now(timezone.utc) + timedelta(seconds=90)
    assert retry_after_seconds(format_datetime(later, usegmt=True)) == pytest.approx(90, abs=5)
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nothing in (None, "", "soon", "-5", "\u00b2"):
        assert retry_after_seconds(nothing) is None
