"""A disk that refuses, a tracker that fails, a folder in use: what a run loses, and what not."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time

import pytest
from run_reading import events_of, of_kind, sha256

from ethtune.core.errors import MachineError
from ethtune.core.events import CheckpointSaved, Message, PhaseStarted, StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")


class FileLimit:
    """No file of this process may grow beyond ``size_bytes``, until ``lift``."""

    def __init__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def lay(self, size_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, self._before[1]))

    def lift(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def limit():
    made = FileLimit()
    yield made
    made.lift()


@pytest.mark.parametrize("size_bytes", [0, 700, 60_000])
def test_a_full_disk_costs_checkpoints_and_nothing_else(
    train_here, straight_run, limit, tmp_path, size_bytes
):
    """Whichever file is the first that does not fit: the state, the adapter, the smallest."""
    run, errors = tmp_path / "run", []

    def full_from_4_on(event):
        if isinstance(event, PhaseStarted):
            is_full = event.phase == "saving" and (run / "checkpoint-2").exists()
            (limit.lay(size_bytes) if is_full else limit.lift())
        elif isinstance(event, Message) and event.level == "error":
            errors.append(event.text)

    train_here(run, events=full_from_4_on)
    assert [event.step for event in of_kind(run, "checkpoint_saved")] == [2]
    assert [text.partition(":")[0] for text in errors] == [
        f"checkpoint {step} could not be saved" for step in (4, 6, 8)
    ]
    reasons = {text.partition(": ")[2].partition(";")[0] for text in errors}
    assert reasons == {"File too large"}  # the limit's word for a full disk
    assert [(c.step, c.problem) for c in find_checkpoints(RunFolder(run))] == [(2, None)]
    assert not [name for name in os.listdir(run) if name.startswith(".")]
    assert sha256(run) == sha256(straight_run)


def test_room_again_means_checkpoints_again(train_here, limit, tmp_path):
    run = tmp_path / "run"

    def full_for_one_save(event):
        if isinstance(event, StepLogged):
            (limit.lay(20_000) if event.step == 4 else limit.lift())

    train_here(run, events=full_for_one_save)
    assert [event.step for event in of_kind(run, "checkpoint_saved")] == [2, 6, 8]


def test_a_result_that_does_not_fit_is_written_on_resuming(
    train_here, resume_here, straight_run, limit, tmp_path
):
    run = tmp_path / "run"

    def full_at_the_end(event):
        if isinstance(event, PhaseStarted) and event.phase == "finishing":
            limit.lay(20_000)

    with pytest.raises(MachineError, match="the result could not be written") as caught:
        train_here(run, events=full_at_the_end)
    limit.lift()
    assert f"ethtune resume {run}" in caught.value.hint
    assert not (run / "adapter_model.safetensors").exists()
    resume_here(run)
    assert sha256(run) == sha256(straight_run)


def test_the_space_of_the_next_checkpoint_is_held_while_the_run_goes(train_here, tmp_path):
    run, held = tmp_path / "run", []

    def look(event):
        if isinstance(event, StepLogged):
            held.append((run / ".reserve").stat().st_size)

    train_here(run, events=look)
    (size,) = {event.size_bytes for event in of_kind(run, "checkpoint_saved")[:1]}
    assert held[-1] >= size
    assert not (run / ".reserve").exists()


def test_a_folder_that_vanishes_is_said_and_no_traceback(train_here, tmp_path):
    run = tmp_path / "run"

    def remove(event):
        if isinstance(event, CheckpointSaved) and event.step == 4:
            shutil.rmtree(run)

    with pytest.raises(MachineError, match="the result could not be written"):
        train_here(run, events=remove)


def test_a_log_that_cannot_be_written_changes_nothing(
    train_here, straight_run, limit, monkeypatch, tmp_path
):
    from ethtune.core import eventlog

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(eventlog.os, "write", refuse)
    train_here(tmp_path / "run")
    monkeypatch.undo()
    assert events_of(tmp_path / "run") == []
    assert sha256(tmp_path / "run") == sha256(straight_run)


def test_a_tracker_that_fails_is_left_out(train_here, straight_run, monkeypatch, tmp_path):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    calls = []

    class Failing(TrainerCallback):
        def on_log(self, *_, **__):
            calls.append("log")
            raise ConnectionError("the tracker's server is gone")

    Failing.__module__ = integration_utils.__name__
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Failing)
    monkeypatch.setattr("ethtune.services.preflight.find_spec", lambda name: name)
    run = tmp_path / "run"
    train_here(run, {"logging.report_to": ["tensorboard"]})
    assert calls == ["log"]
    (warning,) = [e for e in of_kind(run, "message") if "Failing failed" in e.text]
    assert "the tracker's server is gone; training goes on" in warning.text
    assert sha256(run) == sha256(straight_run)


def test_a_second_trainer_is_refused_within_a_second(
    ethtune, train_words, start_training, tmp_path
):
    run = tmp_path / "run"
    trainer = start_training(run, {"training.max_steps": 500})
    trainer.wait_for("step", 1)
    for words in (train_words(run), ("resume", run)):
        started = time.perf_counter()
        result = ethtune(*words)
        assert time.perf_counter() - started < 1
        assert result.exit_code == 6
        assert f"process {trainer.pid} trains there since " in result.stderr
    trainer.send(9)
    trainer.end()


def test_strays_and_foreign_checkpoints_are_said_and_left_alone(
    ethtune, straight_run, train_here, tmp_path
):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    (run / "adapter_model.safetensors").unlink()
    shutil.rmtree(run / "checkpoint-8")
    shutil.copytree(run / "checkpoint-6", run / "checkpoint-900")
    label = json.loads((run / "checkpoint-900" / "COMPLETE.json").read_text())
    label |= {"run": "theirs", "step": 900}
    (run / "checkpoint-900" / "COMPLETE.json").write_text(json.dumps(label))
    (run / "checkpoint-abc").mkdir()
    (run / "checkpoint-5").write_text("a file")
    for item in run.glob("checkpoint-*"):
        os.utime(item, (1e9 + hash(item.name) % 1000,) * 2)
    result = ethtune("resume", run)
    assert result.exit_code == 0, result.output
    for said in (
        "checkpoint-5 is no checkpoint and is left alone",
        "checkpoint-abc is no checkpoint and is left alone",
        "checkpoint-900 is skipped: it belongs to another run",
        "checkpoint-900 is kept aside as checkpoint-900.foreign",
        "Resuming at step 6",
    ):
        assert said in result.stderr
    assert sha256(run) == sha256(straight_run)
    assert (run / "checkpoint-abc").is_dir()
    assert (run / "checkpoint-5").is_file()
