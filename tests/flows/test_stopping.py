"""Signals in every phase: what is saved, what is left, with which exit code."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest
from run_reading import events_of, of_kind, sha256

from ethtune.core.errors import Interrupted
from ethtune.core.events import CheckpointSaved, Evaluated, PhaseStarted, Progress, StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def sender(is_moment, number=signal.SIGINT, times=1):
    """A sink that sends this process a signal at the first event that is the moment."""
    left = [times]

    def sink(event):
        if left[0] and is_moment(event):
            left[0] -= 1
            os.kill(os.getpid(), number)

    return sink


def phase(name):
    return lambda event: isinstance(event, PhaseStarted) and event.phase == name


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("preflight", signal.SIGINT),
        ("tokenizing", signal.SIGTERM),
        ("loading", signal.SIGHUP),
        ("loading", signal.SIGINT),
    ],
)
def test_before_the_first_step_it_ends_at_once_and_leaves_nothing(
    train_here, tmp_path, name, number
):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        train_here(tmp_path / "run", events=sender(phase(name), number))
    assert caught.value.exit_code == 128 + number
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("moment", "step", "validated"),
    [
        (lambda e: isinstance(e, StepLogged) and e.step == 3, 4, [2]),
        (lambda e: isinstance(e, Progress) and e.phase == "evaluating", 2, []),
        (phase("saving"), 2, [2]),
        (lambda e: isinstance(e, StepLogged) and e.step == 7, 8, [2, 4, 6]),
        (phase("finishing"), 8, [2, 4, 6, 8]),
    ],
    ids=["in a step", "validating", "saving", "in the last step", "writing the result"],
)
def test_a_stop_in_training_saves_and_changes_nothing(
    train_here, resume_here, straight_run, tmp_path, moment, step, validated
):
    run = tmp_path / "run"
    with pytest.raises(Interrupted) as caught:
        train_here(run, events=sender(moment, signal.SIGTERM))
    assert caught.value.exit_code == 143
    assert caught.value.hint == f"ethtune resume {run}"
    newest = find_checkpoints(RunFolder(run))[0]
    assert (newest.step, newest.problem) == (step, None)
    assert [event.step for event in of_kind(run, "evaluated")] == validated
    assert not (run / "adapter_model.safetensors").exists()
    assert not [name for name in os.listdir(run) if name.startswith(".")]
    resume_here(run)
    assert sha256(run) == sha256(straight_run)
    assert [event.step for event in of_kind(run, "evaluated")] == [2, 4, 6, 8]


def test_a_stop_does_not_change_which_step_is_the_best(train_here, resume_here, tmp_path):
    """The validation that the stop left out is made first; the best of an epoch is the same."""
    settings = {
        "training.learning_rate": 3,
        "training.warmup_ratio": 0,
        "training.lr_scheduler_type": "constant",
        "logging.load_best_model_at_end": True,
        "logging.eval_steps": 1,
        "logging.save_steps": 3,
        "training.max_steps": 5,
    }
    straight = train_here(tmp_path / "straight", settings)
    assert straight.best_step is not None
    run = tmp_path / "run"
    # of the best step: its own validation is the one that is left out
    stop = sender(lambda e: isinstance(e, Progress) and e.phase == "evaluating")
    with pytest.raises(Interrupted):
        train_here(run, settings, events=stop)
    report = resume_here(run)
    assert report.best_step == straight.best_step
    assert sha256(run) == sha256(tmp_path / "straight")


def test_a_second_signal_ends_at_once_with_the_last_commit_intact(
    train_here, resume_here, straight_run, tmp_path
):
    run = tmp_path / "run"
    hits = []

    def twice(event):
        if isinstance(event, CheckpointSaved) and event.step == 4:
            hits.append(event)
        elif hits and isinstance(event, (StepLogged, Progress, Evaluated)) and len(hits) == 1:
            hits.append(event)
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        train_here(run, events=twice)
    assert caught.value.message == "stopped at once, as asked"
    assert find_checkpoints(RunFolder(run))[0].step == 4
    ended = events_of(run)[-1]
    assert (ended.ending, ended.exit_code) == ("interrupted", 130)
    resume_here(run)
    assert sha256(run) == sha256(straight_run)


def test_loader_workers_leave_signals_alone_and_die_with_their_trainer(
    start_training, straight_run, tmp_path
):
    settings = {
        "data.dataloader_num_workers": 2,
        "data.packing": "false",
        "training.max_steps": 500,
    }
    run = tmp_path / "run"
    trainer = start_training(run, settings)
    trainer.wait_for("step", 1)
    workers = psutil.Process(trainer.pid).children()
    assert len(workers) >= 2
    for worker in workers:
        worker.send_signal(signal.SIGINT)  # as Ctrl-C in a terminal does
    trainer.wait_for("step", 3)
    trainer.send(signal.SIGKILL)
    trainer.end()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_a_closed_terminal_saves(start_training, tmp_path):
    run = tmp_path / "run"
    trainer = start_training(run, {"training.max_steps": 500})
    trainer.wait_for("step", 1)
    trainer.send(signal.SIGHUP)  # as a terminal that is closed does: the shell says it, and
    trainer.send(signal.SIGHUP)  # so does the system
    assert trainer.end() == 129
    ended = events_of(run)[-1]
    assert (ended.ending, ended.exit_code) == ("interrupted", 129)
    assert ended.text == f"stopped at step {ended.step}, as asked"
    assert find_checkpoints(RunFolder(run))[0].step == ended.step


def test_sigstop_and_sigcont_are_no_matter(start_training, straight_run, tmp_path):
    run = tmp_path / "run"
    trainer = start_training(run)
    trainer.wait_for("step", 1)
    trainer.send(signal.SIGSTOP)
    time.sleep(0.5)
    trainer.send(signal.SIGCONT)
    assert trainer.end() == 0, trainer.stderr
    assert sha256(run) == sha256(straight_run)
