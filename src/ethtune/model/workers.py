"""What a loader worker does first: leave signals to its trainer, and die with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def guard_workers(loader: Any) -> Any:
    """The same loader; its workers, if it has any, begin with ``_begin``."""
    if loader.num_workers:
        loader.worker_init_fn = partial(_begin, parent=os.getpid(), then=loader.worker_init_fn)
    return loader


def _begin(worker: int, *, parent: int, then: Callable[[int], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how the loader ends its workers
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # killed before the line above
            os._exit(1)
    if then is not None:
        then(worker)
