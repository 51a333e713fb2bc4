"""Where a prepared dataset appears, complete or not at all, and what marks a folder as one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ethtune.core.atomic import new_folder
from ethtune.core.errors import UsageError

DATASET_FORMAT = "ethtune.dataset/1"
MANIFEST_NAME = "manifest.json"


@contextmanager
def dataset_folder(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """A staging folder that becomes ``output``; with ``overwrite`` in place of a dataset there.

    Raises UsageError for a dataset that is not to be replaced and for anything else that is.
    """
    is_taken = output.exists() and not (output.is_dir() and not any(output.iterdir()))
    if not is_taken:
        with new_folder(output) as staging:
            yield staging
        return
    if not is_dataset(output):
        raise UsageError(
            f"{output} exists and is no dataset of ethtune", hint="choose another --output"
        )
    if not overwrite:
        raise UsageError(f"{output} holds a dataset already", hint="--overwrite replaces it")
    fresh, stale = (output.with_name(f".{output.name}.{state}") for state in ("new", "old"))
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    with new_folder(fresh) as staging:
        yield staging
    output.rename(stale)
    fresh.rename(output)
    shutil.rmtree(stale)


def is_dataset(folder: Path) -> bool:
    """Whether a manifest of our format lies in ``folder``."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == DATASET_FORMAT
