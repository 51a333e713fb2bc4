"""From any step, whatever the way of training: the resumed run is the run, to the last bit."""

from __future__ import annotations

import shutil
import sys

import pytest
import torch
from run_reading import cut_back, of_kind, sha256
from safetensors.torch import load_file

EPOCHS = {
    "training.max_steps": -1,
    "training.num_train_epochs": 2,
    "logging.save_steps": 1,
    "logging.eval_steps": 3,
    "logging.save_total_limit": 20,
}
LORA = {"quantization.load_in_4bit": False}
WAYS = {
    "NF4 in bf16, packed, accumulated, paged AdamW": (
        {"quantization.bnb_4bit_compute_dtype": "bfloat16"},
        ("first", "middle", "before the end", "the end", "after the end"),
    ),
    "LoRA, one row a sequence, uneven accumulation, loader workers": (
        LORA
        | {
            "data.packing": False,
            "data.max_train_samples": 10,
            "data.dataloader_num_workers": 2,
            "training.gradient_accumulation_steps": 3,
            "optimization.optim": "adamw_torch",
        },
        ("first", "middle", "before the end", "the end", "after the end"),
    ),
    "NF4, moments in 8 bit, all layers": (
        {
            "optimization.optim": "adamw_8bit",
            "lora.r": 64,  # smaller tensors keep their moments in 32 bit
            "lora.target_modules": "all-linear",
            "data.max_train_samples": 12,
        },
        ("first", "middle", "before the end", "the end", "after the end"),
    ),
    "LoRA, saved and validated by the epoch": (
        LORA
        | {
            "logging.eval_strategy": "epoch",
            "logging.load_best_model_at_end": True,
            "data.max_train_samples": 12,
        },
        ("middle", "the end"),
    ),
}


@pytest.fixture(scope="module", params=WAYS)
def way(request, train_here, tmp_path_factory):
    """A run that never stopped, its last step of the first epoch, and where to resume it."""
    settings, places = WAYS[request.param]
    if sys.platform == "win32" and "data.dataloader_num_workers" in settings:
        pytest.skip("loader workers are forked")
    run = tmp_path_factory.mktemp("way") / "run"
    train_here(run, EPOCHS | settings)
    (plan,) = of_kind(run, "training_planned")
    end = plan.total_steps // 2
    assert end >= 2
    named = {
        "first": 1,
        "middle": end // 2,
        "before the end": end - 1,
        "the end": end,
        "after the end": end + 1,
    }
    return run, sorted({named[place] for place in places})


def test_a_resumed_run_ends_with_the_same_bytes(way, resume_here, tmp_path):
    run, places = way
    if "adamw_8bit" in (run / "config.yaml").read_text():
        state = load_file(run / "checkpoint-1" / "training_state.safetensors")
        assert any("state1" in name and t.dtype == torch.uint8 for name, t in state.items())
    losses = {event.step: event.loss for event in of_kind(run, "step")}
    checked = {event.step: event.eval_loss for event in of_kind(run, "evaluated")}
    for step in places:
        again = tmp_path / f"from-{step}"
        shutil.copytree(run, again)
        cut_back(again, step)
        report = resume_here(again)
        assert report.state.started.first_step == step
        assert sha256(again) == sha256(run), f"resumed at {step}"
        assert {e.step: e.loss for e in of_kind(again, "step")} == losses
        assert {e.step: e.eval_loss for e in of_kind(again, "evaluated")} == checked


def test_the_same_seed_gives_the_same_bytes_twice(straight_run, train_here, tmp_path):
    train_here(tmp_path / "run")
    assert sha256(tmp_path / "run") == sha256(straight_run)
    for name in ("adapter_config.json", "tokenizer.json"):
        assert (tmp_path / "run" / name).read_bytes() == (straight_run / name).read_bytes()
    other = tmp_path / "other"
    train_here(other, {"training.seed": 7})
    assert sha256(other) != sha256(straight_run)
