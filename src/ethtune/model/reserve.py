"""Disk space for the next checkpoint, held as a file from one save to the next.

A free-space check tells what was free before the others wrote. The blocks of a file are ours: when
a checkpoint is due the file goes, and its space takes the checkpoint. Rotation then makes room for
the next one, so the run never holds more than it needs at a save anyway.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

MARGIN = 1.2  # a checkpoint grows a little with its history of the run


class Reserve:
    """``hold`` and ``release`` the file at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self, size_bytes: int) -> None:
        """Take that much, and a margin. Raises OSError when it is not there."""
        wanted = int(size_bytes * MARGIN)
        try:
            if self._path.is_file() and self._path.stat().st_size == wanted:
                return
            with self._path.open("wb") as handle:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle.fileno(), 0, wanted)
                elif shutil.disk_usage(self._path.parent).free < wanted:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give the space back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
