"""What each key of ``lora`` makes of the adapter: which tensors there are, and how they count."""

from __future__ import annotations

import math

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoConfig, AutoModelForCausalLM

from ethtune.core.config import Config
from ethtune.model.load import add_adapter

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
}  # fmt: skip


def adapted(kind="llama", **lora):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES))
    return add_adapter(model, Config.model_validate({"lora": lora}).lora, seed=1)


def trained(model):
    return {name: item for name, item in model.named_parameters() if item.requires_grad}


def layers(model):
    return {name: item for name, item in model.named_modules() if isinstance(item, LoraLayer)}


@pytest.mark.parametrize("rank", [2, 5])
def test_r_is_the_rank_of_the_update(rank):
    for name, item in trained(adapted(r=rank)).items():
        width = 16 if "v_proj" in name and "lora_B" in name else 32
        assert tuple(item.shape) == ((rank, 32) if "lora_A" in name else (width, rank))


@pytest.mark.parametrize(
    ("lora", "scale"),
    [
        ({"r": 4, "alpha": 8}, 2),
        ({"r": 4, "alpha": 1}, 0.25),
        ({"r": 4, "alpha": 8, "use_rslora": True}, 8 / math.sqrt(4)),
        ({"r": 9, "alpha": 1, "use_rslora": True}, 1 / 3),
    ],
)
def test_alpha_over_r_or_over_its_root_scales_the_update(lora, scale):
    model = adapted(**lora, dropout=0, target_modules=["q_proj"]).eval()
    (layer, *_) = layers(model).values()
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    given = torch.randn(3, 32)
    update = given @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T
    expected = layer.base_layer(given) + scale * update
    torch.testing.assert_close(layer(given), expected, atol=1e-5, rtol=1e-5)


def test_dropout_hits_the_adapters_inputs_in_training_alone():
    for share in (0.0, 0.4):
        model = adapted(dropout=share, target_modules=["q_proj"])
        (layer, *_) = layers(model).values()
        given = torch.ones(1, 100_000)
        dropped = layer.lora_dropout["default"].train()(given)
        assert float((dropped == 0).float().mean()) == pytest.approx(share, abs=0.01)
        assert torch.equal(layer.lora_dropout["default"].eval()(given), given)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (["q_proj"], {"q_proj"}),
        (["k_proj", "up_proj"], {"k_proj", "up_proj"}),
        (r".*layers\.1\.mlp\.\w+_proj", {"gate_proj", "up_proj", "down_proj"}),
        ("all-linear", {f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}),
    ],
)
def test_target_modules_are_the_layers_that_get_one(targets, names):
    found = layers(adapted(target_modules=targets))
    assert {name.rpartition(".")[2] for name in found} == names
    if "layers" in targets:
        assert all(".layers.1." in name for name in found)


@pytest.mark.parametrize(
    ("bias", "names"),
    [("none", set()), ("lora_only", {"q_proj"}), ("all", {"q_proj", "k_proj", "v_proj"})],
)
def test_bias_says_which_biases_train(bias, names):
    found = trained(adapted("qwen2", bias=bias, target_modules=["q_proj"]))
    biased = {name.split(".self_attn.")[1].split(".")[0] for name in found if "bias" in name}
    assert biased == names


def test_dora_adds_the_magnitude_of_each_output():
    assert not [name for name in trained(adapted()) if "magnitude" in name]
    for name, item in trained(adapted(use_dora=True)).items():
        if "magnitude" in name:
            weight = 32 if "q_proj" in name else 16
            assert tuple(item.shape) == (weight,)
    assert sum("magnitude" in name for name in trained(adapted(use_dora=True))) == 2 * 2
