"""Signals in, an orderly stop out: Ctrl-C, SIGTERM and a closed terminal, in every phase of a run.

Before training there is nothing to save: the first signal ends the command. Once ``is_patient`` is
set the first is a wish that training looks for between steps; the second ends the command; a third
ends the process, whatever it does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from ethtune.core.errors import Interrupted

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


class StopSignals:
    """A context manager. ``received`` is the first signal's number, None before one came."""

    def __init__(self, on_wish: Callable[[], None]) -> None:
        self._on_wish = on_wish
        self._before: dict[int, Any] = {}
        self._pid = os.getpid()
        self.received: int | None = None
        self.is_patient = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take)
            # nohup has the process ignore a closed terminal: then the run goes on without one
            if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
                self._before[_HANGUP] = signal.signal(_HANGUP, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt):
            raise self.stopped("stopped, as asked") from None

    def stopped(self, message: str, *, hint: str | None = None) -> Interrupted:
        """The error that tells of the stop."""
        number = signal.SIGINT if self.received is None else self.received
        return Interrupted(message, signal_number=number, hint=hint)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a forked loader worker, which its trainer ends
        is_first, self.received = self.received is None, self.received or number
        if number == _HANGUP:
            _leave_terminal()
            if not is_first and self.is_patient:
                return  # shell and system both tell that the terminal is gone: nobody is in a hurry
        if is_first and self.is_patient:
            with contextlib.suppress(RuntimeError):  # the signal came while this stream was written
                self._on_wish()
            return
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        # no library catches this one on its way up, as some do any Exception
        raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Streams of a terminal that is gone lead nowhere, or the next print would be an error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(null, descriptor)
    os.close(null)
