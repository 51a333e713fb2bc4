"""DeepSpeed's ZeRO in two processes, on the CPU: the same run as one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_reading import of_kind, sha256

from conftest import TORCHRUN
from ethtune.core.runfolder import read_json

pytest.importorskip("deepspeed", reason="pip install ethtune[deepspeed]")
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "deepspeed"
SETTINGS = {
    "lora.dropout": 0,
    "training.max_steps": 6,
    "training.max_grad_norm": 0.05,
    "logging.eval_steps": 4,
    "data.max_eval_samples": 3,
    "data.max_train_samples": 22,
}


@pytest.fixture(scope="module")
def whole_run(train_here, tmp_path_factory):
    """One process with as many micro batches. Look, do not touch."""
    run = tmp_path_factory.mktemp("alone") / "run"
    train_here(run, SETTINGS | {"training.gradient_accumulation_steps": 4})
    return run


@pytest.mark.parametrize("file", ["zero2.json", "zero3.json"])
def test_zero_is_the_run_of_one_process(start_pair, whole_run, tmp_path, file):
    run, again = tmp_path / "run", tmp_path / "again"
    trainer = start_pair(run, SETTINGS | {"training.deepspeed": CONFIGS / file})
    assert trainer.end() == 0, trainer.stderr
    assert "DeepSpeed" not in trainer.stdout + trainer.stderr  # which speaks at every turn
    steps, expected = of_kind(run, "step"), of_kind(whole_run, "step")
    assert [s.loss for s in steps] == pytest.approx([s.loss for s in expected], abs=2e-4)
    assert [s.grad_norm for s in steps] == pytest.approx([s.grad_norm for s in expected], rel=1e-2)
    measured, alike = of_kind(run, "evaluated")[0], of_kind(whole_run, "evaluated")[0]
    assert measured.eval_loss == pytest.approx(alike.eval_loss, abs=2e-4)

    shutil.copytree(run, again)
    for name in ("checkpoint-4", "checkpoint-6"):
        shutil.rmtree(again / name)
    for name in ("COMPLETE.json", "adapter_model.safetensors"):
        (again / name).unlink()
    trainer = start_pair(again, (), "resume", str(again))
    assert trainer.end() == 0, trainer.stderr
    assert of_kind(again, "step")[-4].step == 3
    assert sha256(again) == sha256(run)


def test_one_process_goes_on_with_what_zero_began(start_pair, resume_here, tmp_path):
    run = tmp_path / "run"
    short = {"training.max_steps": 2, "logging.eval_strategy": "no"}
    by_accelerate = {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2",
        "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu",
    }
    with pytest.MonkeyPatch.context() as accelerate:
        for name, value in by_accelerate.items():
            accelerate.setenv(name, value)
        trainer = start_pair(run, SETTINGS | short, by=TORCHRUN)
    assert trainer.end() == 0, trainer.stderr
    config = read_json(run / "manifest.json")["config"]["training"]
    zero = {"stage": 2, "offload_optimizer": {"device": "cpu"}}
    assert config["deepspeed"] == {"zero_optimization": zero}

    alone = {"training.num_processes": 1, "training.deepspeed": None, "training.max_steps": 4}
    resume_here(run, alone, allowed=["training.deepspeed"])
    assert of_kind(run, "step")[-1].step == 4
