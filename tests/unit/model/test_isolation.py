"""A model whose rows would see each other in a sequence is found out before it learns from that."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.model.isolation import require_isolation, sees_itself_alone

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
OPT = {"ffn_dim": 64, "word_embed_proj_dim": 32}


def model_of(kind, dtype=torch.float32, **more):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        described = AutoConfig.for_model(kind, **SIZES, **more)
        return AutoModelForCausalLM.from_config(described).eval().to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("mistral", {"sliding_window": 4}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 8}),
        ("phi3", {}),
        ("gpt2", {}),
        ("gpt_neox", {}),
        ("mixtral", {"num_local_experts": 4}),
    ],
)
def test_rows_are_blind_to_each_other_in_the_usual_models(kind, more, attention, dtype):
    assert sees_itself_alone(model_of(kind, dtype, **more, attn_implementation=attention))


def test_a_model_that_knows_no_borders_is_refused_where_rows_share_a_sequence():
    model = model_of("opt", **OPT)
    alone = {"data": {"packing": False}}
    for size in ("per_device_train_batch_size", "per_device_eval_batch_size"):
        for sections in ({}, alone | {"training": {size: 2}}):
            with pytest.raises(ConfigError, match="opt lets the rows of a sequence see each other"):
                require_isolation(model, Config.model_validate(sections))
    require_isolation(model, Config.model_validate(alone))
