"""Whether a folder is fit to hold a run: its file system's kind, room and manners.

The manners are tried on a file of our own, which is removed at once: to write, to make durable, to
rename over, to lock.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ethtune.device.host import free_disk_bytes


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """``problem`` says why nothing can be written; ``lacks`` what the file system cannot do.

    ``kind`` is the file system's name, such as ext4 or nfs; ``device`` tells two of them apart.
    """

    path: str
    free_bytes: int | None = None
    kind: str | None = None
    device: int | None = None
    problem: str | None = None
    lacks: tuple[str, ...] = ()


def place_facts(path: Path) -> PlaceFacts:
    """Of the file system that holds, or will hold, ``path``."""
    folder = path.expanduser().absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    problem, lacks = _try_out(folder)
    return PlaceFacts(
        path=str(path),
        free_bytes=free_disk_bytes(folder),
        kind=_kind(folder),
        device=folder.stat().st_dev,
        problem=problem,
        lacks=lacks,
    )


def _kind(folder: Path) -> str | None:
    import psutil

    resolved = folder.resolve()
    inside = (resolved, *resolved.parents)
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError):
        return None
    holding = [item for item in mounts if Path(item.mountpoint) in inside]
    # of two mounts at one point the later one is seen
    best = max(
        enumerate(holding), key=lambda item: (len(item[1].mountpoint), item[0]), default=None
    )
    return best[1].fstype.casefold() if best else None


def _try_out(folder: Path) -> tuple[str | None, tuple[str, ...]]:
    try:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".ethtune-probe-")
    except OSError as error:
        return f"{folder}: {error.strerror or error}", ()
    try:
        os.write(descriptor, b"probe")
        manners = {"fsync": _syncs(descriptor), "locks": _locks(descriptor)}
    except OSError as error:  # a full disk, or a quota
        return f"{folder}: {error.strerror or error}", ()
    else:
        manners["renaming"] = _renames(Path(name))
    finally:
        os.close(descriptor)
        _remove(name, f"{name}.renamed")
    return None, tuple(name for name, works in manners.items() if not works)


def _syncs(descriptor: int) -> bool:
    try:
        os.fsync(descriptor)
    except OSError:
        return False
    return True


def _renames(path: Path) -> bool:
    """Over a file that is there, as a checkpoint's label is."""
    target = Path(f"{path}.renamed")
    try:
        target.touch()
        os.replace(path, target)
    except OSError:
        return False
    return True


def _locks(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(*names: str) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(name)
