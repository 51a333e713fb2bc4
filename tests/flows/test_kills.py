"""Kill -9 three times at moments of chance, resumed each time: the same bytes in the end."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest
from run_reading import sha256

from ethtune.core.eventlog import EventReader

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SEED = int(os.environ.get("ETHTUNE_KILL_SEED", "11"))


def test_three_kills_and_three_resumes_end_with_the_same_bytes(
    start_training, start_resuming, straight_run, tmp_path
):
    """A moment is an event of the log that is waited for, and up to 50 ms behind it."""
    draw, run = random.Random(SEED), tmp_path / "run"
    trainer = start_training(run)
    for _ in range(3):
        seen = len(list(EventReader(run / "events.jsonl").poll()))
        wait_for_events(run, seen + draw.randrange(4, 14), trainer)
        time.sleep(draw.uniform(0, 0.05))
        trainer.send(signal.SIGKILL)
        trainer.end()
        trainer = start_resuming(run)
    code = trainer.end()
    assert code in (0, 6), trainer.stderr
    assert code == 0 or "nothing is left to do" in trainer.stderr
    assert sha256(run) == sha256(straight_run)


def wait_for_events(run, count, trainer):
    end = time.monotonic() + 120
    while time.monotonic() < end and trainer.is_running:
        if len(list(EventReader(run / "events.jsonl").poll())) >= count:
            return
        time.sleep(0.01)
