"""float16 with its loss scaler: overflowing steps are left out, and a resumed run is the run.

A CPU trains in float16 too, only slowly; ethtune does not offer that, so the scaler is put in here.
"""

from __future__ import annotations

import pytest
import torch
from accelerate.state import AcceleratorState
from run_reading import cut_back, of_kind, sha256

from ethtune.model.trainer import QLoraTrainer
from ethtune.model.trees import load_tree

START, GROWTH = 21, 3  # above what the tiny model bears, and steps until it is tried again
SETTINGS = {
    "training.max_steps": 6,
    "training.warmup_ratio": 0,
    "training.lr_scheduler_type": "linear",
    "training.learning_rate": 6e-3,
    "quantization.load_in_4bit": False,
    "data.max_train_samples": 6,
    "logging.eval_strategy": "no",
    "logging.save_steps": 1,
    "logging.save_total_limit": 9,
    "optimization.check_memory": False,
}


@pytest.fixture
def scaled(monkeypatch):
    """Every trainer made from now on scales its loss, by far too much at first."""
    make = QLoraTrainer.create_accelerator_and_postprocess

    def make_scaled(trainer):
        make(trainer)
        trainer.accelerator.native_amp = True
        trainer.accelerator.scaler = torch.amp.GradScaler("cpu", 2.0**START, growth_interval=GROWTH)

    monkeypatch.setattr(QLoraTrainer, "create_accelerator_and_postprocess", make_scaled)
    monkeypatch.setattr(AcceleratorState, "mixed_precision", "fp16")


def test_overflowing_steps_are_left_out_and_resumed_exactly(
    scaled, train_here, resume_here, tmp_path
):
    run = tmp_path / "run"
    train_here(run, SETTINGS)
    texts = [event.text for event in of_kind(run, "message") if "float16 overflowed" in event.text]
    left_out = {int(text.split()[1]) for text in texts}
    assert 1 in left_out
    assert len(left_out) < 6
    made = [sum(step not in left_out for step in range(1, number)) for number in range(1, 7)]
    rates = [event.learning_rate for event in of_kind(run, "step")]
    assert rates == pytest.approx([6e-3 * (1 - steps / 6) for steps in made])
    final = sha256(run)
    for step in range(1, 6):
        state = load_tree(run / f"checkpoint-{step}" / "training_state.safetensors")
        assert state["guard"]["skipped_steps"] == step - made[step]
        if made[step] < GROWTH:
            assert state["scaler"]["scale"] == 2.0 ** (START - step + made[step])
    for step in (5, 1):  # while it goes well, and while it overflows
        cut_back(run, step)
        resume_here(run)
        assert sha256(run) == final
