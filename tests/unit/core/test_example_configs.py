"""The complete example names every key once, with its true default; profiles compose."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from ethtune.core.compose import all_keys, compose
from ethtune.core.profiles import profile_names

EXAMPLE = Path(__file__).resolve().parents[3] / "configs" / "training_config.yaml"
_SECTION = re.compile(r"(\w+):$").fullmatch
_KEY = re.compile(r"  (# )?(\w+):(?: .*)?").fullmatch


def named_keys() -> list[tuple[str, bool]]:
    """Each "section.key" of the example in its order, and whether it is commented out."""
    section, found = "", []
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if start := _SECTION(line):
            section = start[1]
        elif key := _KEY(line):
            found.append((f"{section}.{key[2]}", key[1] is not None))
    return found


def test_the_example_names_every_key_exactly_once():
    assert Counter(key for key, _ in named_keys()) == Counter(all_keys())


def test_the_example_composes_and_sets_only_its_live_lines():
    origins = compose(config_file=EXAMPLE).origins
    live = {key for key, is_commented in named_keys() if not is_commented}
    assert {key for key, origin in origins.items() if origin != "default"} == live


def test_commented_lines_show_the_defaults(tmp_path):
    text = re.sub(r"(?m)^  # (?=\w+: )", "  ", EXAMPLE.read_text(encoding="utf-8"))
    whole = tmp_path / "whole.yaml"
    whole.write_text(text, encoding="utf-8")
    composed = compose(config_file=whole)
    assert "default" not in composed.origins.values()
    assert composed.config == compose(config_file=EXAMPLE).config


def test_the_example_is_the_guides_run():
    config = compose(config_file=EXAMPLE).config
    assert config.model.base_model == "mistralai/Mistral-7B-v0.1"
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (16, 32, 0.05)
    assert config.effective_batch_size == 16
    assert config.training.learning_rate == 2e-4
    assert config.optimization.bf16 is True


@pytest.mark.parametrize("name", profile_names())
def test_profiles_compose_and_take_the_example_on_top(name):
    assert compose(profile=name).config.model.base_model
    on_top = compose(profile=name, config_file=EXAMPLE)
    assert on_top.origins["lora.r"].startswith(str(EXAMPLE))
    assert on_top.origins["data.packing"] in ("default", f"profile {name}")
