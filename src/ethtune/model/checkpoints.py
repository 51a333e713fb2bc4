"""Checkpoints that are complete or are not there.

Everything is written to a staging folder and fsynced; COMPLETE.json, with size and SHA-256 of each
file, comes last; then one rename makes ``checkpoint-N``; only afterwards are older ones removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ethtune.core.atomic import fsync_folder, write_text
from ethtune.core.runfolder import RunFolder

COMPLETE = "COMPLETE.json"
STAGING = ".staging"
VERSION = 2
_REMOVING = ".removing-"
_FOR_SYNC = "rb" if os.name == "posix" else "r+b"  # Windows syncs only what may be written


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder and the step it holds; ``problem`` says why it cannot be used, None if it can."""

    step: int
    path: Path
    problem: str | None
    saved: str | None = None  # when, ISO 8601
    size_bytes: int | None = None


def commit(staging: Path, final: Path, *, run_id: str | None = None) -> int:
    """Make ``staging`` durable and give it its name. Returns its size in bytes.

    A step that is already there complete stays as it is: the same run gave it the same content.
    Raises OSError or MachineError where the disk refuses; ``final`` then does not exist.
    """
    step = int(final.name.rpartition("-")[2])
    size = seal(staging, step=step, run_id=run_id)
    if final.exists():
        if verify(final, run_id=run_id) is None:
            shutil.rmtree(staging)
            return size
        set_aside(final, "damaged")
    os.rename(staging, final)
    fsync_folder(final.parent)
    return size


def seal(folder: Path, *, step: int, run_id: str | None, **more: int) -> int:
    """Sync every file, then list them in COMPLETE.json. Returns their size in bytes."""
    files = sorted(item for item in folder.iterdir() if item.is_file())
    entries: dict[str, dict[str, int | str]] = {}
    for item in files:
        os.chmod(item, 0o644)  # safetensors writes 0600, the rest 0644: one rule for all
        with item.open(_FOR_SYNC) as handle:
            os.fsync(handle.fileno())
            sha256 = _sha256(handle)
        entries[item.name] = {"bytes": item.stat().st_size, "sha256": sha256}
    plain = {
        "v": VERSION,
        "run": run_id,
        "step": step,
        "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **more,
        "files": entries,
    }
    write_text(folder / COMPLETE, json.dumps(plain, indent=1) + "\n")
    fsync_folder(folder)
    return sum(int(entry["bytes"]) for entry in entries.values())


def verify(folder: Path, *, run_id: str | None = None) -> str | None:
    """Why ``folder`` is no complete checkpoint, in words; None when every byte is as written."""
    try:
        plain = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        entries = [(n, e["bytes"], e["sha256"]) for n, e in plain["files"].items()]
    except FileNotFoundError:
        return f"it has no {COMPLETE}: the save was interrupted"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"its {COMPLETE} cannot be read"
    return _foreign(plain, folder, run_id) or next(_damages(folder, entries), None)


def run_id_of(run: RunFolder) -> str | None:
    """What its checkpoints are marked with; None where no manifest says."""
    try:
        found = json.loads(run.manifest.read_text(encoding="utf-8")).get("id")
    except (OSError, ValueError, AttributeError):
        return None
    return None if found is None else str(found)


def find_checkpoints(run: RunFolder) -> list[Checkpoint]:
    """All of a run, newest step first, each verified."""
    run_id = run_id_of(run)
    found = []
    for step, path in run.checkpoints():
        problem, label = verify(path, run_id=run_id), _label(path) or {}
        size = None if problem else sum(entry["bytes"] for entry in label["files"].values())
        found.append(Checkpoint(step, path, problem, label.get("saved"), size))
    return found[::-1]


def committed_steps(run: RunFolder) -> set[int]:
    """Steps with a complete checkpoint of this run; complete by its label, no byte is read."""
    run_id = run_id_of(run)
    return {step for step, path in run.checkpoints() if _is_ours(path, run_id)}


def newest_bytes(run: RunFolder) -> int:
    """What the newest complete checkpoint takes, by its label; 0 where there is none."""
    ours = committed_steps(run)
    label = next((_label(path) for step, path in run.checkpoints()[::-1] if step in ours), None)
    return sum(entry["bytes"] for entry in label["files"].values()) if label else 0


def rotate(run: RunFolder, *, keep: int, spare: Collection[int]) -> None:
    """Remove the oldest complete checkpoints beyond ``keep``; those of steps ``spare`` stay.

    Order is by step. Incomplete folders and another run's are neither counted nor touched: they
    may be evidence. What an earlier removal left is removed.
    """
    ours = committed_steps(run)
    complete = [item for item in run.checkpoints() if item[0] in ours]
    for step, path in complete[: max(len(complete) - keep, 0)]:
        if step not in spare:
            # first unname it, so that a crash in between leaves no half checkpoint under its name
            os.rename(path, path.with_name(f"{_REMOVING}{path.name}"))
    for doomed in run.path.glob(f"{_REMOVING}*"):
        shutil.rmtree(doomed, ignore_errors=True)


def set_aside(path: Path, why: str) -> Path:
    """Rename ``checkpoint-N`` to ``checkpoint-N.why``: kept, and never taken for a checkpoint."""
    names = (f"{path.name}.{why}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    os.rename(path, aside)
    fsync_folder(path.parent)
    return aside


def _foreign(plain: dict[str, Any], folder: Path, run_id: str | None) -> str | None:
    if plain.get("v") != VERSION:
        return f"its format is version {plain.get('v')}, this ethtune reads {VERSION}"
    if run_id is not None and plain.get("run") not in (None, run_id):
        return "it belongs to another run"
    named = folder.name.rpartition("-")[2]
    if named.isdigit() and plain.get("step") != int(named):
        return f"it holds step {plain.get('step')}"
    return None


def _damages(folder: Path, entries: list[tuple[str, int, str]]) -> Iterator[str]:
    for name, size, sha256 in entries:
        item = folder / name
        if not item.is_file():
            yield f"{name} is missing"
        elif item.stat().st_size != size:
            yield f"{name} has {item.stat().st_size} bytes instead of {size}"
        else:
            with item.open("rb") as handle:
                if _sha256(handle) != sha256:
                    yield f"{name} has changed since it was written"


def _label(path: Path) -> dict[str, Any] | None:
    try:
        plain = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_whole = isinstance(plain, dict) and isinstance(plain.get("files"), dict)
    return plain if is_whole else None


def _is_ours(path: Path, run_id: str | None) -> bool:
    label = _label(path)
    return label is not None and _foreign(label, path, run_id) is None


def _sha256(handle: Any) -> str:
    digest = hashlib.sha256()
    while chunk := handle.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
