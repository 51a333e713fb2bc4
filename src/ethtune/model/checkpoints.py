"""Checkpoints that are complete or are not there.

Everything is written to a staging folder and fsynced; COMPLETE.json, with size and SHA-256 of each
file, comes last; then one rename makes ``checkpoint-N``; only afterwards are older ones removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ethtune.core.atomic import fsync_folder, write_text
from ethtune.core.runfolder import RunFolder

COMPLETE = "COMPLETE.json"
STAGING = ".staging"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder and the step it holds; ``problem`` says why it cannot be used, None if it can."""

    step: int
    path: Path
    problem: str | None


def commit(staging: Path, final: Path) -> int:
    """Make ``staging`` durable and give it its name. Returns its size in bytes.

    Raises OSError where the disk refuses; ``final`` then does not exist.
    """
    files = sorted(item for item in staging.iterdir() if item.is_file())
    entries: dict[str, dict[str, int | str]] = {}
    for item in files:
        with item.open("rb") as handle:
            os.fsync(handle.fileno())
            digest = hashlib.sha256()
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
        os.chmod(item, 0o644)  # safetensors writes 0600, the rest 0644: one rule for all
        entries[item.name] = {"bytes": item.stat().st_size, "sha256": digest.hexdigest()}
    write_text(staging / COMPLETE, json.dumps({"v": 1, "files": entries}, indent=1) + "\n")
    fsync_folder(staging)
    if final.exists():  # the same step again, after a resume from an older one
        shutil.rmtree(final)
    os.rename(staging, final)
    fsync_folder(final.parent)
    return sum(int(entry["bytes"]) for entry in entries.values())


def verify(folder: Path) -> str | None:
    """Why ``folder`` is no complete checkpoint, in words; None when every byte is as written."""
    try:
        plain = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        entries = [(n, e["bytes"], e["sha256"]) for n, e in plain["files"].items()]
    except FileNotFoundError:
        return f"it has no {COMPLETE}: the save was interrupted"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"its {COMPLETE} cannot be read"
    for name, size, sha256 in entries:
        item = folder / name
        if not item.is_file():
            return f"{name} is missing"
        if item.stat().st_size != size:
            return f"{name} has {item.stat().st_size} bytes instead of {size}"
        if hashlib.sha256(item.read_bytes()).hexdigest() != sha256:
            return f"{name} has changed since it was written"
    return None


def find_checkpoints(run: RunFolder) -> list[Checkpoint]:
    """All of a run, newest step first, each verified."""
    found = [Checkpoint(step, path, verify(path)) for step, path in run.checkpoints()]
    return found[::-1]


def rotate(run: RunFolder, *, keep: int, spare: Collection[int]) -> None:
    """Remove the oldest complete checkpoints beyond ``keep``; those of steps ``spare`` stay.

    Incomplete folders are neither counted nor touched: they may be evidence.
    """
    complete = [item for item in run.checkpoints() if (item[1] / COMPLETE).is_file()]
    for step, path in complete[: max(len(complete) - keep, 0)]:
        if step not in spare:
            # first unname it, so that a crash in between leaves no half checkpoint under its name
            doomed = path.with_name(f".removing-{path.name}")
            os.rename(path, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
