"""A run asked to end from another terminal: after the step in hand, with a checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ethtune.core.errors import RunError
from ethtune.core.runfolder import RunFolder
from ethtune.core.runlock import Holder, is_alive, read_holder


def ask_to_stop(path: Path) -> int:
    """Send SIGTERM to the very process that holds the run; its pid.

    Raises RunError where no process of this machine and user does.
    """
    if sys.platform == "win32":
        raise RunError("a run cannot be stopped from here on Windows: press Ctrl-C where it trains")
    holder = read_holder(RunFolder(path).lock)
    if holder is None or holder.pid == os.getpid():
        raise RunError(f"no process trains in {path}")
    try:
        _signal(holder)
    except ProcessLookupError:
        text = f"process {holder.pid} of {path} is gone, or on another machine"
        raise RunError(text) from None
    except PermissionError:
        raise RunError(f"process {holder.pid} of {path} belongs to another user") from None
    except OSError as error:
        raise RunError(f"process {holder.pid} of {path} cannot be asked: {error}") from error
    return holder.pid


def _signal(holder: Holder) -> None:
    """SIGTERM to that process, or ProcessLookupError."""
    if not hasattr(os, "pidfd_open"):
        if not is_alive(holder):
            raise ProcessLookupError
        os.kill(holder.pid, signal.SIGTERM)
        return
    # held open, the number cannot become another process's between the look and the signal
    descriptor = os.pidfd_open(holder.pid)
    try:
        if not is_alive(holder):
            raise ProcessLookupError
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    finally:
        os.close(descriptor)
