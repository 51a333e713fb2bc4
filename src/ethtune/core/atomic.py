"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ethtune.core.errors import MachineError, RunError


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write beside ``path``, fsync, rename over it. Raises MachineError where the disk refuses.

    A text that would not fit in memory comes in pieces.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as handle:
                handle.writelines([text] if isinstance(text, str) else text)
                handle.flush()
                os.fsync(handle.fileno())
            os.chmod(name, 0o644)  # mkstemp makes it private
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="free disk space, or choose another folder",
        ) from error


def fsync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable. Not every file system can; those that cannot pass."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield a staging folder that becomes ``final`` on success and vanishes on failure.

    Raises RunError when ``final`` already holds something, MachineError when the disk refuses.
    """
    require_empty(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    except OSError as error:
        raise _refused(final, error) from error
    try:
        yield staging
        os.chmod(staging, 0o755)  # noqa: S103  # mkdtemp makes it private
        if final.is_dir():
            final.rmdir()
        os.rename(staging, final)
        fsync_folder(final.parent)
    except OSError as error:
        raise _refused(final, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_empty(folder: Path) -> None:
    """Raises RunError unless ``folder`` is absent or an empty folder."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise RunError(
            f"{folder} already exists and is not empty",
            hint="choose another --output, or remove it first",
        )


def _refused(folder: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{folder} cannot be written: {error.strerror or error}",
        hint="free disk space, or choose another folder",
    )
