"""Each optimizer: its class, how it holds its moments, and that it goes on from a file exactly."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import Trainer

from ethtune.core.config import Config, OptimizationSection
from ethtune.core.runfolder import RunFolder
from ethtune.device.memory import state_bytes
from ethtune.device.shapes import shape_of
from ethtune.device.workload import workload_of
from ethtune.model.arguments import library_arguments
from ethtune.model.device import Device
from ethtune.model.trainingstate import _optimizer_steps
from ethtune.model.trees import load_tree, save_tree

KINDS = {  # class, names and types of what it keeps of a weight, paged, fused
    "paged_adamw_32bit": ("AdamW", {"state1": torch.float32, "state2": torch.float32}),
    "paged_adamw_8bit": ("AdamW", {"state1": torch.uint8, "state2": torch.uint8}),
    "adamw_bnb_8bit": ("AdamW", {"state1": torch.uint8, "state2": torch.uint8}),
    "adamw_8bit": ("AdamW", {"state1": torch.uint8, "state2": torch.uint8}),
    "adamw_torch": ("AdamW", {"exp_avg": torch.float32, "exp_avg_sq": torch.float32}),
    "adamw_torch_fused": ("AdamW", {"exp_avg": torch.float32, "exp_avg_sq": torch.float32}),
    "adafactor": ("Adafactor", {"exp_avg_sq_row": torch.float32}),
    "lion_32bit": ("Lion", {"state1": torch.float32}),
    "lion_8bit": ("Lion", {"state1": torch.uint8}),
    "paged_lion_32bit": ("Lion", {"state1": torch.float32}),
    "paged_lion_8bit": ("Lion", {"state1": torch.uint8}),
}


def optimizer_of(name, weight):
    config = Config.model_validate({"optimization": {"optim": name}})
    device = Device("cpu", "the CPU", "fp32")
    arguments = library_arguments(config, RunFolder(Path()), device, has_validation=False)
    kind, named = Trainer.get_optimizer_cls_and_kwargs(arguments)
    return kind([weight], **named)


def steps(optimizer, weight, numbers):
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


def test_all_of_them_are_here():
    assert set(KINDS) == set(get_args(OptimizationSection.model_fields["optim"].annotation))


@pytest.mark.parametrize("name", KINDS)
def test_optim_is_the_optimizer(name, tmp_path):
    weight = torch.nn.Parameter(torch.ones(64, 64))  # the smallest that 8 bit are kept of
    optimizer = optimizer_of(name, weight)
    steps(optimizer, weight, range(3))
    kind, kept = KINDS[name]
    assert type(optimizer).__name__ == kind
    assert {key: optimizer.state[weight][key].dtype for key in kept} == kept
    assert getattr(optimizer, "is_paged", False) == name.startswith("paged")
    assert bool(optimizer.param_groups[0].get("fused")) == name.endswith("fused")
    assert _optimizer_steps(optimizer) == 3

    save_tree(optimizer.state_dict(), tmp_path / "state.safetensors")
    again = torch.nn.Parameter(weight.detach().clone())
    resumed = optimizer_of(name, again)
    resumed.load_state_dict(load_tree(tmp_path / "state.safetensors"))
    for each, its_weight in ((optimizer, weight), (resumed, again)):
        steps(each, its_weight, range(3, 6))
    assert torch.equal(weight, again)
    assert not torch.equal(weight, torch.ones(64, 64))


@pytest.mark.parametrize("name", KINDS)
def test_the_estimate_knows_what_it_keeps(name):
    config = Config.model_validate({"optimization": {"optim": name}, "lora": {"r": 64}})
    shape = shape_of(config.model.base_model)
    predicted = state_bytes(64 * 2048, workload_of(config, shape, has_bfloat16=True, on_gpu=True))
    weight = torch.nn.Parameter(torch.ones(64, 2048))
    optimizer = optimizer_of(name, weight)
    steps(optimizer, weight, range(2))
    held = [item for item in optimizer.state[weight].values() if isinstance(item, torch.Tensor)]
    tables = 4 * 256 * 2  # of 8-bit optimizers, shared by all matrices
    assert 0 <= sum(item.nbytes for item in held) - predicted <= tables + 8
