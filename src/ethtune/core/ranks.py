"""Which of a run's processes is this one? What torchrun or accelerate set in the environment.

Rank 0 holds the run: it alone writes, shows and decides what one process can. The others train.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from dataclasses import dataclass

from ethtune.core.errors import UsageError

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True, slots=True)
class Rank:
    """``index`` of ``size`` processes; ``is_launched`` where a launcher said so, even of 1."""

    index: int = 0
    size: int = 1
    is_launched: bool = False

    @property
    def is_main(self) -> bool:
        """Whether this process holds the run."""
        return self.index == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process to agree with."""
        return self.size == 1

    @property
    def name(self) -> str:
        """For messages."""
        return f"process {self.index} of {self.size}"


def rank() -> Rank:
    """Of this process; the only one where no launcher says otherwise."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Rank()
    index, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if not (index.isdecimal() and size.isdecimal() and int(index) < int(size)):
        raise UsageError(
            f"RANK={index} and WORLD_SIZE={size} name no process of a run",
            hint="they are set by torchrun and accelerate launch; unset them to train alone",
        )
    return Rank(int(index), int(size), is_launched=True)


def end_with_launcher() -> None:
    """A launcher that is killed outright leaves no process of the run behind: each saves and ends.

    Linux alone can tell a process that its parent is gone.
    """
    if sys.platform != "linux" or "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
