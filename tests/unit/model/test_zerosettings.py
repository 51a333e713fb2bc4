"""A DeepSpeed file as tutorials write it fits a run; what says otherwise than the run is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethtune.core.compose import compose
from ethtune.core.deepspeedfile import zero_stage
from ethtune.model.zerosettings import disagreements, zero_settings

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "deepspeed"
TUTORIAL = {
    "fp16": {"enabled": "auto", "loss_scale": 0, "loss_scale_window": 1000},
    "bf16": {"enabled": "auto"},
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"},
    },
    "scheduler": {
        "type": "WarmupLR",
        "params": {"warmup_min_lr": "auto", "warmup_max_lr": "auto", "warmup_num_steps": "auto"},
    },
    "zero_optimization": {
        "stage": 3,
        "offload_optimizer": {"device": "cpu", "pin_memory": True},
        "offload_param": {"device": "cpu", "pin_memory": True},
        "overlap_comm": True,
        "contiguous_gradients": True,
        "sub_group_size": 1e9,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "stage3_max_live_parameters": 1e9,
        "stage3_max_reuse_distance": 1e9,
        "stage3_gather_16bit_weights_on_model_save": True,
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "steps_per_print": 2000,
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "wall_clock_breakdown": False,
}


def config_with(file):
    said = {"training.num_processes": 2, "training.deepspeed": file, "training.max_grad_norm": 0.3}
    return compose(overrides={key: (value, "test") for key, value in said.items()}).config


def faults(changes):
    file = TUTORIAL | changes
    return {each.key: each.wanted for each in disagreements(file, config_with(file), "bf16")}


@pytest.mark.parametrize("file", [TUTORIAL, *sorted(map(str, CONFIGS.iterdir()))], ids=str)
def test_a_file_as_tutorials_write_it_fits(file):
    config = config_with(file)
    said = config.training.deepspeed
    assert said == (file if isinstance(file, dict) else json.loads(Path(file).read_text()))
    assert list(disagreements(said, config, "bf16")) == []
    settled = zero_settings(config)
    assert zero_stage(settled) == said["zero_optimization"]["stage"]
    assert "auto" not in str(settled)
    assert (settled["train_batch_size"], settled["gradient_clipping"]) == (32, 0.3)
    assert not {"optimizer", "scheduler"} & settled.keys()


@pytest.mark.parametrize(
    ("changes", "key", "wanted"),
    [
        ({"gradient_clipping": 1.0}, "gradient_clipping", "training.max_grad_norm is 0.3"),
        ({"train_batch_size": 64}, "train_batch_size", "the effective batch size is 32"),
        ({"fp16": {"enabled": True}}, "fp16.enabled", "the run computes in bf16"),
        (
            {"optimizer": {"type": "AdamW", "params": {"lr": 1e-4}}},
            "optimizer.params.lr",
            "training.learning_rate is 0.0002",
        ),
        ({"zero_optimization": 2}, "zero_optimization", '{"stage": 2}'),
        ({"zero_optimization": {"stage": 1}}, "zero_optimization.stage", "2 or 3"),
        (
            {"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}},
            "zero_optimization.offload_param.device",
            "cpu or none",
        ),
        ({"zero_optimisation": {}}, "zero_optimisation", "leave it out"),
        ({"zero_optimization": {"stage": 2, "stge": 1}}, "zero_optimization.stge", "leave it out"),
    ],
)
def test_what_says_otherwise_is_named(changes, key, wanted):
    assert wanted in faults(changes)[key]


def test_values_that_are_the_runs_own_fit():
    assert faults({"gradient_clipping": 0.3, "optimizer": {"params": {"lr": 2e-4}}}) == {}
