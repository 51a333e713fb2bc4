"""All of a trainer that is no weight, to a tree and back: what makes a resumed run the same.

Optimizer, place in the schedule, loss scaler, random states, what the divergence guard knows, and
how the run makes do with the memory there is.
The schedule is a function of the step, so its place is enough: it is computed anew on resuming,
over as many steps and up to the rate that the config now says.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ethtune.core.errors import RunError
from ethtune.core.ranks import rank
from ethtune.model.processes import gathered
from ethtune.model.trees import not_finite

FILE = "training_state.safetensors"


def captured(trainer: Any) -> dict[str, Any]:
    """What ``restore`` needs; ``restore_random`` takes its ``random``."""
    scaler, states = trainer.accelerator.scaler, gathered(random_states())
    return {
        "step": trainer.state.global_step,
        "planned_steps": trainer.state.max_steps,
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": {"step": trainer.lr_scheduler.last_epoch},
        "scaler": scaler.state_dict() if scaler is not None else None,
        "random": states[0] if rank().is_alone else states,
        "guard": trainer.guard.state(),
        "memory": trainer.ladder.state(),
    }


def restore(tree: dict[str, Any], trainer: Any, folder: Path) -> None:
    """Optimizer, schedule and scaler. Raises RunError where they are of another run or step."""
    for name, found in (("its training state", tree["step"]), _told_step(folder)):
        if found != int(folder.name.rpartition("-")[2]):
            raise _mismatch(folder, f"{name} is of step {found}")
    for name in not_finite({"optimizer": tree["optimizer"]}):
        raise _mismatch(folder, f"{name} holds numbers that are none")
    trainer.guard.restore(tree["guard"])
    if "memory" in tree:  # older runs ended where theirs ran out
        trainer.ladder.restore(tree["memory"], trainer.model)
    _restore_optimizer(tree["optimizer"], trainer.optimizer, folder)
    steps = _optimizer_steps(trainer.optimizer)
    expected = tree["step"] - trainer.guard.skipped_steps
    if steps != expected:
        text = f"the optimizer has made {steps} steps, trainer_state.json says {expected}"
        raise _mismatch(folder, text)
    _place_schedule(trainer, int(tree["schedule"]["step"]))
    trainer.guard.skipped_steps += trainer.guard.skip_now
    scaler = trainer.accelerator.scaler
    if scaler is not None and tree["scaler"]:
        scaler.load_state_dict(tree["scaler"])


def own_random(states: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """Of the process of this rank; of rank 0 where the checkpoint knows none of it."""
    if isinstance(states, dict):
        return states
    return states[rank().index if rank().index < len(states) else 0]


def restore_random(states: dict[str, Any]) -> None:
    """The generators of Python, NumPy, torch and, where there is one, the GPU."""
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.random.set_rng_state(states["torch"])
    if torch.cuda.is_available() and states["cuda"] is not None:
        torch.cuda.random.set_rng_state(states["cuda"])


def _told_step(folder: Path) -> tuple[str, int]:
    name = "trainer_state.json"
    return name, json.loads((folder / name).read_text(encoding="utf-8"))["global_step"]


def random_states() -> dict[str, Any]:
    """What ``restore_random`` takes."""
    name, keys, *rest = np.random.get_state(legacy=True)
    is_cuda = torch.cuda.is_available()
    return {
        "python": random.getstate(),
        "numpy": (name, [int(key) for key in keys], *rest),
        "torch": torch.random.get_rng_state(),
        "cuda": torch.cuda.random.get_rng_state() if is_cuda else None,
    }


def _restore_optimizer(state: dict[str, Any], optimizer: Any, folder: Path) -> None:
    """Moments from the file; rates and decay as the config now says, the same if it is the same."""
    fresh = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    groups = [group for group in state["param_groups"] if group["params"]]  # older runs kept all
    try:
        optimizer.load_state_dict(state | {"param_groups": groups})
    except (ValueError, KeyError, RuntimeError) as error:
        raise _mismatch(folder, str(error).splitlines()[0]) from error
    for group, values in zip(optimizer.param_groups, fresh, strict=True):
        group.update(values)


def _optimizer_steps(optimizer: Any) -> int:
    """Updates that the moments went through; 0 without moments."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)


def _place_schedule(trainer: Any, step: int) -> None:
    """The schedule as of ``step``: its own arithmetic, so that the rate is the same to the bit."""
    schedule, factor = trainer.lr_scheduler, trainer.guard.rate_factor
    schedule.base_lrs = [rate * factor for rate in schedule.base_lrs]
    schedule.last_epoch = step + trainer.guard.skip_now
    schedule._step_count = schedule.last_epoch + 1
    rates = [
        base * shape(schedule.last_epoch)
        for base, shape in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
    ]
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    schedule._last_lr = rates


def _mismatch(folder: Path, fault: str) -> RunError:
    return RunError(
        f"{folder} cannot be continued: {fault}",
        hint="an older checkpoint: ethtune resume RUN --list, then --from checkpoint-N",
    )
