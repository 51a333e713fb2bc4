"""A run that was stopped, killed or damaged ends as the one that was not: bit for bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys

import pytest
from run_reading import events_of, of_kind, sha256

from ethtune.core.compose import compose
from ethtune.core.errors import Interrupted
from ethtune.core.events import StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


FLAGS = {
    "--dataset": "data.dataset",
    "--base-model": "model.base_model",
    "--output": "training.output_dir",
}


def steps_after(run, kind="run_started"):
    """Steps logged since the last ``kind``."""
    events = events_of(run)
    last = max(index for index, event in enumerate(events) if event.kind == kind)
    return [event.step for event in events[last:] if event.kind == "step"]


@pytest.fixture
def at_step_4(straight_run, tmp_path):
    """The straight run as it was after its checkpoint of step 4."""
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    for step in (6, 8):
        shutil.rmtree(run / f"checkpoint-{step}")
    (run / "adapter_model.safetensors").unlink()
    return run


def test_a_resumed_run_is_the_same_run(ethtune, straight_run, at_step_4):
    result = ethtune("resume", at_step_4)
    assert result.exit_code == 0, result.output
    assert "Resuming at step 4" in result.stderr
    assert steps_after(at_step_4) == [5, 6, 7, 8]
    assert sha256(at_step_4) == sha256(straight_run)
    losses = {event.step: event.loss for event in of_kind(straight_run, "step")}
    assert {event.step: event.loss for event in of_kind(at_step_4, "step")} == losses


def test_a_stop_that_left_out_a_validation_changes_nothing(
    straight_run, train_words, settings, tmp_path
):
    """Ctrl-C during step 4: a checkpoint at once, the validation that was due there not."""
    from ethtune.services import training

    run = tmp_path / "run"
    words = dict(zip(*[iter(train_words(run)[1:7])] * 2, strict=True))
    overrides = {key: (words[flag], flag) for flag, key in FLAGS.items()}
    overrides |= {key: (value, "--set") for key, value in settings.items()}
    handler = signal.getsignal(signal.SIGINT)  # a job in the background may ignore it

    def stop_in_step_4(event):
        if isinstance(event, StepLogged) and event.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        training.train(compose(overrides=overrides), command="test", events=stop_in_step_4)
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert [step for step, _ in RunFolder(run).checkpoints()] == [2, 4]
    assert [event.step for event in of_kind(run, "evaluated")] == [2]
    report = training.resume(training.ResumeRequest(run, {}), command="test")
    assert report.state.step == 8
    assert [event.step for event in of_kind(run, "evaluated")] == [2, 4, 6, 8]
    assert sha256(run) == sha256(straight_run)


def test_a_killed_run_goes_on_from_its_last_complete_checkpoint(
    ethtune, start_training, straight_run, tmp_path
):
    run = tmp_path / "run"
    trainer = start_training(run)
    trainer.wait_for("checkpoint_saved", 4)
    trainer.send(signal.SIGKILL)
    assert trainer.end() == -signal.SIGKILL
    first = next(item.step for item in find_checkpoints(RunFolder(run)) if item.problem is None)
    assert first in (4, 6)
    dead = ethtune("monitor", run, "--once")
    assert dead.exit_code == 1
    result = ethtune("resume", run)
    assert result.exit_code == 0, result.output
    assert f"Resuming at step {first}" in result.stderr
    assert f"process {trainer.pid} ended without a word; its lock is taken over" in result.stderr
    assert steps_after(run) == list(range(first + 1, 9))
    assert "Resuming at step" in (run / "training_logs.txt").read_text()
    assert sha256(run) == sha256(straight_run)
    assert ethtune("monitor", run, "--once").exit_code == 0


@pytest.fixture(scope="module")
def stopped(ethtune, start_training, train_words, tmp_path_factory):
    """A training that others wanted too, and that Ctrl-C then stopped."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    trainer = start_training(run)
    trainer.wait_for("step", 1)
    meanwhile = [ethtune(*train_words(run)), ethtune("resume", run)]
    trainer.send(signal.SIGINT)
    return run, trainer, trainer.end(), meanwhile


def test_two_trainers_on_one_folder_are_one_too_many(stopped):
    run, trainer, _, meanwhile = stopped
    for refused in meanwhile:
        assert refused.exit_code == 6, refused.output
        assert f"{run} is in use: process {trainer.pid} trains there" in refused.stderr
        assert f"ethtune monitor {run}" in refused.stderr


def test_ctrl_c_saves_and_says_how_to_go_on(stopped):
    run, trainer, exit_code, _ = stopped
    assert exit_code == 130, trainer.stderr
    assert "stopping after this step, with a checkpoint" in trainer.stderr
    assert f"ethtune resume {run}" in trainer.stderr
    assert "Traceback" not in trainer.stderr
    ended = events_of(run)[-1]
    assert (ended.kind, ended.ending, ended.exit_code) == ("run_ended", "interrupted", 130)
    newest = find_checkpoints(RunFolder(run))[0]
    assert (newest.step, newest.problem) == (ended.step, None)
    assert not (run / "adapter_model.safetensors").exists()


def test_a_damaged_checkpoint_is_passed_over_and_named(ethtune, straight_run, at_step_4):
    weights = at_step_4 / "checkpoint-4" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = ethtune("resume", at_step_4, "--from", at_step_4 / "checkpoint-4")
    assert refused.exit_code == 6
    assert "adapter_model.safetensors has changed since it was written" in refused.stderr
    result = ethtune("resume", at_step_4)
    assert result.exit_code == 0, result.output
    assert "checkpoint-4 is skipped: adapter_model.safetensors has changed" in result.stderr
    assert steps_after(at_step_4) == [3, 4, 5, 6, 7, 8]
    assert sha256(at_step_4) == sha256(straight_run)
    assert all(item.problem is None for item in find_checkpoints(RunFolder(at_step_4)))


def test_without_any_complete_checkpoint_the_run_starts_over(ethtune, straight_run, at_step_4):
    for step in (2, 4):
        (at_step_4 / f"checkpoint-{step}" / "COMPLETE.json").unlink()
    result = ethtune("resume", at_step_4)
    assert result.exit_code == 0, result.output
    assert "the run has no complete checkpoint: it starts over" in result.stderr
    assert steps_after(at_step_4) == list(range(1, 9))
    assert sha256(at_step_4) == sha256(straight_run)


def test_a_named_checkpoint_is_taken(ethtune, straight_run, at_step_4):
    result = ethtune("resume", at_step_4, "--from", at_step_4 / "checkpoint-2")
    assert result.exit_code == 0, result.output
    assert steps_after(at_step_4)[0] == 3
    assert sha256(at_step_4) == sha256(straight_run)


def test_what_would_make_it_another_run_is_refused(ethtune, at_step_4, straight_run, tmp_path):
    before = {item: item.read_bytes() for item in at_step_4.rglob("*") if item.is_file()}
    table = [
        (
            ("--set", "training.learning_rate=1"),
            3,
            "training.learning_rate: was 0.01, is 1.0: the schedule goes on from this step",
        ),
        (("--set", "lora.r=8"), 3, "lora.r: was 16, is 8: the checkpoint's tensors have"),
        (("--set", "lora.r=8", "--allow-change", "lora.r"), 3, "start a new run"),
        (("--allow-change", "training.learning_rat"), 2, "did you mean training.learning_rate?"),
        (("--list", "--set", "lora.r=8"), 2, "takes no other option"),
        (("--set", "training.max_steps=3"), 6, "nothing is left to do"),
        (("--set", "training.max_stepz=4"), 3, "did you mean max_steps?"),
        (("--from", straight_run / "checkpoint-2"), 6, "it is no checkpoint of"),
        (("--from", tmp_path / "checkpoint-3"), 6, "it is no checkpoint of"),
    ]
    for words, exit_code, message in table:
        result = ethtune("resume", at_step_4, *words)
        assert result.exit_code == exit_code, result.output
        assert message in result.stderr
    after = {item: item.read_bytes() for item in at_step_4.rglob("*") if item.is_file()}
    assert after == before


def test_changed_rows_are_refused(ethtune, at_step_4, dataset, tmp_path):
    changed = tmp_path / "data"
    shutil.copytree(dataset, changed)
    lines = (changed / "train.jsonl").read_text().splitlines(keepends=True)
    (changed / "train.jsonl").write_text("".join(lines[1:]))
    manifest = json.loads((at_step_4 / "manifest.json").read_text())
    manifest["dataset"]["path"] = str(changed)
    (at_step_4 / "manifest.json").write_text(json.dumps(manifest))
    result = ethtune("resume", at_step_4)
    assert result.exit_code == 6
    assert "would go on as another run" in result.stderr
    assert re.search(r"rows: was train.jsonl lines (\d+), .*is train.jsonl lines", result.stderr)
    assert "--allow-change rows" in result.stderr


def test_a_folder_that_is_no_run_is_refused(ethtune, tmp_path):
    result = ethtune("resume", tmp_path)
    assert (result.exit_code, "no manifest.json" in result.stderr) == (6, True)
    result = ethtune("resume", tmp_path / "none")
    assert (result.exit_code, "no run at" in result.stderr) == (6, True)


def test_more_steps_may_be_asked_of_a_finished_run(ethtune, straight_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    result = ethtune("resume", run)
    assert result.exit_code == 6
    assert "at step 8 of 8" in result.stderr
    result = ethtune("resume", run, "--set", "training.max_steps=9")
    assert result.exit_code == 0, result.output
    assert steps_after(run) == [9]


def test_a_run_that_died_before_its_result_gets_it_without_another_step(
    ethtune, straight_run, tmp_path
):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    (run / "adapter_model.safetensors").unlink()
    result = ethtune("resume", run)
    assert result.exit_code == 0, result.output
    assert steps_after(run) == []
    assert sha256(run) == sha256(straight_run)


def test_a_run_that_diverges_exits_7_and_keeps_its_checkpoints(ethtune, train_words, tmp_path):
    run = tmp_path / "run"
    settings = {
        "training.learning_rate": 3e38,
        "training.max_grad_norm": 0,
        "training.warmup_ratio": 0,
        "training.lr_scheduler_type": "constant",
        "logging.save_steps": 1,
        "logging.eval_strategy": "no",
    }
    result = ethtune(*train_words(run, settings))
    assert result.exit_code == 7, result.output
    assert "--allow-change training.learning_rate" in result.stderr
    found = find_checkpoints(RunFolder(run))
    assert found
    assert all(item.problem is None for item in found)
    ended = events_of(run)[-1]
    assert (ended.ending, ended.exit_code) == ("failed", 7)
    assert ethtune("monitor", run, "--once").exit_code == 1
