"""A trained model in, the result of its run out: an adapter folder for plain peft, whole or not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError

from ethtune.core.atomic import fsync_folder, write_text
from ethtune.core.errors import MachineError
from ethtune.core.runfolder import RunFolder
from ethtune.model.adapterfiles import WEIGHTS, write_adapter
from ethtune.model.checkpoints import COMPLETE, STAGING, seal
from ethtune.model.trees import reason_of


@dataclass(frozen=True, slots=True)
class ResultLabel:
    """``step`` is where training ended, early perhaps; ``total_steps`` what was planned."""

    run_id: str | None
    step: int
    total_steps: int


def publish(
    run: RunFolder,
    model: Any,
    weights: Any,
    tokenizer: dict[str, bytes],
    label: ResultLabel,
    card: Callable[[str], str],
) -> None:
    """Exchange the folder's result, if it had one, for this one.

    COMPLETE.json goes first and comes last: while it is missing there is no result. It does not
    list README.md, which people edit. Raises MachineError where the disk refuses.
    """
    staging = run.path / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        write_adapter(model, weights, staging)
        for name, content in tokenizer.items():
            (staging / name).write_bytes(content)
        seal(staging, step=label.step, run_id=label.run_id, total_steps=label.total_steps)
        weights = json.loads((staging / COMPLETE).read_text(encoding="utf-8"))["files"][WEIGHTS]
        write_text(staging / "README.md", card(weights["sha256"]))
        (run.path / COMPLETE).unlink(missing_ok=True)
        for name in sorted(os.listdir(staging), key=lambda name: (name == COMPLETE, name)):
            os.replace(staging / name, run.path / name)
        fsync_folder(run.path)
    except (OSError, SafetensorError) as error:
        raise MachineError(
            f"the result could not be written to {run.path}: {reason_of(error)}",
            hint=f"free disk space, then ethtune resume {run.path}: its checkpoints are complete",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
