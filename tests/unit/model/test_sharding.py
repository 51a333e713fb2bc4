"""Two bare processes with half of the layers each compute what one with all of them does."""

from __future__ import annotations

import subprocess
import sys

import pytest

HALVES = """
import sys, torch
from torch.distributed.tensor import DTensor
from ethtune.core.compose import compose
from ethtune.core.ranks import rank
from ethtune.model.basemodels import resolve
from ethtune.model.device import choose_device
from ethtune.model.load import add_adapter, load_base
from ethtune.model.processes import announce, await_task
from ethtune.model.sharding import is_sharded, shard
from ethtune.model.validation import evaluation_mode

announce("") if rank().is_main else await_task()
source, in_4_bit = sys.argv[1], sys.argv[2]
said = {"training.num_processes": 2, "training.fsdp": True, "quantization.load_in_4bit": in_4_bit}
config = compose(overrides={key: (value, "test") for key, value in said.items()}).config
device = choose_device(config)
base = resolve(source, revision=None, cache_dir=None, emit=lambda event: None)
model = add_adapter(load_base(base, config, device), config.lora, seed=1)
ids = torch.arange(24)[None]
inputs = {"input_ids": ids, "position_ids": ids, "use_cache": False}
with torch.no_grad(), evaluation_mode(model):
    whole = model(**inputs).logits
    size = {name: each.nbytes for name, each in model.named_parameters()}
    assert not is_sharded(model)
    shard(model, device)
    assert is_sharded(model)
    assert torch.equal(model(**inputs).logits, whole)
for name, each in model.named_parameters():
    is_frozen_layer = ".layers." in name and "lora_" not in name
    assert isinstance(each, DTensor) == is_frozen_layer, name
    if is_frozen_layer:
        assert each.to_local().nbytes * 2 == size[name], name
"""


@pytest.mark.parametrize("in_4_bit", ["true", "false"])
def test_each_process_holds_half_of_the_layers(tiny_model, in_4_bit):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    program = [sys.executable, "-c", HALVES, str(tiny_model), in_4_bit]
    ended = subprocess.run(
        [sys.executable, *launcher, *program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
