"""What an adapter may stand on: refused before there are weights, with the layers that exist."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError
from ethtune.model.basemodels import BaseModel
from ethtune.model.device import Device
from ethtune.model.load import add_adapter
from ethtune.model.targets import check_adapter, check_targets, skeleton

CPU = Device("cpu", "the CPU", "fp32")
SIZES = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
LLAMAS = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj; or all-linear"


def config(**sections):
    return Config.model_validate(sections)


def on_meta(kind, **more):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **more))


LLAMA = {"intermediate_size": 64, "num_key_value_heads": 2, "pad_token_id": 0}


@pytest.fixture(scope="module")
def llama():
    return on_meta("llama", **LLAMA)


@pytest.fixture(scope="module")
def gpt2():
    return on_meta("gpt2")


def refusal(model, targets):
    with pytest.raises(ConfigError) as caught:
        check_targets(model, config(lora={"target_modules": targets}).lora)
    assert caught.value.message.startswith(f"lora.target_modules: {model.config.model_type}: ")
    return caught.value


@pytest.mark.parametrize(
    ("targets", "fault", "meant"),
    [
        (["q_prj"], "it has no layer q_prj", "did you mean q_proj for q_prj? "),
        (["q_proj", "c_attn", "wte"], "it has no layer c_attn, wte", ""),
        (["gate", "up"], "it has no layer gate, up", "did you mean gate_proj for gate"),
        (".*c_attn", 'no layer matches the regular expression ".*c_attn"', ""),
        ("q_proj", "no layer matches", "did you mean the list [q_proj]? "),
        ("q_proj,v_proj", "no layer matches", "did you mean the list [q_proj], the list [v_proj]"),
        ("*.q_proj", "*.q_proj is no regular expression", ""),
        (["embed_tokens"], "model.embed_tokens is no linear layer, but Embedding", ""),
        (["mlp"], "model.layers.0.mlp is no linear layer, but LlamaMLP", ""),
        (r".*layers\.1\..*", "model.layers.1.self_attn is no linear layer", ""),
    ],
)
def test_targets_that_are_none_are_refused_with_those_that_are(llama, targets, fault, meant):
    error = refusal(llama, targets)
    assert fault in error.message
    assert error.hint.startswith(meant)
    assert LLAMAS in error.hint


@pytest.mark.parametrize(
    "targets",
    [["q_proj"], "all-linear", ["self_attn.q_proj", "lm_head"], r".*\.1\..*[qv]_proj", "lm_head"],
)
def test_targets_that_are_linear_layers_are_taken(targets):
    model = on_meta("llama", **LLAMA, tie_word_embeddings=False)
    lora = config(lora={"target_modules": targets}).lora
    check_targets(model, lora)
    with torch.device("meta"):
        assert add_adapter(model, lora, seed=1).get_nb_trainable_parameters()[0]


def test_a_head_that_is_tied_to_the_embeddings_carries_no_adapter(gpt2):
    for model in (on_meta("llama", **LLAMA, tie_word_embeddings=True), gpt2):
        error = refusal(model, ["lm_head"])
        assert "lm_head shares its weight with the input embeddings" in error.message


@pytest.mark.parametrize("targets", ["all-linear", ["c_attn"], ".*c_proj"])
def test_gpt2s_transposed_layers_are_linear(gpt2, targets):
    check_targets(gpt2, config(lora={"target_modules": targets}).lora)


def test_the_guides_targets_are_refused_where_a_model_calls_them_otherwise(gpt2):
    assert "c_attn, c_fc, c_proj; or all-linear" in refusal(gpt2, ["q_proj", "v_proj"]).hint


def test_a_model_without_linear_layers_is_told():
    class Bare(torch.nn.Module):
        config = AutoConfig.for_model("llama", **SIZES, **LLAMA)

        def get_output_embeddings(self):
            return None

    assert "it has no linear layers" in refusal(Bare(), "all-linear").message


@pytest.fixture
def folder(tmp_path):
    """``folder(kind, **config)``: a base model of which only the configuration is there."""

    def save(kind, **more):
        AutoConfig.for_model(kind, **SIZES, **more).save_pretrained(tmp_path)
        return BaseModel("base", str(tmp_path), "local folder")

    return save


def test_no_weights_are_needed(folder):
    base = folder("llama", **LLAMA)
    assert next(skeleton(base, Config().model).parameters()).is_meta
    check_adapter(base, Config(), CPU)
    with pytest.raises(ConfigError, match="c_attn"):
        check_adapter(base, config(lora={"target_modules": ["c_attn"]}), CPU)


def test_biases_that_are_not_there_cannot_train(folder):
    wanted = config(lora={"bias": "all"})
    with pytest.raises(ConfigError, match="llama has no biases that could train"):
        check_adapter(folder("llama", **LLAMA), wanted, CPU)
    qwen = folder("qwen2", **LLAMA)
    check_adapter(qwen, wanted, CPU)


def test_biases_of_4_bit_layers_cannot_train_in_half_precision(folder):
    qwen = folder("qwen2", **LLAMA)
    half = Device("cuda", "A card", "bf16")
    with pytest.raises(ConfigError, match="biases of 4-bit layers are held in bf16"):
        check_adapter(qwen, config(lora={"bias": "lora_only"}), half)
    plain = {"lora": {"bias": "lora_only"}, "quantization": {"load_in_4bit": False}}
    check_adapter(qwen, config(**plain), half)


def test_a_model_that_is_none_is_told(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no such kind"}')
    with pytest.raises(MachineError, match="cannot be loaded"):
        check_adapter(BaseModel("odd", str(tmp_path), "local folder"), Config(), CPU)
