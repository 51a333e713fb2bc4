"""Rungs in order, none left again, and settings that help where there is no rung."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ethtune.core.config import Config
from ethtune.device.target import vram_target
from ethtune.model.memoryladder import CHECKPOINTING, SDPA, MemoryLadder, ways_out
from ethtune.services.estimation import estimate

WASTEFUL = {
    "model": {"attn_implementation": "eager"},
    "optimization": {"gradient_checkpointing": False},
}


class Model:
    """What a ladder switches on a model."""

    def __init__(self, **config):
        self._supports_sdpa = True
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**config))
        self.said = []

    def get_base_model(self):
        return self

    def set_attn_implementation(self, name):
        self.said.append(name)

    def activation_checkpointing_enable(self, options):
        self.said.append(options)


def climbed(ladder, model, documents=3):
    while ladder.split(1, documents, "") or ladder.switch(1, model, ""):
        pass


@pytest.fixture
def events():
    return []


def test_parts_double_until_each_document_is_alone_then_switches_go_on(events):
    model = Model()
    climbed(MemoryLadder(Config.model_validate(WASTEFUL), events.append), model)
    assert [(e.action, e.amount or e.setting) for e in events] == [
        ("split", 2), ("split", 4), ("switch", SDPA), ("switch", CHECKPOINTING),
    ]  # fmt: skip
    assert model.said == ["sdpa", {"use_reentrant": False}]


def test_switches_are_in_the_order_of_the_estimate(events):
    config = Config.model_validate(WASTEFUL)
    climbed(MemoryLadder(config, events.append), Model())
    offered = [
        name for item in estimate(config, target=vram_target(12)).savings for name in item.settings
    ]
    switches = [event.setting for event in events if event.action == "switch"]
    assert [name for name in offered if name in switches] == switches


def test_what_is_on_or_would_be_another_model_is_not_switched(events):
    climbed(MemoryLadder(Config(), events.append), Model())
    assert [event.action for event in events] == ["split", "split"]
    config = Config.model_validate({"model": WASTEFUL["model"]})
    capped = Model(attn_logit_softcapping=50.0)
    climbed(MemoryLadder(config, events.append), capped)
    assert capped.said == []


def test_restored_it_stands_where_it_stood(events):
    config = Config.model_validate(WASTEFUL)
    ladder = MemoryLadder(config, events.append)
    climbed(ladder, Model())
    assert ladder.split_validation(1, 2, "")
    assert ladder.answer_fewer(1, "")
    model, again = Model(), MemoryLadder(config, events.append)
    num_told = len(events)
    again.restore(ladder.state(), model)
    assert again.state() == ladder.state()
    assert model.said == ["sdpa", {"use_reentrant": False}]
    again.restore(MemoryLadder(config, events.append).state(), model)
    assert again.state() == ladder.state()
    assert len(events) == num_told


def test_answers_are_halved_down_to_one(events):
    ladder = MemoryLadder(Config(), events.append)
    while ladder.answer_fewer(5, ""):
        pass
    assert [event.amount for event in events] == [4, 2, 1]


@pytest.mark.parametrize(
    ("given", "is_split", "expected"),
    [
        ({}, True, ("data.max_seq_length=350", "optimization.optim=paged_adamw_8bit", "lora.r=8")),
        (
            WASTEFUL | {"quantization": {"load_in_4bit": False}},
            False,
            (CHECKPOINTING, "quantization.load_in_4bit=true", "data.max_seq_length=350"),
        ),
        (
            {"training": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}},
            False,
            (
                "training.per_device_train_batch_size=1"
                " --set training.gradient_accumulation_steps=8",
                "data.max_seq_length=350",
                "optimization.optim=paged_adamw_8bit",
            ),
        ),
        (
            {
                "lora": {"r": 1, "target_modules": "all-linear"},
                "optimization": {"optim": "adamw_8bit"},
            },
            True,
            (
                "data.max_seq_length=350",
                "lora.target_modules=[q_proj,v_proj]",
                "model.base_model=a smaller one",
            ),
        ),
    ],
)
def test_three_settings_that_are_not_on_yet(given, is_split, expected):
    assert ways_out(Config.model_validate(given), 700, is_split=is_split) == expected
