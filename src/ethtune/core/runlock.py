"""One trainer a folder: who holds it, and is that process alive?

The lock is POSIX (``lockf``): unlike ``flock`` it is not inherited by forked loader workers, so
it falls with the trainer. The file also names its holder by pid, boot id and start time, which
tells a reused pid from the process that wrote it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from ethtune.core.errors import MachineError, RunError

if sys.platform == "win32":
    import ctypes
    import msvcrt
else:
    import fcntl

_DEAD = ("Z", "X")  # killed, and its parent has not looked yet
_STOPPED = ("T", "t")
_WINDOWS_MAY_WAIT = 0x00100000  # SYNCHRONIZE
_WINDOWS_LOCKED_BYTE = 1 << 30  # a locked byte cannot be read there: lock one behind the text


@dataclass(frozen=True, slots=True)
class Holder:
    """Identity of a process: ``start_ticks`` since boot; both None where the system hides them."""

    pid: int
    boot_id: str | None
    start_ticks: int | None


class RunLock:
    """Held from construction to ``release``. Raises RunError when another process has it."""

    def __init__(self, path: Path) -> None:
        self.previous = read_holder(path)
        self._handle = _locked(path, self.previous)
        self._name(json.dumps(asdict(_identity(os.getpid()))))

    def release(self) -> None:
        """Let go; an empty lock file tells readers that the holder left in order."""
        self._name("")
        self._handle.close()

    def _name(self, holder: str) -> None:
        """Durably, for it marks a folder as ours; the lock itself holds on a full disk too."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle.fileno(), 0)
            os.write(self._handle.fileno(), holder.encode())
            os.fsync(self._handle.fileno())


def require_unheld(path: Path) -> None:
    """Raises RunError when another process has the lock; the file stays as it is."""
    if path.is_file():
        _locked(path, read_holder(path)).close()


def read_holder(path: Path) -> Holder | None:
    """Who wrote the lock file last and did not release it; None when nobody did.

    Not for the holder itself: a process that closes any descriptor of a file loses its POSIX lock.
    """
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_alive(holder: Holder) -> bool:
    """Whether that very process runs on this machine, not merely one with its pid."""
    if not _exists(holder.pid):
        return False
    return _identity(holder.pid) == holder and _state_and_ticks(holder.pid)[0] not in _DEAD


def is_stopped(holder: Holder) -> bool:
    """Whether Ctrl-Z or SIGSTOP holds the process; False where the system does not tell."""
    return _state_and_ticks(holder.pid)[0] in _STOPPED


def start_time(holder: Holder) -> float | None:
    """Of the process, in seconds since 1970; None where the system hides it."""
    if holder.start_ticks is None:
        return None
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(float(line.split()[1]) for line in lines if line.startswith("btime "))
        return boot + holder.start_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration):
        return None


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would send it a Ctrl-C there
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_WINDOWS_MAY_WAIT, False, pid)
        is_running = bool(handle) and kernel.WaitForSingleObject(handle, 0) != 0
        kernel.CloseHandle(handle)
        return is_running
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive, of another user
        pass
    return True


def _identity(pid: int) -> Holder:
    boot_id = None
    with contextlib.suppress(OSError):
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Holder(pid=pid, boot_id=boot_id, start_ticks=_state_and_ticks(pid)[1])


def _state_and_ticks(pid: int) -> tuple[str | None, int | None]:
    """Fields 3 and 22 of the process, counted behind the bracket of field 2, which holds spaces."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None, None


def _locked(path: Path, holder: Holder | None) -> TextIO:
    """The open file with the lock on it, which falls when it is closed."""
    try:
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror}", hint="is the run folder yours?"
        ) from error
    try:
        _lock(handle.fileno())
    except OSError:
        handle.close()
        who = f"process {holder.pid}" if holder else "another process"
        began = start_time(holder) if holder else None
        since = f" since {datetime.fromtimestamp(began):%Y-%m-%d %H:%M:%S}" if began else ""
        raise RunError(
            f"{path.parent} is in use: {who} trains there{since}",
            hint=f"ethtune monitor {path.parent}, or choose another --output",
        ) from None
    return handle


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _WINDOWS_LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
