"""Single keys from the terminal, as words: "q", "up", "enter"; nothing where there is no keyboard.

Ctrl-C stays what it is. Ctrl-Z is ignored: it would leave the shell on a foreign screen.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

if sys.platform == "win32":
    import msvcrt

    def _typed_on_windows(seconds: float) -> str:
        end = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() >= end:
                return ""
            time.sleep(_WINDOWS_POLL_SECONDS)
        return typed_on_console(msvcrt.getwch)

else:
    import termios

_NAMES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[C": "right",
    "\x1bOC": "right", "\x1b[D": "left", "\x1bOD": "left", "\x1b": "escape", "\r": "enter",
    "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace",
}  # fmt: skip
# a key without a letter comes to a Windows console in two parts: one of these, then its code
_CONSOLE_LEADS = ("\x00", "\xe0")
_CONSOLE_CODES = {"H": "\x1b[A", "P": "\x1b[B", "M": "\x1b[C", "K": "\x1b[D"}
# a key with its whole sequence: the letters in an unknown one are no keys
_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)|.", re.DOTALL)
_WINDOWS_POLL_SECONDS = 0.05


class Keyboard:
    """A context manager: inside, keys come at once and unseen."""

    def __init__(self) -> None:
        self.is_there = sys.stdin is not None and sys.stdin.isatty()
        self._waiting: deque[str] = deque()
        self._before: list[Any] | None = None

    def __enter__(self) -> Keyboard:
        if self.is_there and sys.platform != "win32":
            descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(descriptor)
            mode = termios.tcgetattr(descriptor)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VSUSP] = bytes([os.fpathconf(descriptor, "PC_VDISABLE")])
            termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None and sys.platform != "win32":
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str | None:
        """The next key; None when none is pressed in time."""
        if not self._waiting:
            self._waiting.extend(keys_in(self._typed(max(seconds, 0.0))))
        return self._waiting.popleft() if self._waiting else None

    def _typed(self, seconds: float) -> str:
        if not self.is_there:
            time.sleep(seconds)
            return ""
        if sys.platform == "win32":
            return _typed_on_windows(seconds)
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return ""
        typed = os.read(descriptor, 256)
        self.is_there = bool(typed)  # the terminal is gone
        return typed.decode(errors="replace")


def typed_on_console(read: Callable[[], str]) -> str:
    """A key of a Windows console as another terminal sends it; nothing for one without meaning.

    Codes are letters too: Ctrl with the left arrow ends in "s", which must stop no run.
    """
    typed = read()
    return _CONSOLE_CODES.get(read(), "") if typed in _CONSOLE_LEADS else typed


def keys_in(typed: str) -> list[str]:
    """Words for what was typed; a key that has none and is no letter is left out."""
    names = (_NAMES.get(key, key) for key in _KEY.findall(typed))
    return [name for name in names if name.isprintable()]
