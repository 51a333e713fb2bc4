"""How many cards there are for how many processes, and which of them each one sees."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ethtune.core.compose import compose
from ethtune.core.errors import MachineError
from ethtune.device.nvml import Session
from ethtune.device.target import cpu_target
from ethtune.services import launching
from ethtune.services.estimation import estimate

LOOK = (
    "import os, ethtune.model as _; env = os.environ; "
    "print(env['CUDA_VISIBLE_DEVICES'], env.get('LOCAL_RANK'))"
)


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(launching, "session", lambda: Session(None, ("first", "second"), None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("1", 1), ("0,1", 2), ("", 0)])
def test_a_user_may_hide_cards(two_cards, monkeypatch, visible, count):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert launching.visible_cards() == count


def test_too_few_cards_are_said_with_what_there_is(two_cards):
    with pytest.raises(
        MachineError, match="3 processes need 3 GPUs, one each: 2 NVIDIA GPUs"
    ) as told:
        launching.launch(["train"], 3)
    assert told.value.hint.startswith("--gpus 2")


@pytest.mark.parametrize(("environment", "seen"), [
    ({}, "0 None"),
    ({"CUDA_VISIBLE_DEVICES": "2,3"}, "2 None"),
    ({"LOCAL_RANK": "1"}, "1 0"),
    ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "2,3"}, "3 0"),
    ({"LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": "5"}, "5 0"),
])  # fmt: skip
def test_a_process_sees_one_card_its_own(environment, seen):
    plain = {k: v for k, v in os.environ.items() if k not in ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK")}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=plain | environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == seen.split()


def test_two_processes_take_half_the_time_and_as_much_memory_each():
    one, two = (
        estimate(
            compose(
                profile="cpu",
                overrides={
                    "training.num_processes": (count, "test"),
                    "training.max_steps": (100 // count, "test"),
                },
            ).config,
            target=cpu_target(),
        )
        for count in (1, 2)
    )
    assert two.process_bytes == one.process_bytes
    assert two.num_tokens == one.num_tokens
    assert two.seconds == pytest.approx([second / 2 for second in one.seconds], rel=0.01)
    assert two.step_seconds == one.step_seconds
