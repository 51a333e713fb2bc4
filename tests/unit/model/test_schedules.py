"""The learning rate of every schedule at every step, against its closed form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers.optimization import get_scheduler

from ethtune.core.config import Config
from ethtune.core.runfolder import RunFolder
from ethtune.core.schedules import OPTIONS, Schedule
from ethtune.model.arguments import library_arguments
from ethtune.model.device import Device

PEAK, STEPS, WARMUP = 1e-3, 40, 10
LEFT = STEPS - WARMUP


def share(step):
    """Of the way from the end of the warm-up to the end of the run."""
    return (step - WARMUP) / LEFT


def cosine(at, floor=0.0):
    return floor + (1 - floor) * (1 + math.cos(math.pi * at)) / 2


CURVES = {
    ("cosine", ()): lambda at: cosine(share(at)),
    ("linear", ()): lambda at: 1 - share(at),
    ("constant", ()): lambda _: 1,
    ("constant_with_warmup", ()): lambda _: 1,
    ("cosine_with_restarts", (("num_cycles", 3),)): lambda at: cosine(3 * share(at) % 1),
    ("polynomial", (("power", 2), ("lr_end", 1e-4))): lambda at: 0.1 + 0.9 * (1 - share(at)) ** 2,
    ("inverse_sqrt", (("timescale", 4),)): lambda at: (1 + (at - WARMUP) / 4) ** -0.5,
    ("cosine_with_min_lr", (("min_lr_rate", 0.2),)): lambda at: cosine(share(at), 0.2),
    ("cosine_with_min_lr", (("min_lr", 1e-4),)): lambda at: cosine(share(at), 0.1),
    ("cosine_warmup_with_min_lr", (("min_lr_rate", 0.2),)): lambda at: cosine(
        (at - WARMUP + 1) / LEFT, 0.2
    ),
    (
        "warmup_stable_decay",
        (("num_decay_steps", 10), ("decay_type", "linear"), ("min_lr_ratio", 0.1)),
    ): lambda at: 1 if at < STEPS - 10 else 0.1 + 0.9 * (STEPS - at) / 10,
}


def rates(**training):
    """The learning rate of each step as the trainer would have it."""
    config = Config.model_validate({"training": {"learning_rate": PEAK} | training})
    device = Device("cpu", "the CPU", "fp32")
    arguments = library_arguments(config, RunFolder(Path()), device, has_validation=False)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=arguments.learning_rate)
    schedule = get_scheduler(
        arguments.lr_scheduler_type,
        optimizer,
        num_warmup_steps=arguments.get_warmup_steps(STEPS),
        num_training_steps=STEPS,
        scheduler_specific_kwargs=arguments.lr_scheduler_kwargs,
    )
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("name", "options"), CURVES)
def test_lr_scheduler_type_and_its_kwargs_are_the_curve(name, options):
    warmup = {"warmup_ratio": 0} if name == "constant" else {"warmup_steps": WARMUP}
    found = rates(lr_scheduler_type=name, lr_scheduler_kwargs=dict(options), **warmup)
    curve = CURVES[name, options]
    assert found[WARMUP:] == pytest.approx([PEAK * curve(at) for at in range(WARMUP, STEPS)])


def test_every_schedule_and_every_option_is_known_to_the_library():
    assert {name for name, _ in CURVES} == set(get_args(Schedule))
    assert OPTIONS.keys() <= set(get_args(Schedule))


def test_the_rate_rises_over_the_warm_up():
    rising = [PEAK * at / WARMUP for at in range(WARMUP)]
    assert rates(warmup_steps=WARMUP)[:WARMUP] == pytest.approx(rising)
    assert rates(warmup_ratio=WARMUP / STEPS)[:WARMUP] == pytest.approx(rising)
    assert rates(warmup_ratio=0.9, warmup_steps=WARMUP)[:WARMUP] == pytest.approx(rising)


@pytest.mark.parametrize(
    ("training", "fault"),
    [
        ({"lr_scheduler_kwargs": {"min_lr": 1e-5}}, 'cosine has no option "min_lr"'),
        ({"lr_scheduler_kwargs": {"num_cycle": 1}}, "did you mean num_cycles?"),
        ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"power": 1}}, "it takes none"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "needs one of min_lr and min_lr_rate"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "needs its last phase"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 5}, "constant has no warm-up"),
        (
            {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1}},
            "min_lr is 1, not below learning_rate",
        ),
        (
            {
                "lr_scheduler_type": "warmup_stable_decay",
                "lr_scheduler_kwargs": {"num_decay_steps": 1.5, "decay_type": "steep"},
            },
            "steps are whole; decay_type is steep: it is one of",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_a_fault_of_the_config(training, fault):
    with pytest.raises(ValueError, match=fault.replace("?", r"\?")):
        Config.model_validate({"training": training})
