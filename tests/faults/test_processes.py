"""What happens to processes: killed, doubled, starved, watched; and where they stand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from run_reading import events_of, of_kind, sha256

from ethtune.core.errors import MachineError, RunError
from ethtune.core.runfolder import RunFolder
from ethtune.core.runlock import Holder
from ethtune.model import trainer as module
from ethtune.model.checkpoints import find_checkpoints, verify
from ethtune.model.loss import labelled_loss

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def good_steps(run):
    return [item.step for item in find_checkpoints(RunFolder(run)) if item.problem is None]


@pytest.mark.parametrize(
    "holder",
    [
        Holder(os.getpid(), "00000000-0000-0000-0000-000000000000", 1),  # before a reboot
        Holder(os.getpid(), None, 1),  # the number is another process' now
        Holder(2**22 - 1, None, None),
    ],
)
def test_a_stale_lock_is_taken_over_and_said(at_step_4, straight, resume_here, holder):
    plain = {name: getattr(holder, name) for name in Holder.__slots__}
    (at_step_4 / "lock").write_text(json.dumps(plain))
    resume_here(at_step_4)
    said = [event.text for event in of_kind(at_step_4, "message")]
    assert f"process {holder.pid} ended without a word; its lock is taken over" in said
    assert sha256(at_step_4) == sha256(straight)
    assert (at_step_4 / "lock").read_text() == ""


def test_a_damaged_lock_file_is_in_nobodys_way(at_step_4, ends_as_straight):
    (at_step_4 / "lock").write_text('{"pid": "x')
    ends_as_straight(at_step_4)


def test_a_lock_that_cannot_be_taken_is_told(at_step_4, resume_here, refusal):
    (at_step_4 / "lock").unlink()
    (at_step_4 / "lock").mkdir()
    assert isinstance(refusal(at_step_4), (MachineError, RunError))


LEFT_BY_A_KILL = (
    "lock", ".config.yaml.k2j", "config.yaml", "origins.json", "preview.txt", ".manifest.json.x9",
)  # fmt: skip


@pytest.mark.parametrize("count", range(1, len(LEFT_BY_A_KILL) + 1))
def test_a_folder_that_never_became_a_run_is_taken_again(train_here, tmp_path, count):
    run = tmp_path / "run"
    run.mkdir()
    for name in LEFT_BY_A_KILL[:count]:
        (run / name).write_text("")
    train_here(run, {"training.max_steps": 1})
    assert verify(run) is None


@pytest.mark.parametrize("name", [".git", ".env", "lock.txt", "notes.md"])
def test_a_folder_that_holds_anything_else_is_not(train_here, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    for each in ("lock", "config.yaml", name):
        (run / each).write_text("")
    with pytest.raises(RunError, match="is not empty"):
        train_here(run)
    assert len(list(run.iterdir())) == 3


def card_is_full():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def torch_is_refused():
    torch.empty(1 << 50)


def python_is_refused():
    bytearray(1 << 60)


@pytest.fixture
def scarce(monkeypatch):
    """``scarce(step, want)``: from that step on, of one micro batch each, there is no memory."""

    def end_at(step, want):
        calls = iter(range(10_000))  # the first is the rehearsal's

        def loss(model, inputs):
            if next(calls) >= step:
                want()
            return labelled_loss(model, inputs)

        monkeypatch.setattr(module, "labelled_loss", loss)

    return end_at


@pytest.mark.parametrize(
    ("step", "want", "saved"),
    [(1, card_is_full, []), (4, card_is_full, [2]), (4, torch_is_refused, [2]),
     (4, python_is_refused, [2])],
)  # fmt: skip
def test_too_little_memory_ends_the_run_with_a_reason_and_a_way_out(
    train_here, resume_here, straight, scarce, monkeypatch, tmp_path, step, want, saved
):
    """One row a micro batch, checkpointing on: nothing is left that a run could do by itself."""
    scarce(step, want)
    run = tmp_path / "run"
    told = f"ran out of memory at step {step}: row .+ alone, .+ tokens: .+"
    with pytest.raises(MachineError, match=told) as caught:
        train_here(run)
    assert "data.max_seq_length" in caught.value.hint
    assert good_steps(run) == saved
    ended = events_of(run)[-1]
    assert (ended.ending, ended.exit_code) == ("failed", 5)
    monkeypatch.undo()
    resume_here(run)
    assert sha256(run) == sha256(straight)


def test_too_little_memory_in_validation_is_told_the_same(train_here, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "validate", lambda *_, **__: torch_is_refused())
    run = tmp_path / "run"
    settings = {"logging.eval_strategy": "steps", "logging.eval_steps": 3}
    with pytest.raises(MachineError, match="ran out of memory at step"):
        train_here(run, settings | {"data.max_eval_samples": 2})
    assert good_steps(run)[-1] == 2


def library_is_refused():
    raise ImportError("libtorch_cpu.so: failed to map segment from shared object")


@pytest.mark.parametrize("want", [python_is_refused, library_is_refused])
def test_too_little_memory_before_a_run_leaves_nothing(ethtune, words, monkeypatch, tmp_path, want):
    monkeypatch.setattr("ethtune.services.preflight.load_rows", lambda *_, **__: want())
    result = ethtune(*words(tmp_path / "run"))
    assert result.exit_code == 5, result.output
    assert "the system gave this process no more memory" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.chaos
def test_watchers_change_nothing_and_may_die(words, start, straight, tmp_path):
    run = tmp_path / "run"
    early = start(["monitor", run])  # before there is a run
    time.sleep(2)
    trainer = start(words(run))
    trainer.wait_for(run, "step", 1)
    killed, interrupted, late = (start(["monitor", run]) for _ in range(3))
    time.sleep(0.3)
    killed.send(signal.SIGKILL)
    interrupted.send(signal.SIGINT)
    assert trainer.end() == 0, trainer.stderr
    assert sha256(run) == sha256(straight)
    assert early.end() == 0, early.stderr
    assert late.end() == 0, late.stderr


def test_any_folder_will_do(train_here, straight, tmp_path):
    run = tmp_path / "my runs [1]" / "läufe прогон 日本" / "'a' \"b\" {x} %d" / ("r" * 200)
    train_here(run)
    assert sha256(run) == sha256(straight)
    assert good_steps(run) == [6, 4, 2]


def test_a_name_that_no_file_system_takes_is_refused(train_here, tmp_path):
    with pytest.raises((MachineError, RunError)) as caught:
        train_here(tmp_path / ("r" * 300))
    assert "too long" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link_and_a_relative_path_is_the_same_run(
    train_here, resume_here, straight, tmp_path, monkeypatch
):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    train_here("link")
    assert (tmp_path / "link").is_symlink()
    assert sha256(tmp_path / "real") == sha256(straight)
    (tmp_path / "real" / "adapter_model.safetensors").unlink()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    resume_here(Path("../link"))
    assert sha256(tmp_path / "real") == sha256(straight)


def test_a_run_that_moved_goes_on_where_it_is(at_step_4, ends_as_straight, tmp_path):
    shutil.move(at_step_4, tmp_path / "moved")
    ends_as_straight(tmp_path / "moved")
    assert not at_step_4.exists()


def test_under_nohup_a_closed_terminal_is_no_matter(train_here, straight, tmp_path):
    def hang_up(event):
        if event.kind == "step" and event.step == 3:
            os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        train_here(tmp_path / "run", events=hang_up)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert sha256(tmp_path / "run") == sha256(straight)
