"""The command line of a training that several processes run: whose part is whose."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from ethtune.core.ranks import end_with_launcher, rank


def follows() -> bool:
    """True once this process has trained along with the one that holds the run, if it is such."""
    if rank().is_launched:
        end_with_launcher()
    if rank().is_main:
        return False
    from ethtune.services.following import follow

    follow()
    return True


def launched_processes() -> dict[str, tuple[Any, str]]:
    """What a launcher has settled, as overrides for ``compose``: it beats file and flag."""
    if not rank().is_launched:
        return {}
    settled: dict[str, tuple[Any, str]] = {"training.num_processes": (rank().size, "the launcher")}
    if _is_set("ACCELERATE_USE_FSDP"):
        settled["training.fsdp"] = (True, "the launcher")
    if _is_set("ACCELERATE_USE_DEEPSPEED"):
        settled["training.deepspeed"] = (_deepspeed(), "the launcher")
    return settled


def _deepspeed() -> Any:
    """The file that accelerate was given, or what it was asked about instead of one."""
    if file := os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE"):
        return file
    zero: dict[str, Any] = {"stage": int(os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))}
    for part in ("OPTIMIZER", "PARAM"):
        device = os.environ.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part}_DEVICE", "none")
        if device != "none":
            zero[f"offload_{part.lower()}"] = {"device": device}
    return {"zero_optimization": zero}


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("1", "true", "yes")


def run_in_processes(num_processes: int) -> None:
    """Run this very command line in so many, and end; unless it is one, or has been launched."""
    if num_processes == 1 or rank().is_launched:
        return
    from ethtune.services.launching import launch

    raise typer.Exit(launch(sys.argv[1:], num_processes))
