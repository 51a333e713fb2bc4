"""However many workers: the same results in the same order; a dead one is an error, not a hang."""

from __future__ import annotations

import functools
import math
import operator
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ethtune.core.errors import MachineError
from ethtune.services import workers
from ethtune.services.workers import in_order

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    monkeypatch.setattr(workers, "ALONE_ITEMS", 5)
    monkeypatch.setattr(workers, "CHUNK_ITEMS", 7)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("num_items", [0, 4, 5, 6, 12, 13, 40])
def test_results_come_in_the_order_of_the_items(num_workers, num_items) -> None:
    pairs = list(in_order(range(num_items), math.factorial, workers=num_workers))
    assert pairs == [(number, math.factorial(number)) for number in range(num_items)]


def test_no_process_is_started_for_few_items() -> None:
    unpicklable = lambda number: number + 1  # noqa: E731
    assert list(in_order(range(5), unpicklable, workers=8)) == [(n, n + 1) for n in range(5)]


def test_a_killed_worker_is_an_error_that_names_the_rows() -> None:
    items = [0] * 20 + [signal.SIGKILL] + [0] * 20
    with pytest.raises(MachineError, match=r"killed by signal 9 .* rows 0 to 0"):
        list(in_order(items, signal.raise_signal, workers=2))


def test_a_fault_in_a_worker_is_our_fault(capfd) -> None:
    with pytest.raises(RuntimeError, match="failed on the rows 0 to -6"):
        list(in_order(range(5, -90, -1), functools.partial(operator.truediv, 1), workers=2))
    assert "ZeroDivisionError" in capfd.readouterr().err


SCRIPT = """
import time
from ethtune.services import workers
workers.ALONE_ITEMS, workers.CHUNK_ITEMS = 0, 1
if __name__ == "__main__":
    for _ in workers.in_order([0.01] * 8 + [60] * 9, time.sleep, workers=2):
        print("done", flush=True)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_started_it(ending, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("[60]", "[2]"))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        for _ in range(8):
            process.stdout.readline()
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)  # as a terminal does
        else:
            process.kill()
        started = time.monotonic()
        process.wait(10)
        seconds = time.monotonic() - started
    assert seconds < 1.5
    assert _is_gone(process.pid)


def _is_gone(group: int) -> bool:
    """Whether no process of the group is left, at the latest when the chunk in hand is done."""
    for _ in range(60):
        members = [process for process in psutil.process_iter() if _is_member(process, group)]
        if not members:
            return True
        time.sleep(0.1)
    return False


def _is_member(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
