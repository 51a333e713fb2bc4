"""The run folder: where its parts stand, what its manifest says, and who holds it.

run/
manifest.json        versions, command, hashes; what makes the folder a run
config.yaml          the resolved config
origins.json         where each of its values came from
preview.txt          three rows: what is given, what is learned
events.jsonl         what happened; training_logs.txt is its readable twin
checkpoint-N/        complete only with its COMPLETE.json
checkpoint-N.damaged, .replaced, .foreign   set aside on resuming; never taken again
adapter_model.safetensors, adapter_config.json, tokenizer…   the result, with its COMPLETE.json
lock                 held by the process that trains
.reserve             disk space of the next checkpoint, while a process trains
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.atomic import write_text
from ethtune.core.errors import RunError

_CHECKPOINT = re.compile(r"checkpoint-(\d+)").fullmatch


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of the parts of one run."""

    path: Path

    @property
    def manifest(self) -> Path:
        """What makes a folder a run: written last of what a run begins with."""
        return self.path / "manifest.json"

    @property
    def config(self) -> Path:
        """Resolved YAML, composing to the run's own config."""
        return self.path / "config.yaml"

    @property
    def origins(self) -> Path:
        """Where each "section.key" came from."""
        return self.path / "origins.json"

    @property
    def preview(self) -> Path:
        """Three rows as the trainer sees them."""
        return self.path / "preview.txt"

    @property
    def events(self) -> Path:
        """See ``eventlog``."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """The human log under the guide's name."""
        return self.path / "training_logs.txt"

    @property
    def lock(self) -> Path:
        """See ``runlock``."""
        return self.path / "lock"

    @property
    def adapter(self) -> Path:
        """Weights of the finished adapter."""
        return self.path / "adapter_model.safetensors"

    @property
    def result(self) -> Path:
        """Lists the finished adapter's files; there once all of them are."""
        return self.path / "COMPLETE.json"

    def strays(self) -> list[Path]:
        """What is named like a checkpoint and can be none: a file, or no number."""
        named = sorted(self.path.glob("checkpoint-*"))
        known = {path for _, path in self.checkpoints()}
        return [item for item in named if item not in known and not item.suffix]

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, folder) of every folder named like a checkpoint, oldest first, unverified."""
        found = []
        for item in self.path.iterdir() if self.path.is_dir() else ():
            match = _CHECKPOINT(item.name)
            if match and item.is_dir():
                found.append((int(match[1]), item))
        return sorted(found)


def open_run(path: Path) -> RunFolder:
    """An existing run. Raises RunError when ``path`` is none."""
    folder = RunFolder(path)
    if not path.is_dir():
        raise RunError(f"no run at {path}", hint="ethtune train --output names the folder of a run")
    if not folder.manifest.is_file():
        raise RunError(
            f"{path} is no run of ethtune: it has no manifest.json",
            hint="give the folder that ethtune train wrote to",
        )
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of the run. Raises RunError naming the file."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing", hint="the run folder is incomplete") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(plain, dict):
        raise RunError(f"{path} holds no JSON object")
    return plain


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Whole or not at all, readable, same bytes for the same content."""
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
