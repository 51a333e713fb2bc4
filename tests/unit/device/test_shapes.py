"""Dimensions: the catalog against published parameter counts, and folders."""

import json

import pytest

from ethtune.core.errors import ConfigError
from ethtune.device.decoder import shape_from_config
from ethtune.device.shapes import catalog, config_of, find_model, shape_of

PUBLISHED = {
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "tinyllama-1.1b": 1_100_048_384,
    "mistral-7b-v0.1": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
    "mistral-7b-instruct": 7_241_732_096,
    "ministral-8b": 8_019_808_256,
    "mistral-nemo-12b": 12_247_782_400,
    "mistral-small-22b": 22_247_282_688,
    "mistral-small-24b": 23_572_403_200,
    "mixtral-8x7b-instruct": 46_702_792_704,
    "llama-2-7b": 6_738_415_616,
    "llama-2-7b-chat": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-13b-chat": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3-70b": 70_553_706_496,
    "llama-3.3-70b": 70_553_706_496,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen3-0.6b": 596_049_920,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "gemma-7b": 8_537_680_896,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320,
    "gemma-3-1b": 999_885_952,
    "phi-3-mini": 3_821_079_552,
    "phi-3.5-mini": 3_821_079_552,
    "phi-3-medium": 13_960_238_080,
    "phi-4-mini": 3_836_021_760,
    "phi-4": 14_659_507_200,
}


def test_parameters_add_up_to_the_published_counts():
    assert {model.alias: model.shape.num_parameters for model in catalog()} == PUBLISHED


def test_alias_and_hub_id_name_the_same_model_in_any_case():
    assert find_model("Mistral-7B-v0.1") is find_model("mistralai/mistral-7b-V0.1")


def test_an_unknown_model_is_told_the_nearest():
    with pytest.raises(ConfigError, match="mistral-8b") as caught:
        shape_of("mistral-8b")
    assert "mistral-7b-v0.1" in caught.value.hint


CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128,
    "vocab_size": 1000, "num_attention_heads": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"hidden_size": "wide"}, "no number"),
        ({"vocab_size": None}, "no number"),
    ],
)
def test_a_folder_that_cannot_be_estimated_says_why(tmp_path, change, words):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(ConfigError, match=words):
        shape_of(str(tmp_path))


def test_a_folder_without_config_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no config\.json"):
        shape_of(str(tmp_path))


def test_a_config_downloaded_before_tells_the_shape(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    assert shape_of("someone/model").hidden_size == 64
    assert shape_of(str(snapshot / "config.json")).vocab_size == 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model_type": "bert", "hidden_size": 768}', "'bert', whose memory cannot be estimated"),
        ('{"model_type": "t5", "d_model": 512}', "'t5'"),
        ('{"model_type": "vit"}', "'vit'"),
        ('{"architectures": ["LlamaForCausalLM"]}', "model_type is None"),
        ('{"model_type": "llama"}', "'num_attention_heads' is missing"),
        ('{"model_type": "mixtral", "num_attention_heads": 4, "hidden_size": 64, '
         '"num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}', "num_local_experts"),
        ('{"model_type": "llama"', "cannot be read"),
        ("[]", "expected a JSON object"),
        ("", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_describes_no_decoder_is_refused(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        shape_of(str(tmp_path))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head_dim": 15}, "head_dim is 15"),
        ({"hidden_size": -64}, "hidden_size is -64"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"num_hidden_layers": 10**9}, "num_layers is 1000000000"),
        ({"intermediate_size": 1e30}, "intermediate_size"),
        ({"hidden_size": 64.5}, "no number"),
        ({"num_attention_heads": True}, "no number"),
        ({"vocab_size": float("nan")}, "no number"),
    ],
)
def test_dimensions_that_no_model_has_are_refused(tmp_path, change, words):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(ConfigError, match=words) as caught:
        shape_of(str(tmp_path))
    assert caught.value.exit_code == 3


def test_the_catalogs_dimensions_read_back_from_what_stands_for_its_config():
    for model in catalog():
        plain = config_of(model.alias)
        assert shape_from_config(plain, place=model.alias) == model.shape
