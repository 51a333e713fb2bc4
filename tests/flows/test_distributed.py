"""Two processes train together, on the CPU: the same run as one, and undisturbed when disturbed."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from run_reading import of_kind, sha256

from conftest import GPUS, TORCHRUN, Trainer
from ethtune.core.errors import ConfigError, RunError
from ethtune.core.runfolder import read_json

SETTINGS = {
    "training.max_steps": 6,
    "logging.eval_steps": 4,
    "data.max_eval_samples": 3,
    "data.max_train_samples": 22,
}


@pytest.fixture(scope="module")
def start(start_pair) -> Callable[..., Trainer]:
    """``start(run, *words, by=GPUS, key__key=value)``."""

    def launch(run: Path, *words: str, by=GPUS, **settings) -> Trainer:
        chosen = {key.replace("__", "."): value for key, value in settings.items()}
        return start_pair(run, SETTINGS | chosen, *words, by=by)

    return launch


@pytest.fixture(scope="module")
def pair_run(start, tmp_path_factory) -> Path:
    """Six steps of two processes, with dropout. Look, do not touch."""
    run = tmp_path_factory.mktemp("pair") / "run"
    trainer = start(run)
    assert trainer.end() == 0, trainer.stderr
    return run


def processes_below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_two_processes_are_one_with_twice_the_micro_batches(start, train_here, tmp_path):
    pair, alone = tmp_path / "pair", tmp_path / "alone"
    plain = {"lora.dropout": 0, "training.max_steps": 4, "logging.save_steps": 4}
    trainer = start(pair, by=TORCHRUN, **{key.replace(".", "__"): plain[key] for key in plain})
    train_here(alone, SETTINGS | plain | {"training.gradient_accumulation_steps": 4})
    assert trainer.end() == 0, trainer.stderr

    steps, expected = of_kind(pair, "step"), of_kind(alone, "step")
    assert [step.step for step in steps] == [1, 2, 3, 4]  # beyond the first pass, which is uneven
    assert [s.loss for s in steps] == pytest.approx([s.loss for s in expected], abs=2e-4)
    assert [s.grad_norm for s in steps] == pytest.approx([s.grad_norm for s in expected], rel=1e-2)
    assert [s.learning_rate for s in steps] == [s.learning_rate for s in expected]
    plan, alone_plan = (of_kind(run, "training_planned")[0] for run in (pair, alone))
    assert (plan.effective_batch_size, plan.num_train_epochs) == (
        alone_plan.effective_batch_size,
        alone_plan.num_train_epochs,
    )
    (measured,), (alike,) = of_kind(pair, "evaluated"), of_kind(alone, "evaluated")
    assert measured.eval_loss == pytest.approx(alike.eval_loss, abs=2e-4)
    assert measured.eval_token_accuracy == pytest.approx(alike.eval_token_accuracy, abs=5e-3)


def test_one_process_writes_and_speaks(pair_run):
    lines = (pair_run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    (started,) = of_kind(pair_run, "run_started")
    assert started.device.startswith("2 x CPU")
    manifest = read_json(pair_run / "manifest.json")
    assert manifest["config"]["training"]["num_processes"] == 2


def test_a_killed_and_stopped_run_ends_as_if_nothing_had_been(start, pair_run, tmp_path):
    run = tmp_path / "run"
    trainer = start(run)
    trainer.wait_for("checkpoint_saved", 2)
    ranks = processes_below(trainer.pid)
    (second,) = [p for p in ranks if p.pid != of_kind(run, "run_started")[0].pid]
    killed = time.monotonic()
    second.kill()
    assert trainer.end() == 5
    assert time.monotonic() - killed < 60
    assert not any(process.is_running() for process in ranks)
    assert "process 1 of 2 was ended by SIGKILL" in trainer.stderr
    assert of_kind(run, "run_ended")[-1].text == "another process of the run ended"

    trainer = start(run, "resume", str(run))
    trainer.wait_for("step", 3)
    ranks = processes_below(trainer.pid)
    trainer.send(signal.SIGTERM)
    assert trainer.end() == 143, trainer.stderr
    assert not any(process.is_running() for process in ranks)
    assert trainer.stderr.count("as asked") == 2  # in the line of events, and as the command's end
    ended = of_kind(run, "run_ended")[-1]
    assert (ended.ending, ended.exit_code) == ("interrupted", 143)
    assert of_kind(run, "checkpoint_saved")[-1].step == ended.step < 6

    trainer = start(run, "resume", str(run), by=TORCHRUN)
    assert trainer.end() == 0, trainer.stderr
    assert sha256(run) == sha256(pair_run)


def test_one_process_goes_on_with_what_two_began(pair_run, resume_here, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(pair_run, run)
    resume_here(run, {"training.num_processes": 1, "training.max_steps": 8})
    told = [event.text for event in of_kind(run, "message")]
    assert any("2 processes trained, now 1" in text for text in told)
    config = read_json(run / "manifest.json")["config"]["training"]
    assert config["gradient_accumulation_steps"] == 4
    assert of_kind(run, "step")[-1].step == 8
    assert of_kind(run, "training_planned")[-1].effective_batch_size == 4


def test_a_step_that_does_not_come_out_even_is_refused(pair_run, resume_here):
    with pytest.raises(RunError, match="4 micro batches, which 3 processes cannot"):
        resume_here(pair_run, {"training.num_processes": 3})


def test_a_config_for_two_is_no_run_of_one(train_here, tmp_path):
    with pytest.raises(ConfigError, match="num_processes is 2, and 1 trains here"):
        train_here(tmp_path / "run", {"training.num_processes": 2})
    assert not (tmp_path / "run").exists()


def test_more_cards_than_there_are(ethtune, dataset, tiny_model, tmp_path):
    result = ethtune(
        "train", "--dataset", dataset, "--base-model", tiny_model, "--gpus", 99,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 5
    assert "99 processes need 99 GPUs" in result.output
    assert not (tmp_path / "run").exists()
