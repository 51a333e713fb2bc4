"""The command line of a training that several processes run: whose part is whose."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from ethtune.core.errors import UsageError
from ethtune.core.ranks import end_with_launcher, rank

_SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


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
    for variable, engine in _SHARDING.items():
        if os.environ.get(variable, "false").lower() in ("1", "true", "yes"):
            raise UsageError(
                f"accelerate is configured for {engine}, which ethtune does not train with",
                hint="accelerate launch --multi_gpu: each GPU holds the whole model, in 4 bit",
            )
    if not rank().is_launched:
        return {}
    return {"training.num_processes": (rank().size, "the launcher")}


def run_in_processes(num_processes: int) -> None:
    """Run this very command line in so many, and end; unless it is one, or has been launched."""
    if num_processes == 1 or rank().is_launched:
        return
    from ethtune.services.launching import launch

    raise typer.Exit(launch(sys.argv[1:], num_processes))
