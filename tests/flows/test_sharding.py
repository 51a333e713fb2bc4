"""A base model in parts over two processes, on the CPU: the same run as whole in each."""

from __future__ import annotations

import signal

import pytest
from run_reading import of_kind, sha256

from conftest import TORCHRUN
from ethtune.core.runfolder import read_json

SETTINGS = {
    "training.max_steps": 6,
    "logging.eval_steps": 4,
    "logging.metric_for_best_model": "exact_match",
    "logging.load_best_model_at_end": True,
    "logging.num_generated_samples": 2,
    "data.max_eval_samples": 3,
    "data.max_train_samples": 22,
}


@pytest.fixture(scope="module")
def whole_run(start_pair, tmp_path_factory):
    """Two processes with the whole model in each. Look, do not touch."""
    run = tmp_path_factory.mktemp("whole") / "run"
    trainer = start_pair(run, SETTINGS)
    assert trainer.end() == 0, trainer.stderr
    return run


def test_a_model_in_parts_ends_with_the_same_bytes(start_pair, whole_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as accelerate:  # as its launcher says it
        accelerate.setenv("ACCELERATE_USE_FSDP", "true")
        trainer = start_pair(run, SETTINGS, by=TORCHRUN)
    trainer.wait_for("step", 3)
    trainer.send(signal.SIGTERM)
    trainer.end()  # with torchrun's own code
    assert of_kind(run, "run_ended")[-1].exit_code == 143, trainer.stderr
    assert of_kind(run, "checkpoint_saved")[-1].step < 6

    trainer = start_pair(run, (), "resume", str(run))
    assert trainer.end() == 0, trainer.stderr
    assert read_json(run / "manifest.json")["config"]["training"]["fsdp"] is True
    steps, expected = ({s.step: s.loss for s in of_kind(each, "step")} for each in (run, whole_run))
    assert steps == expected
    assert sha256(run) == sha256(whole_run)


def test_parts_need_places(ethtune):
    result = ethtune("train", "--dataset", "data", "--fsdp")
    assert result.exit_code == 3
    assert "num_processes is 1: --gpus 2, say" in result.output
