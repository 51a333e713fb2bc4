"""One trainer a folder, through kills, forks, reused pids and stopped processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ethtune.core.errors import RunError
from ethtune.core.runlock import (
    Holder,
    RunLock,
    is_alive,
    is_stopped,
    read_holder,
    require_unheld,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and forks")

HOLD = """
import os, sys, time
from pathlib import Path
from ethtune.core.runlock import RunLock
lock = RunLock(Path(sys.argv[1]))
worker = os.fork() if "fork" in sys.argv else 1
if worker == 0:
    time.sleep(30)
    os._exit(0)
print(worker, flush=True)
time.sleep(30)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def hold(path):
    """``hold(*words)``: another process takes the lock; (process, pid of its worker)."""
    started = []

    def start(*words):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *words],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_second_process_is_refused_and_told_who_has_it(path, hold):
    process, _ = hold()
    with pytest.raises(RunError, match=f"process {process.pid} trains there") as caught:
        RunLock(path)
    assert "ethtune monitor" in caught.value.hint
    holder = read_holder(path)
    assert holder.pid == process.pid
    assert is_alive(holder)


def test_killed_holder_is_dead_and_its_lock_free_although_its_worker_lives(path, hold):
    process, worker = hold("fork")
    holder = read_holder(path)
    process.kill()
    process.wait()
    try:
        os.kill(worker, 0)
        assert not is_alive(holder)
        lock = RunLock(path)
        assert lock.previous == holder
        assert read_holder(path).pid == os.getpid()
        lock.release()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_killed_holder_whose_parent_has_not_looked_yet_is_dead(path, hold):
    process, _ = hold()
    holder = read_holder(path)
    process.kill()
    deadline = time.monotonic() + 10
    while is_alive(holder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(holder)


def test_stopped_holder_is_alive_but_stopped(path, hold):
    process, _ = hold()
    holder = read_holder(path)
    assert not is_stopped(holder)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert is_alive(holder)
    assert is_stopped(holder)
    process.send_signal(signal.SIGCONT)


def test_released_lock_names_nobody_and_can_be_taken(path):
    lock = RunLock(path)
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.release()
    assert read_holder(path) is None
    RunLock(path).release()


def test_pid_alone_is_no_identity(path):
    lock = RunLock(path)
    content = path.read_text()
    lock.release()
    holder = Holder(**json.loads(content))
    assert is_alive(holder)
    if holder.start_ticks is not None:
        assert not is_alive(replace(holder, start_ticks=holder.start_ticks - 1))
        assert not is_alive(replace(holder, boot_id="before the reboot"))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": 1}', '{"pid":1,"x":2}'])
def test_unreadable_lock_files_name_nobody(path, content):
    path.write_text(content)
    assert read_holder(path) is None
    RunLock(path).release()


def test_asking_whether_it_is_free_takes_and_changes_nothing(path, hold):
    require_unheld(path)
    assert not path.exists()
    process, _ = hold()
    with pytest.raises(RunError, match=f"process {process.pid} trains there"):
        require_unheld(path)
    process.kill()
    process.wait()
    before = path.read_bytes()
    require_unheld(path)
    assert path.read_bytes() == before
    lock = RunLock(path)
    assert lock.previous.pid == process.pid
    lock.release()
