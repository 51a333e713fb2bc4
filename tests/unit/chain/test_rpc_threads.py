"""Threads that work on items: all results, the first error, nobody left behind."""

from __future__ import annotations

import threading
import time

import pytest

from ethtune.chain.rpc.threads import arriving


def test_every_result_arrives_once():
    stopped = threading.Event()
    results = arriving(lambda item: item * 2, range(1000), num_threads=5, stopped=stopped)
    assert sorted(results) == list(range(0, 2000, 2))
    assert not stopped.is_set()


def test_no_items_give_no_results():
    assert list(arriving(str, [], num_threads=3, stopped=threading.Event())) == []


def test_an_error_ends_the_others_and_loses_no_result():
    worked: list[int] = []

    def work(item: int) -> int:
        if item == 10:
            raise LookupError("ten")
        time.sleep(0.001)
        worked.append(item)
        return item

    arrived: list[int] = []
    stopped = threading.Event()
    with pytest.raises(LookupError, match="ten"):
        arrived.extend(arriving(work, range(100_000), num_threads=4, stopped=stopped))
    assert sorted(arrived) == sorted(worked)
    assert set(range(10)) <= set(arrived)
    assert len(arrived) < 100
    assert stopped.is_set()


def test_an_error_of_the_items_is_an_error():
    def items():
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(arriving(str, items(), num_threads=2, stopped=threading.Event()))


def test_a_reader_that_leaves_ends_the_threads():
    stopped = threading.Event()
    before = threading.active_count()
    results = arriving(
        lambda item: time.sleep(0.001), range(100_000), num_threads=4, stopped=stopped
    )
    next(results)
    results.close()
    assert stopped.is_set()
    for _ in range(200):
        if threading.active_count() == before:
            return
        time.sleep(0.01)
    raise AssertionError(threading.enumerate())
