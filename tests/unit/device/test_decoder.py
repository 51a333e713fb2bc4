"""A config.json as dimensions: every family read right, or refused by name."""

import json

import pytest

from ethtune.core.errors import ConfigError
from ethtune.device.decoder import FAMILIES, shape_from_config
from ethtune.device.shapes import catalog, shape_of

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128,
    "vocab_size": 1000, "num_attention_heads": 4,
}  # fmt: skip


def read(**change):
    return shape_from_config(CONFIG | change, place="config.json")


def test_what_is_left_out_has_the_library_s_defaults():
    shape = read()
    assert (shape.num_kv_heads, shape.head_dim, shape.tie_embeddings) == (4, 16, False)
    assert read(model_type="gemma2").tie_embeddings


def test_a_window_counts_only_where_it_is_used():
    assert read(model_type="mistral", sliding_window=4096).sliding_window == 4096
    assert (
        read(model_type="qwen2", sliding_window=9, use_sliding_window=False).sliding_window is None
    )


def test_a_mixture_names_its_experts_as_its_family_does():
    mixtral = read(model_type="mixtral", num_local_experts=8, num_experts_per_tok=2)
    assert (mixtral.num_experts, mixtral.experts_per_token) == (8, 2)
    assert mixtral.num_linear_parameters == 2 * (4 * 64 * 64 + 8 * 3 * 64 * 128 + 8 * 64)
    idle = mixtral.num_linear_parameters - mixtral.num_active_parameters
    assert idle == 2 * 6 * 3 * 64 * 128
    qwen = read(
        model_type="qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32
    )
    assert qwen.intermediate_size == 32


def test_the_text_part_of_a_model_that_sees_is_read():
    nested = {"model_type": "gemma3", "text_config": CONFIG | {"model_type": "gemma3_text"}}
    assert shape_from_config(nested, place="config.json").family == "gemma3_text"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"model_type": "deepseek_v3"}, "deepseek_v3"),
        ({"model_type": None}, "None"),
        ({"hidden_size": 66}, "4 heads do not divide hidden_size 66"),
        ({"num_key_value_heads": 3}, "3 key heads do not divide 4 query heads"),
        ({"num_attention_heads": 0}, "num_heads is 0"),
        ({"num_hidden_layers": -1}, "num_layers is -1"),
        ({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3}, "3 of 2"),
        ({"model_type": "mixtral"}, "num_local_experts"),
    ],
)
def test_what_no_decoder_has_is_refused(change, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read(**change)
    assert caught.value.exit_code == 3


def test_a_family_in_the_catalog_is_described():
    assert {model.shape.family for model in catalog()} <= FAMILIES.keys()


def test_a_folder_gives_what_the_catalog_gives(tmp_path):
    plain = {
        "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "vocab_size": 152064,
        "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4,
        "use_sliding_window": False, "sliding_window": 131072, "tie_word_embeddings": False,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(plain))
    assert shape_of(str(tmp_path)) == shape_of("qwen2.5-7b")
