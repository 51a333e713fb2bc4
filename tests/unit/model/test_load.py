"""Base and adapter: NF4 twice quantised below, float32 above, the same for the same seed."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes.nn import Linear4bit

from ethtune.core.config import Config
from ethtune.core.errors import MachineError
from ethtune.model.basemodels import BaseModel
from ethtune.model.device import Device
from ethtune.model.load import add_adapter, load_base

DEVICE = Device("cpu", "the CPU", "fp32")


@pytest.fixture
def base(tiny_model):
    return BaseModel("tiny", str(tiny_model), "local folder")


def config(**sections):
    return Config.model_validate(sections)


def adapter_of(model):
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def test_linear_layers_are_nf4_and_their_scales_quantised_again(base):
    model = load_base(base, Config(), DEVICE)
    layers = {
        name: module for name, module in model.named_modules() if isinstance(module, Linear4bit)
    }
    assert len(layers) == 2 * 7  # attention and mlp of two layers, the head not
    for module in layers.values():
        state = module.weight.quant_state
        assert (state.quant_type, state.nested) == ("nf4", True)
        assert module.compute_dtype == torch.float32
    assert model.model.embed_tokens.weight.dtype == torch.float32
    assert not model.config.use_cache


def test_quantization_follows_the_config(base):
    plain = load_base(base, config(quantization={"load_in_4bit": False}), DEVICE)
    assert not any(isinstance(module, Linear4bit) for module in plain.modules())
    other = load_base(
        base,
        config(
            quantization={
                "bnb_4bit_quant_type": "fp4",
                "bnb_4bit_use_double_quant": False,
                "bnb_4bit_compute_dtype": "bfloat16",
            }
        ),
        DEVICE,
    )
    layer = other.model.layers[0].mlp.up_proj
    state = layer.weight.quant_state
    assert (state.quant_type, state.nested, layer.compute_dtype) == ("fp4", False, torch.bfloat16)


def test_attention_is_what_the_config_says(base):
    for name in ("eager", "sdpa"):
        model = load_base(base, config(model={"attn_implementation": name}), DEVICE)
        assert model.config._attn_implementation == name


def test_only_the_named_layers_train(base):
    model = add_adapter(load_base(base, Config(), DEVICE), Config().lora, seed=1)
    names = adapter_of(model)
    assert len(names) == 2 * 2 * 2  # A and B of q and v in two layers
    assert all(".q_proj.lora_" in name or ".v_proj.lora_" in name for name in names)
    assert {value.dtype for value in names.values()} == {torch.float32}


def test_the_seed_alone_decides_the_adapter(base):
    def fresh(seed):
        torch.rand(7)  # whatever was drawn before
        return adapter_of(add_adapter(load_base(base, Config(), DEVICE), Config().lora, seed=seed))

    first, same, other = fresh(1), fresh(1), fresh(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_all_linear_means_all_but_the_head(base):
    lora = config(lora={"target_modules": "all-linear"}).lora
    names = adapter_of(add_adapter(load_base(base, Config(), DEVICE), lora, seed=1))
    assert len(names) == 2 * 7 * 2
    assert not any("lm_head" in name for name in names)


def test_a_folder_without_weights_is_told(base, tiny_model, tmp_path):
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
    with pytest.raises(MachineError, match="cannot be loaded") as caught:
        load_base(BaseModel("torn", str(tmp_path), "local folder"), Config(), DEVICE)
    assert "safetensors" in caught.value.hint
