"""Which base model is loaded, whose code runs, and that attention is what it is called."""

from __future__ import annotations

import shutil

import pytest
import torch

from ethtune.core.config import Config
from ethtune.core.errors import MachineError
from ethtune.core.events import SILENT
from ethtune.core.tokens import TokenRow
from ethtune.model.basemodels import BaseModel, resolve
from ethtune.model.batches import collate, to_dataset
from ethtune.model.device import Device
from ethtune.model.load import add_adapter, load_base
from ethtune.model.targets import skeleton
from ethtune.model.validation import evaluation_mode


def test_revision_and_cache_dir_say_which_download(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    home = tmp_path / "models--some--model"
    (home / "refs").mkdir(parents=True)
    for number, (name, commit) in enumerate((("main", "a" * 40), ("v2", "b" * 40))):
        (home / "refs" / name).write_text(commit)
        folder = home / "snapshots" / commit
        shutil.copytree(tiny_model, folder)
        tensors = load_file(folder / "model.safetensors")
        tensors["model.norm.weight"] += number
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    device, found = Device("cpu", "the CPU", "fp32"), []
    for revision in (None, "v2"):
        section = {"base_model": "some/model", "cache_dir": str(tmp_path), "revision": revision}
        config = Config.model_validate({"model": section})
        place = config.model
        base = resolve("some/model", revision=revision, cache_dir=place.cache_dir, emit=SILENT)
        found.append(float(load_base(base, config, device).model.norm.weight.detach().mean()))
    assert found == [1, 2]
    with pytest.raises(MachineError, match="some/model"):
        load_base(base, Config(), device)


ROWS = [
    TokenRow("a", (1, 30, 31, 32, 40, 41, 2), 4, 2),
    TokenRow("b", (1, 2), 1, 2),
    TokenRow("c", (*range(20, 90), 2), 33, 2),
]


@torch.no_grad()
@pytest.mark.parametrize("is_quantized", [True, False])
def test_attention_is_the_same_however_it_is_computed(tiny_model, is_quantized):
    """And a packed row's logits are those of the row alone, first and last token included."""
    batch = collate(list(to_dataset([ROWS])), multiple=32)
    base = BaseModel("tiny", str(tiny_model), "local folder")
    packed = []
    for name in ("sdpa", "eager"):
        config = Config.model_validate(
            {
                "model": {"attn_implementation": name},
                "quantization": {"load_in_4bit": is_quantized},
                "lora": {"target_modules": "all-linear"},
            }
        )
        model = load_base(base, config, Device("cpu", "the CPU", "fp32"))
        assert model.config._attn_implementation == name
        model = add_adapter(model, config.lora, seed=1)
        torch.manual_seed(0)
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.normal_(std=0.1)
        with evaluation_mode(model):
            given = {key: batch[key] for key in ("input_ids", "position_ids")}
            packed.append(model(**given, use_cache=False).logits[0])
            start = 0
            for row in ROWS:
                alone = model(input_ids=torch.tensor([row.input_ids])).logits[0]
                there = packed[-1][start : start + len(row.input_ids)]
                torch.testing.assert_close(there, alone, atol=2e-5, rtol=0)
                start += len(row.input_ids)
    torch.testing.assert_close(*packed, atol=2e-5, rtol=0)


def test_code_of_a_model_runs_only_where_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hub"))
    (tmp_path / "config.json").write_text(
        '{"model_type": "odd", "auto_map": {"AutoConfig": "odd.OddConfig", '
        '"AutoModelForCausalLM": "odd.OddModel"}, "hidden_size": 16, "num_attention_heads": 2, '
        '"num_key_value_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1}'
    )
    (tmp_path / "odd.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OddConfig(LlamaConfig):\n    model_type = 'odd'\n"
        "class OddModel(LlamaForCausalLM):\n    config_class = OddConfig\n"
    )
    base = BaseModel("odd", str(tmp_path), "local folder")
    trusting = Config.model_validate({"model": {"trust_remote_code": True}}).model
    assert type(skeleton(base, trusting)).__name__ == "OddModel"
    with pytest.raises(MachineError) as caught:
        skeleton(base, Config().model)
    assert "model.trust_remote_code=true" in caught.value.hint
