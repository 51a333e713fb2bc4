"""A number of processes that a run wants in; that many started, or left to the launcher, out."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ethtune.core.errors import MachineError
from ethtune.device.nvml import session


def visible_cards() -> int:
    """NVIDIA cards that a process of this user would see."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(session().handles)
    if chosen is None:
        return there
    return min(len([name for name in chosen.split(",") if name.strip()]), there)


def launch(words: Sequence[str], num_processes: int) -> int:
    """``ethtune WORDS`` in so many processes, one a card; the exit code.

    Raises MachineError where there are fewer cards, or one of the processes was killed.
    """
    cards = visible_cards()
    if cards < num_processes:
        there = f"{cards} NVIDIA GPU{'s' if cards > 1 else ''}" if cards else "no NVIDIA GPU"
        raise MachineError(
            f"{num_processes} processes need {num_processes} GPUs, one each: {there} to be seen "
            "here",
            hint=f"--gpus {max(cards, 1)}; torchrun --nproc-per-node {num_processes} -m ethtune "
            "starts processes on CPUs as well",
        )
    visible = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    from ethtune.model.launching import launch as launch_processes

    # the import narrowed what this process sees to one card, and the others would inherit that
    del os.environ["CUDA_VISIBLE_DEVICES"]
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return launch_processes(words, num_processes)
