"""Profiles: what they promise is what the estimate says, and every value has its reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from ethtune.core.compose import compose
from ethtune.core.config import Config
from ethtune.core.profiles import (
    is_guides,
    profile_names,
    profile_purpose,
    profile_reasons,
    profile_text,
    vram_gib,
)
from ethtune.core.units import GIB
from ethtune.device.shapes import find_model
from ethtune.device.target import vram_target
from ethtune.services.estimation import estimate
from ethtune.services.profiles import explain, list_profiles, summary

OURS = [name for name in profile_names() if not is_guides(name)]
CARDS = [name for name in OURS if vram_gib(name)]
DESKTOP_GIB = 0.8
GUIDE = {  # model, r, target modules, micro batch, accumulation, sequence
    "guide-8gb": ("mistralai/Mistral-7B-v0.1", 8, ["q_proj", "v_proj"], 1, 32, 1024),
    "guide-12gb": ("mistralai/Mistral-7B-v0.1", 16, ["q_proj", "v_proj"], 1, 16, 2048),
    "guide-16gb": (
        "mistralai/Mistral-7B-v0.1", 32, ["q_proj", "k_proj", "v_proj", "o_proj"], 2, 8, 2048,
    ),
    "guide-24gb": ("meta-llama/Llama-2-13b-chat-hf", 64, "all-linear", 4, 4, 4096),
}  # fmt: skip


@pytest.mark.parametrize("name", GUIDE)
def test_the_guides_values_are_untouched(name):
    said = yaml.safe_load(profile_text(name))
    training = said["training"]
    assert GUIDE[name] == (
        said["model"]["base_model"],
        said["lora"]["r"],
        said["lora"]["target_modules"],
        training["per_device_train_batch_size"],
        training["gradient_accumulation_steps"],
        said["data"]["max_seq_length"],
    )
    assert said["lora"]["alpha"] == 2 * said["lora"]["r"]
    assert (training["learning_rate"], training["max_grad_norm"]) == (2e-4, 0.3)


@pytest.mark.parametrize("name", CARDS)
def test_a_profile_fits_its_card_beside_a_screen(name):
    found = estimate(compose(profile=name).config, target=vram_target(vram_gib(name)))
    assert found.process_bytes[1] / GIB < vram_gib(name) - DESKTOP_GIB


@pytest.mark.parametrize("name", CARDS)
def test_the_peak_and_speed_in_the_comment_are_those_of_the_estimate(name):
    said = profile_purpose(profile_text(name))
    low, high = map(float, re.search(r"([\d.]+) to ([\d.]+) GiB", said).groups())
    words = re.search(r"([\d,]+) to ([\d,]+) tokens a second", said).groups()
    found = summary(name)
    assert [size / GIB for size in found.process_bytes] == pytest.approx([low, high], abs=0.3)
    speeds = [float(word.replace(",", "")) for word in words]
    assert found.tokens_per_second == pytest.approx(speeds, rel=0.1)
    assert f"--profile {name} --vram {vram_gib(name)}" in said


@pytest.mark.parametrize("name", CARDS)
def test_no_profile_of_ours_needs_a_permission(name):
    assert not find_model(compose(profile=name).config.model.base_model).gated


@pytest.mark.parametrize("name", CARDS)
def test_a_step_is_as_many_tokens_on_every_card(name):
    config = compose(profile=name).config
    assert config.effective_batch_size * config.data.max_seq_length == 8192


@pytest.mark.parametrize("name", OURS)
def test_every_value_that_differs_from_its_default_has_a_reason(name):
    different = [item for item in explain(name).settings if item.value != item.default]
    bare = [item.key for item in different if not item.reason]
    assert bare == []


@pytest.mark.parametrize("name", CARDS)
def test_a_paged_optimizer_pages_something(name):
    config = compose(profile=name).config
    found = estimate(config, target=vram_target(vram_gib(name)))
    assert config.optimization.optim.startswith("paged_") is (found.paged_bytes > 0)


def test_the_list_shows_what_the_profiles_hold():
    found = list_profiles()
    assert [item.name for item in found.profiles] == profile_names()
    (twelve,) = (item for item in found.profiles if item.name == "guide-12gb")
    assert (twelve.rank, twelve.max_seq_length, twelve.accumulation_steps) == (16, 2048, 16)
    assert "RTX 3060" in twelve.card
    assert twelve.answer == "fits"
    assert json.loads(json.dumps(found.as_dict()))["profiles"][0]["name"] == "8gb"


def test_neighbours_are_of_the_same_family_and_their_changes_are_true():
    found = explain("12gb")
    assert (found.smaller.name, found.larger.name) == ("8gb", "16gb")
    assert explain("cpu").smaller is None
    assert explain("80gb").larger is None
    guides = explain("guide-12gb")
    assert (guides.smaller.name, guides.larger.name) == ("guide-8gb", "guide-16gb")
    assert guides.smaller.changes["data.max_seq_length"] == (2048, 1024)
    assert "model.base_model" not in guides.smaller.changes


def test_reasons_are_the_comments_above_and_beside():
    text = "# for me\nlora:\n  # above\n  # all\n  r: 4  # beside\n  alpha: 8\ndata:\n  # y\n  a: b"
    assert profile_reasons(text) == {"lora.r": "above all beside", "data.a": "y"}
    assert profile_purpose(text) == "for me"


class TestCommands:
    def test_list(self, ethtune):
        lines = ethtune("profiles", "list").stdout.splitlines()
        assert [line.split()[0] for line in lines[1:]][: len(profile_names())] == profile_names()
        assert max(map(len, lines[: 1 + len(profile_names())])) <= 80
        found = json.loads(ethtune("profiles", "list", "--json").stdout)
        assert {item["name"] for item in found["profiles"]} == set(profile_names())

    @pytest.mark.parametrize("name", profile_names())
    def test_what_show_prints_and_copy_writes_is_the_profile(self, ethtune, tmp_path, name):
        shown = ethtune("profiles", "show", name).stdout
        assert shown == profile_text(name)
        path = tmp_path / "mine.yaml"
        assert ethtune("profiles", "copy", name, path).exit_code == 0
        assert compose(config_file=path).config == compose(profile=name).config

    def test_copy_overwrites_nothing(self, ethtune, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert ethtune("profiles", "copy", "cpu").exit_code == 0
        Path("cpu.yaml").write_text("mine")
        refused = ethtune("profiles", "copy", "cpu")
        assert refused.exit_code == 2
        assert "cpu.yaml exists" in refused.stderr
        assert Path("cpu.yaml").read_text() == "mine"
        assert ethtune("profiles", "copy", "cpu", "no/such/folder/cpu.yaml").exit_code == 5

    @pytest.mark.parametrize("name", profile_names())
    def test_explain(self, ethtune, name):
        said = ethtune("profiles", "explain", name).stdout
        for key in explain(name).settings:
            assert f"{key.key}: " in said
        plain = json.loads(ethtune("profiles", "explain", name, "--json").stdout)
        values = {item["key"]: item["value"] for item in plain["settings"]}
        assert values["lora.r"] == compose(profile=name).config.lora.r

    def test_a_profile_that_does_not_exist(self, ethtune):
        refused = ethtune("profiles", "explain", "13gb")
        assert refused.exit_code == 3
        assert "did you mean" in refused.stderr


def test_the_defaults_are_the_guides_12gb_run():
    ours, guides = Config(), compose(profile="guide-12gb").config
    assert ours.lora == guides.lora
    assert ours.training == guides.training
    assert ours.optimization == guides.optimization
