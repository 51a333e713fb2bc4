"""Which value wins, where it is from, and what is said about a file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ethtune.core.compose import all_keys, compose, parse_assignment
from ethtune.core.config import DROPPED_KEYS, RENAMED_KEYS, Config
from ethtune.core.errors import ConfigError
from ethtune.core.profiles import profile_names

ROOT = Path(__file__).resolve().parents[3]

GUIDE = """\
model:
  name: "mistralai/Mistral-7B-v0.1"
  cache_dir: "./models/base"
lora:
  r: 16
  alpha: 32
  dropout: 0.05
  target_modules:
    - "q_proj"
    - "v_proj"
  bias: "none"
  task_type: "CAUSAL_LM"
quantization:
  load_in_4bit: true
  bnb_4bit_compute_dtype: "bfloat16"
  bnb_4bit_quant_type: "nf4"
  bnb_4bit_use_double_quant: true
training:
  output_dir: "models/fine-tuned/eth-intent-extractor-v1"
  num_train_epochs: 3
  per_device_train_batch_size: 1
  per_device_eval_batch_size: 1
  gradient_accumulation_steps: 16
  learning_rate: 2.0e-4
  max_grad_norm: 0.3
  warmup_ratio: 0.03
  lr_scheduler_type: "cosine"
data:
  max_seq_length: 2048
  dataset_text_field: "text"
optimization:
  gradient_checkpointing: true
  optim: "paged_adamw_32bit"
  fp16: false
  bf16: true
logging:
  logging_steps: 10
  save_strategy: "steps"
  save_steps: 500
  evaluation_strategy: "steps"
  eval_steps: 500
  save_total_limit: 3
  load_best_model_at_end: true
  metric_for_best_model: "eval_loss"
"""


@pytest.fixture
def written(tmp_path):
    """``written(text)``: a config file."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def faults(config_file, **rest) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(config_file=config_file, **rest)
    lines = caught.value.message.splitlines()
    return [line.removeprefix(str(config_file)) for line in lines if not line.startswith(" ")]


# -- precedence ----------------------------------------------------------------------------------


def test_each_layer_wins_over_the_one_before(written):
    path = written("lora:\n  r: 4\n  alpha: 8\n")
    composed = compose(
        config_file=path, profile="cpu", overrides={"lora.alpha": (9, "--set lora.alpha")}
    )
    lora = composed.config.lora
    assert (lora.r, lora.alpha, lora.target_modules, lora.bias) == (4, 9, "all-linear", "none")
    origins = {
        key: composed.origins[f"lora.{key}"] for key in ("r", "alpha", "target_modules", "bias")
    }
    assert origins == {
        "r": f"{path}:2:3",
        "alpha": "--set lora.alpha",
        "target_modules": "profile cpu",
        "bias": "default",
    }


def test_every_key_has_an_origin():
    assert list(compose().origins) == list(all_keys())
    assert set(compose().origins.values()) == {"default"}


def test_nothing_at_all_is_the_default_config(written):
    assert compose().config == Config() == compose(config_file=written("")).config


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(written):
    composed = compose(config_file=written(b"\xef\xbb\xbflora:\r\n  r: 8\r\n"))
    assert composed.config.lora.r == 8


@pytest.mark.parametrize("text", ["2e-4", "2.0e-4", "0.0002", "2E-4"])
def test_a_learning_rate_is_a_number_however_it_is_written(written, text):
    composed = compose(config_file=written(f"training:\n  learning_rate: {text}\n"))
    assert composed.config.training.learning_rate == 2e-4


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("logging:\n  save_strategy: no\n", "save_strategy", "no"),
        ("logging:\n  eval_strategy: false\n", "eval_strategy", "no"),
        ("logging:\n  report_to: none\n", "report_to", ()),
        ("logging:\n  report_to: wandb\n", "report_to", ("wandb",)),
        ("logging:\n  report_to: [wandb, mlflow]\n", "report_to", ("wandb", "mlflow")),
    ],
)
def test_common_spellings_are_understood(written, text, key, value):
    assert getattr(compose(config_file=written(text)).config.logging, key) == value


# -- the guide and the profiles ------------------------------------------------------------------


def test_the_guides_file_loads_unchanged(written):
    path = written(GUIDE)
    composed = compose(config_file=path)
    plain = composed.config.model_dump(mode="json")
    for section, keys in yaml.safe_load(GUIDE).items():
        for key, value in keys.items():
            if (section, key) not in DROPPED_KEYS:
                assert plain[section][RENAMED_KEYS.get((section, key), key)] == value, key
    assert composed.config.effective_batch_size == 16
    name, text_field, strategy = composed.hints
    assert name == f"{path}:2:3: model.name is read as base_model"
    assert text_field.startswith(f"{path}:30:3: data.dataset_text_field is not needed and passed")
    assert strategy == f"{path}:40:3: logging.evaluation_strategy is read as eval_strategy"


def test_the_example_file_is_the_guides_with_every_key_written_out():
    example = ROOT / "configs" / "training_config.yaml"
    composed = compose(config_file=example)
    guide = compose(config_file=None, overrides=_guide_overrides())
    for key in set(_guide_overrides()) - {"training.output_dir", "data.dataset_text_field"}:
        assert _value(composed.config, key) == _value(guide.config, key), key
        assert composed.origins[key] != "default", key


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_example_file_is_valid(path):
    assert compose(config_file=path).config


def _guide_overrides():
    return {
        f"{section}.{RENAMED_KEYS.get((section, key), key)}": (value, "guide")
        for section, keys in yaml.safe_load(GUIDE).items()
        for key, value in keys.items()
    }


def _value(config, dotted):
    section, key = dotted.split(".")
    return getattr(getattr(config, section), key)


@pytest.mark.parametrize("name", profile_names())
def test_profiles_are_valid_and_say_something(name):
    composed = compose(profile=name)
    assert f"profile {name}" in composed.origins.values()
    assert composed.hints == ()


def test_profiles_are_listed_from_the_smallest_card_to_the_cpu():
    cards = ["8gb", "12gb", "16gb", "24gb", "48gb", "80gb"]
    guides = ["guide-8gb", "guide-12gb", "guide-16gb", "guide-24gb"]
    assert profile_names() == [*cards, *guides, "cpu"]


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(ConfigError, match='no profile "12g"; did you mean 12gb') as caught:
        compose(profile="12g")
    assert all(name in caught.value.hint for name in profile_names())


# -- renamed keys --------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items(), ids="".join)
def test_older_names_are_read_with_a_hint(written, old, new):
    section, key = old
    value = _value(Config(), f"{section}.{new}")
    composed = compose(config_file=written(f"{section}:\n  {key}: {value}\n"))
    assert composed.config == Config()
    assert f"{section}.{key} is read as {new}" in composed.hints[0]


def test_an_old_and_a_new_name_of_one_thing_are_a_fault(written):
    found = faults(written("lora:\n  lora_alpha: 16\n  alpha: 32\n"))
    assert found == [":3:3: lora_alpha and alpha are two names of section lora's alpha: keep one"]


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "lora:\n  alhpa: 32\n",
            ':2:3: unknown key "alhpa" in section lora; did you mean alpha?',
        ),
        (
            "training:\n  dropout: 0.1\n",
            ':2:3: unknown key "dropout" in section training; it belongs in section lora',
        ),
        (
            "lorra:\n  r: 1\n",
            ':2:3: unknown section "lorra"; did you mean lora?',
        ),
        ("lora:\n  r: 0\n", ":2:3: lora.r is 0: input should be greater than or equal to 1"),
        (
            "lora:\n  r: many\n",
            ':2:3: lora.r is "many": input should be a valid integer',
        ),
        ("lora:\n  r: 1.5\n", ":2:3: lora.r is 1.5: input should be a valid integer"),
        ("lora:\n  bias: some\n", ":2:3: lora.bias is \"some\": input should be 'none', 'all'"),
        ("lora:\n  target_modules: []\n", ":2:3: target_modules is empty"),
        ("training:\n  learning_rate: nan\n", ':2:3: training.learning_rate is "nan"'),
        (
            "optimization:\n  fp16: true\n  bf16: true\n",
            ":3:3: fp16 and bf16 are both true: choose one",
        ),
        ("lora:\n  r: 1\n  r: 2\n", ':3:3: key "r" stands twice in section lora'),
    ],
)
def test_a_fault_has_its_place_and_the_nearest_right_word(written, text, expected):
    found = faults(written(text))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_word_near_nothing_gets_the_whole_list(written):
    assert "keys are alpha, bias" in faults(written("lora:\n  zzz: 1\n"))[0]
    assert "sections are model, lora" in faults(written("zzz:\n  r: 1\n"))[0]


def test_all_faults_come_at_once_each_with_its_line(written):
    path = written(
        "lora:\n  r: 0\n  alhpa: 32\n"
        "training:\n  learning_rate: -1\n"
        "logging:\n  save_total_limit: 1\n"
    )
    assert [found.split(" ")[0] for found in faults(path)] == [":3:3:", ":2:3:", ":5:3:", ":7:3:"]
    with pytest.raises(ConfigError) as caught:
        compose(config_file=path)
    assert "\n    alhpa: 32\n" in caught.value.message
    assert caught.value.hint is None  # each fault already says what is right


def test_a_flag_is_blamed_by_its_name():
    with pytest.raises(ConfigError, match=r"--learning-rate: training.learning_rate is -1\.0"):
        compose(overrides={"training.learning_rate": (-1.0, "--learning-rate")})


def test_files_that_cannot_be_read_are_config_errors(tmp_path, written):
    with pytest.raises(ConfigError, match="no config file at"):
        compose(config_file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        compose(config_file=tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        compose(config_file=written(b"lora: \xff\xfe\n"))


# -- --set ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "assignment"),
    [
        ("training.max_steps=200", ("training.max_steps", 200)),
        ("training.learning_rate=2e-4", ("training.learning_rate", 2e-4)),
        ("lora.target_modules=[q_proj,v_proj]", ("lora.target_modules", ["q_proj", "v_proj"])),
        ("lora.target_modules=all-linear", ("lora.target_modules", "all-linear")),
        ("data.dataset=a=b", ("data.dataset", "a=b")),
        ("model.revision=", ("model.revision", None)),
        (" lora.r = 8 ", ("lora.r", 8)),
    ],
)
def test_assignments(text, assignment):
    assert parse_assignment(text) == assignment


@pytest.mark.parametrize("text", ["lora.r", "r=8", "a.b.c=1", "=1", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        parse_assignment(text)


# -- the resolved config -------------------------------------------------------------------------

_VALUES = {
    "model.base_model": st.text(min_size=1, max_size=20),
    "model.revision": st.none() | st.text(max_size=8),
    "lora.r": st.integers(1, 512),
    "lora.alpha": st.floats(1e-3, 1e4),
    "lora.target_modules": st.sampled_from(["all-linear", ["q_proj"], ["q_proj", "v_proj"]]),
    "training.output_dir": st.none() | st.text(max_size=20),
    "training.learning_rate": st.floats(1e-9, 10),
    "training.seed": st.integers(0, 2**32 - 1),
    "data.dataset": st.none() | st.sampled_from(["no", "2e-4", "010", "null", "a: b", "[x"]),
    "optimization.bf16": st.sampled_from([True, False, "auto"]),
    "logging.save_strategy": st.sampled_from(["no", "steps", "epoch"]),
    "logging.report_to": st.sampled_from([[], ["wandb"], ["wandb", "mlflow"]]),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@example({"training.output_dir": "a\x85b\u2028c"})
@given(st.fixed_dictionaries({}, optional=_VALUES))
def test_the_resolved_config_composes_to_itself(tmp_path, chosen):
    first = compose(overrides={key: (value, "test") for key, value in chosen.items()})
    path = tmp_path / "resolved.yaml"
    path.write_text(first.to_yaml(), encoding="utf-8")
    again = compose(config_file=path)
    assert again.config == first.config
    assert again.to_yaml() == first.to_yaml()
    assert again.hints == ()
