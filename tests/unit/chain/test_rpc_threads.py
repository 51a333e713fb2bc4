"""Threads that work on items: all results, the first error, nobody left behind."""

from __future__ import annotations

import threading
import time

import pytest

from ethtune.chain.rpc.threads import Crew, Stopped


def test_every_result_arrives_once():
    results = Crew(5).arriving(lambda item: item * 2, range(1000))
    assert sorted(results) == list(range(0, 2000, 2))


def test_no_items_give_no_results():
    assert list(Crew(3).arriving(str, [])) == []


def test_an_error_ends_the_others_and_loses_no_result():
    worked: list[int] = []

    def work(item: int) -> int:
        if item == 10:
            raise LookupError("ten")
        time.sleep(0.001)
        worked.append(item)
        return item

    arrived: list[int] = []
    with pytest.raises(LookupError, match="ten"):
        arrived.extend(Crew(4).arriving(work, range(100_000)))
    # extend keeps what came before the error
    assert sorted(arrived) == sorted(worked)
    assert set(range(10)) <= set(arrived)
    assert len(arrived) < 1000


def test_an_error_of_the_items_is_an_error():
    def items():
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(Crew(2).arriving(str, items()))


def test_the_dismissed_are_gone_even_those_that_sleep():
    crew = Crew(4)
    before = threading.active_count()

    def work(item: int) -> int:
        if item > 5:
            crew.rest(60)
        return item

    results = crew.arriving(work, range(100_000))
    assert next(results) < 6
    crew.dismiss()
    assert threading.active_count() == before
    with pytest.raises(Stopped):
        crew.rest(60)


def test_work_that_takes_long_is_not_waited_for():
    crew, release = Crew(2), threading.Event()
    results = crew.arriving(lambda item: release.wait(30), range(10))
    begin = time.monotonic()
    crew.dismiss()
    assert time.monotonic() - begin < 10
    release.set()
    assert list(results) in ([], [True], [True, True])
