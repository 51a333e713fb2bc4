"""What of the operating system can spoil a run: limits, container, clock, power, terminal."""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

# readable by root, on some systems by all
_KERNEL_LOGS = (Path("/var/log/kern.log"), Path("/var/log/dmesg"))
_KEPT_LOG_BYTES = 1 << 18
_XID = re.compile(r"NVRM: Xid[^\n]*?: (\d+)")
_WSL_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """None where the system does not tell, or has no such thing.

    ``clock_behind_seconds`` is how far the clock lies before ethtune's own files; ``xids`` are the
    numbers of the driver's fault messages.
    """

    kernel: tuple[int, int] | None = None
    shared_memory_bytes: int | None = None
    open_files_limit: int | None = None
    lacks_device_links: bool = False
    has_driver_in_wsl: bool = False
    clock_behind_seconds: float = 0.0
    is_on_battery: bool | None = None
    xids: tuple[int, ...] | None = None
    is_terminal: bool = True
    encoding: str = "utf-8"
    has_python_headers: bool = True
    working_folder: str = ""
    is_root: bool = False


def system_facts(*, is_wsl: bool) -> SystemFacts:
    """Look at this system; files only, no command is run."""
    headers = sysconfig.get_path("include")
    own_files = Path(__file__).stat().st_mtime
    return SystemFacts(
        kernel=_kernel(),
        shared_memory_bytes=_shared_memory_bytes(),
        open_files_limit=_open_files_limit(),
        lacks_device_links=_lacks_device_links(),
        has_driver_in_wsl=is_wsl and any(_WSL_LIBRARIES.glob("libnvidia-ml.so.*")),
        clock_behind_seconds=max(own_files - time.time(), 0.0),
        is_on_battery=_is_on_battery(),
        xids=_xids(),
        is_terminal=sys.stderr.isatty() and os.environ.get("TERM") != "dumb",
        encoding=(sys.stdout.encoding or "ascii").casefold(),
        has_python_headers=bool(headers) and Path(headers, "Python.h").is_file(),
        working_folder=os.getcwd(),
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def _kernel() -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    if platform.system() != "Linux" or found is None:
        return None
    return int(found[1]), int(found[2])


def _shared_memory_bytes() -> int | None:
    try:
        facts = os.statvfs("/dev/shm")  # noqa: S108  # measured, not written to
    except (OSError, AttributeError):
        return None
    return facts.f_blocks * facts.f_frsize


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _lacks_device_links() -> bool:
    """A systemd that reloads takes devices from a container unless /dev/char names them."""
    has_device = os.path.exists("/dev/nvidia0") and os.path.isdir("/dev/char")
    return has_device and not any(name.startswith("195:") for name in os.listdir("/dev/char"))


def _is_on_battery() -> bool | None:
    import psutil

    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _xids() -> tuple[int, ...] | None:
    """Numbers of the faults in the end of the kernel's log; None where it may not be read."""
    for path in _KERNEL_LOGS:
        try:
            with path.open("rb") as handle:
                handle.seek(max(0, path.stat().st_size - _KEPT_LOG_BYTES))
                text = handle.read().decode("utf-8", errors="replace")
        except OSError:
            continue
        return tuple(sorted({int(number) for number in _XID.findall(text)}))
    return None
