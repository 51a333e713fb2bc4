"""What a run folder says, for the tests that made it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ethtune.core.eventlog import EventReader
from ethtune.core.events import Event


def events_of(run: Path) -> list[Event]:
    """Everything that was logged, in order."""
    return [logged.event for logged in EventReader(run / "events.jsonl").poll()]


def of_kind(run: Path, kind: str) -> list[Event]:
    """The logged events of one kind."""
    return [event for event in events_of(run) if event.kind == kind]


def sha256(run: Path) -> str:
    """Of the finished adapter's weights."""
    return hashlib.sha256((run / "adapter_model.safetensors").read_bytes()).hexdigest()


def cut_back(run: Path, step: int) -> None:
    """As if the process had been killed right after it saved ``step``."""
    for item in run.glob("checkpoint-*"):
        if int(item.name.partition("-")[2]) > step:
            shutil.rmtree(item)
    for name in ("COMPLETE.json", "adapter_model.safetensors"):
        (run / name).unlink(missing_ok=True)
