"""The path of a run in, the model it trained out: which adapter, which settings, ready to generate.

A finished run holds its adapter itself. Before that its newest complete checkpoint stands in, and
the folder of a checkpoint can be named directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethtune.core.compose import compose
from ethtune.core.config import Config
from ethtune.core.errors import RunError
from ethtune.core.events import Emit, Message
from ethtune.core.runfolder import RunFolder, open_run, read_json
from ethtune.dataset.prompts import PROMPT_VERSION
from ethtune.model.checkpoints import find_checkpoints, verify

if TYPE_CHECKING:
    from ethtune.model.generate import Generator


@dataclass(frozen=True, slots=True)
class TunedModel:
    """``adapter`` is a folder; ``step`` its checkpoint's, None for the finished adapter."""

    run: RunFolder
    config: Config
    adapter: Path
    step: int | None


def find_tuned(path: Path, *, events: Emit) -> TunedModel:
    """Resolve a run folder or one of its checkpoints. Raises RunError when there is no adapter."""
    checkpoint = _as_checkpoint(path)
    run = RunFolder(checkpoint[1].parent) if checkpoint else open_run(path)
    step: int | None
    if checkpoint:
        step, adapter = checkpoint
    elif run.adapter.is_file():
        step, adapter = None, run.path
    else:
        step, adapter = _newest_checkpoint(run)
        text = f"the run has no finished adapter yet: using its checkpoint of step {step}"
        events(Message("warning", text))
    versions = read_json(run.manifest).get("prompt_versions", [])
    if versions and str(PROMPT_VERSION) not in versions:
        text = f"the run learned prompts of version {versions[-1]}, these are of {PROMPT_VERSION}"
        events(Message("warning", f"{text}: answers will be worse; prepare and train anew"))
    if not run.config.is_file():
        raise RunError(f"{run.config} is missing", hint="the run folder is incomplete")
    return TunedModel(run, compose(config_file=run.config).config, adapter, step)


@contextmanager
def opened(tuned: TunedModel, *, events: Emit, is_base: bool = False) -> Iterator[Generator]:
    """Load the tuned model, or the base model alone as it was before training; close it after."""
    from ethtune.model.generate import open_generator  # imports torch

    adapter = None if is_base else tuned.adapter
    generator = open_generator(config=tuned.config, adapter=adapter, emit=events)
    try:
        yield generator
    finally:
        generator.close()


def _as_checkpoint(path: Path) -> tuple[int, Path] | None:
    """Step and folder when ``path`` is a checkpoint inside a run. Raises RunError if damaged."""
    folder = path.resolve()
    run = RunFolder(folder.parent)
    found = next((item for item in run.checkpoints() if item[1] == folder), None)
    if found is None or not run.manifest.is_file():
        return None
    problem = verify(folder)
    if problem is not None:
        raise RunError(
            f"{path} cannot be used: {problem}",
            hint=f"name the run, {path.parent}, to take its newest complete checkpoint",
        )
    return found


def _newest_checkpoint(run: RunFolder) -> tuple[int, Path]:
    for checkpoint in find_checkpoints(run):
        if checkpoint.problem is None:
            return checkpoint.step, checkpoint.path
    raise RunError(
        f"{run.path} has no adapter: neither a finished one nor a complete checkpoint",
        hint=f"ethtune monitor --once {run.path} tells how far the run came",
    )
