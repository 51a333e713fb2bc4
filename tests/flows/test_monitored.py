"""A second terminal beside a real training: what it shows, how it stops it, what a kill is."""

from __future__ import annotations

import os
import re
import signal
import time

from run_reading import of_kind
from tmux import MONITOR, needs_tmux, open_pane

pytestmark = needs_tmux
__all__ = ["open_pane"]  # a fixture
LONG = {"training.max_steps": 400, "data.max_train_samples": 48}


def test_killed_trainer_is_dead_within_ten_seconds(start_training, open_pane, tmp_path):
    run = tmp_path / "run"
    # the monitor is there before the run is
    pane = open_pane(*MONITOR, "run", width=80, height=24, folder=tmp_path, NO_COLOR="1")
    pane.wait_for("no run at run yet: waiting for it")
    trainer = start_training(run, LONG)
    trainer.wait_for("checkpoint_saved", 2)
    pane.wait_for("last checkpoint checkpoint-", 60)
    shown = pane.text()
    assert re.search(r"run {2}(training|evaluating|saving)", shown)
    assert re.search(r"step \d+ of 400 · epoch", shown)
    assert max(map(len, shown.splitlines())) < 80
    os.kill(trainer.pid, signal.SIGKILL)
    killed = time.monotonic()
    pane.wait_for("The process is gone while", 10)
    assert time.monotonic() - killed < 10
    assert "ethtune resume run" in pane.text()
    trainer.end()


def test_stop_from_the_second_terminal_saves_a_checkpoint(start_training, open_pane, tmp_path):
    run = tmp_path / "run"
    trainer = start_training(run, LONG | {"logging.save_steps": 500})
    trainer.wait_for("step", 2)
    pane = open_pane(*MONITOR, "run", width=120, height=40, folder=tmp_path)
    pane.wait_for("s stop")
    pane.press("s")
    pane.wait_for("Stop run after the step in hand, with a checkpoint?")
    pane.press("y")
    assert trainer.end() == 143
    pane.wait_for("ethtune resume run")
    (saved,) = of_kind(run, "checkpoint_saved")
    assert saved.step == of_kind(run, "run_ended")[0].step
