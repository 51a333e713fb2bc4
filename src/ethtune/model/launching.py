"""The words of a command in, its exit code out, once as many processes have run it together.

torch's own elastic launcher starts them, each in a session of its own, and ends all when one fails.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ethtune.core.errors import MachineError

_SAVING_SECONDS = 24 * 3600  # after a signal: the step in hand, then a checkpoint, however large


def launch(words: Sequence[str], num_processes: int) -> int:
    """Run ``ethtune WORDS`` in so many processes of this machine.

    Raises MachineError where one of them was killed.
    """
    _silence()
    threads = max((os.cpu_count() or 1) // num_processes, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with tempfile.TemporaryDirectory(prefix="ethtune-") as scratch:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            run_id="ethtune",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=scratch),
            **_patience(),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "ethtune", *words)
        except ChildFailedError as error:
            return _exit_code(error, num_processes)
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def _silence() -> None:
    """Each process says itself what went wrong; the launcher would say it again, in its terms."""
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _patience() -> dict[str, Any]:
    """Older versions of torch kill after 30 seconds."""
    known = {field.name for field in fields(LaunchConfig)}
    return {"shutdown_timeout": _SAVING_SECONDS} if "shutdown_timeout" in known else {}


def _exit_code(error: ChildFailedError, num_processes: int) -> int:
    """Of the process that failed first. One that a signal ended could not say so itself."""

    def order(item: tuple[int, Any]) -> tuple[bool, int, int]:
        failure = item[1]  # the launcher ends the others with SIGTERM; times are whole seconds
        return failure.exitcode == -signal.SIGTERM, failure.timestamp, failure.exitcode

    rank, first = min(error.failures.items(), key=order)
    if first.exitcode > 0:
        return int(first.exitcode)
    raise MachineError(
        f"process {rank} of {num_processes} was ended by {_signal_name(-first.exitcode)}, and the "
        "others with it",
        hint="for want of memory, often: the system's log says so. ethtune resume goes on from the "
        "newest checkpoint",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
