"""A run folder in, the checkpoint to go on from out; and what stands in its way set aside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ethtune.core.errors import RunError
from ethtune.core.events import Emit, Message
from ethtune.core.runfolder import RunFolder


@dataclass(frozen=True, slots=True)
class Start:
    """``path`` None: the run has no usable checkpoint and starts over, at step 0."""

    step: int
    path: Path | None


def choose_start(folder: RunFolder, wanted: Path | None, events: Emit) -> Start:
    """The newest checkpoint whose every byte is as written, or the one that is ``wanted``.

    Each that is passed over is named with its reason. Raises RunError where ``wanted`` will not do.
    """
    from ethtune.model.checkpoints import find_checkpoints

    found = find_checkpoints(folder)
    if wanted is not None:
        places = (wanted.resolve(), (folder.path / wanted).resolve())
        named = next((c for c in found if c.path.resolve() in places), None)
        if named is None or named.problem:
            problem = named.problem if named else f"it is no checkpoint of {folder.path}"
            raise RunError(
                f"{wanted} cannot be used: {problem}", hint=f"ethtune resume {folder.path} --list"
            )
        return Start(named.step, named.path)
    for stray in folder.strays():
        events(Message("warning", f"{stray.name} is no checkpoint and is left alone"))
    for item in found:
        if item.problem is None:
            return Start(item.step, item.path)
        events(Message("warning", f"{item.path.name} is skipped: {item.problem}"))
    events(Message("warning", "the run has no complete checkpoint: it starts over"))
    return Start(0, None)


def require_work_left(
    folder: RunFolder, start: Start, total_steps: int, *, is_changed: bool
) -> None:
    """Steps, or the result alone: a run may have died between its last step and its adapter.

    A finished run goes on only where the user asked for something, ``is_changed``: it may have
    ended early, of its own will.
    """
    planned = _planned_steps(folder)
    is_over = start.step >= total_steps and planned == total_steps
    if start.step > total_steps or is_over or (planned == total_steps and not is_changed):
        more = f"--set training.max_steps={max(start.step, total_steps) + 100}"
        raise RunError(
            f"nothing is left to do: {folder.path} is at step {start.step} of {total_steps}",
            hint=f"ethtune resume {folder.path} {more} goes on",
        )


def clear_behind(folder: RunFolder, start: Start, events: Emit) -> None:
    """Rename what is damaged, foreign, or of the steps that are now made anew.

    Left under their names they would be taken, one day, for checkpoints of this course of the run.
    """
    from ethtune.model.checkpoints import find_checkpoints, set_aside

    for item in find_checkpoints(folder):
        if item.path == start.path:
            continue
        if item.problem is not None:
            why = "foreign" if "another run" in item.problem else "damaged"
        elif item.step > start.step:
            why = "replaced"
        else:
            continue
        aside = set_aside(item.path, why)
        events(Message("info", f"{item.path.name} is kept aside as {aside.name}"))


def _planned_steps(folder: RunFolder) -> int | None:
    """Of the finished result; None where there is none, or not all of it."""
    from ethtune.model.checkpoints import verify

    if verify(folder.path) is not None:
        return None
    try:
        return int(json.loads(folder.result.read_text(encoding="utf-8"))["total_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
