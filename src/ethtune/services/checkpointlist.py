"""A run folder in, its checkpoints as a report out: step, time, size, and whether each will do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.compose import compose
from ethtune.core.runfolder import RunFolder, open_run


@dataclass(frozen=True, slots=True)
class ListedCheckpoint:
    """``problem`` is None when every byte is as written; ``metric`` of its validation, if any."""

    step: int
    name: str
    saved: str | None
    size_bytes: int | None
    metric: float | None
    is_best: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class CheckpointList:
    """Newest first. ``metric_name`` is what the best is chosen by."""

    run: Path
    metric_name: str
    checkpoints: tuple[ListedCheckpoint, ...]
    strays: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "run": str(self.run),
            "metric": self.metric_name,
            "checkpoints": [
                {
                    "step": item.step,
                    "name": item.name,
                    "saved": item.saved,
                    "size_bytes": item.size_bytes,
                    "metric": item.metric,
                    "best": item.is_best,
                    "verified": item.problem is None,
                    "reason": item.problem,
                }
                for item in self.checkpoints
            ],
            "strays": list(self.strays),
        }


def list_checkpoints(run: Path) -> CheckpointList:
    """Read and verify every one. Raises RunError when ``run`` is none."""
    from ethtune.model.bestmodel import best_step, criterion_of, validations
    from ethtune.model.checkpoints import find_checkpoints

    folder = open_run(run)
    criterion = criterion_of(compose(config_file=folder.config).config.logging)
    found = find_checkpoints(folder)
    newest = next((item.path for item in found if item.problem is None), None)
    values = validations(_history(newest), criterion.key)
    whole = {item.step for item in found if item.problem is None}
    best = best_step(values, criterion, among=whole)
    return CheckpointList(
        run=run,
        metric_name=criterion.key,
        checkpoints=tuple(
            ListedCheckpoint(
                step=item.step,
                name=item.path.name,
                saved=item.saved,
                size_bytes=item.size_bytes,
                metric=values.get(item.step),
                is_best=item.step == best,
                problem=item.problem,
            )
            for item in found
        ),
        strays=_aside(folder),
    )


def _history(checkpoint: Path | None) -> list[dict[str, Any]]:
    """Everything that was logged up to ``checkpoint``."""
    if checkpoint is None:
        return []
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return list(state["log_history"])


def _aside(folder: RunFolder) -> tuple[str, ...]:
    known = {path.name for _, path in folder.checkpoints()}
    return tuple(sorted(p.name for p in folder.path.glob("checkpoint-*") if p.name not in known))
