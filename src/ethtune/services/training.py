"""A composed config in, a run folder with a trained adapter out; and the same run continued."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ethtune.core.compose import ComposedConfig
from ethtune.core.errors import ConfigError, MachineError, RunError
from ethtune.core.events import SILENT, Emit, Message
from ethtune.core.runfolder import RunFolder, open_run, read_json, write_json
from ethtune.core.runlock import require_unheld
from ethtune.services.preflight import dataset_folder, prepare_job, require_free
from ethtune.services.rows import file_hashes
from ethtune.services.runrecord import (
    changed_versions,
    manifest_of,
    resumed_config,
    write_config,
)
from ethtune.services.session import Session, TrainingReport


def train(composed: ComposedConfig, *, command: str, events: Emit = SILENT) -> TrainingReport:
    """A new run in ``training.output_dir``. Nothing stays behind when it fails before training.

    Raises ConfigError, DataError, MachineError, RunError, DivergedError, Interrupted.
    """
    config = composed.config
    if config.training.output_dir is None:
        raise ConfigError("no run folder is named", hint="ethtune train --output FOLDER")
    folder = RunFolder(Path(config.training.output_dir))
    dataset = dataset_folder(config)
    require_free(folder)
    for hint in composed.hints:
        events(Message("info", hint))
    prepared = prepare_job(config, dataset, events)
    _create(folder.path)
    session = Session(folder, composed, command, events)
    try:
        write_json(folder.manifest, manifest_of(prepared, config, dataset, command))
        write_config(folder, composed)
        return session.run(prepared, resume_from=None, first_step=0)
    except (ConfigError, MachineError):
        if not session.trained:
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def resume(
    path: Path,
    *,
    overrides: dict[str, tuple[Any, str]] | None = None,
    checkpoint: Path | None = None,
    command: str,
    events: Emit = SILENT,
) -> TrainingReport:
    """Continue a run from ``checkpoint`` or its newest complete one.

    Raises RunError when the data has changed or nothing is left to do, ConfigError when an
    override would make it another run.
    """
    folder = open_run(path)
    require_unheld(folder.lock)
    manifest = read_json(folder.manifest)
    composed = resumed_config(folder, overrides or {})
    dataset = Path(str(manifest["dataset"]["path"]))
    if file_hashes(dataset) != manifest["dataset"]["files"]:
        raise RunError(
            f"the rows in {dataset} are not those that {path} was trained on",
            hint="restore them, or start a new run on the new data",
        )
    first_step, start = _starting_point(folder, checkpoint, events)
    for line in changed_versions(manifest):
        events(Message("warning", line))
    prepared = prepare_job(composed.config, dataset, events)
    total_steps = composed.config.training.total_steps(len(prepared.rows.train))
    _require_work_left(folder, first_step, total_steps)
    session = Session(folder, composed, command, events)
    write_config(folder, composed)
    return session.run(prepared, resume_from=start, first_step=first_step)


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be created: {error.strerror or error}", hint="choose another --output"
        ) from error


def _starting_point(
    folder: RunFolder, wanted: Path | None, events: Emit
) -> tuple[int, Path | None]:
    """Step and checkpoint to go on from; 0 and None when the run has no complete one."""
    from ethtune.model.checkpoints import find_checkpoints

    found = find_checkpoints(folder)
    if wanted is not None:
        found = [item for item in found if item.path.resolve() == wanted.resolve()]
        if not found or found[0].problem:
            problem = found[0].problem if found else f"it is no checkpoint of {folder.path}"
            raise RunError(f"{wanted} cannot be used: {problem}")
    for item in found:
        if item.problem is None:
            return item.step, item.path
        events(Message("warning", f"{item.path.name} is skipped: {item.problem}"))
    events(Message("warning", "the run has no complete checkpoint: it starts over"))
    return 0, None


def _require_work_left(folder: RunFolder, step: int, total: int) -> None:
    """Steps, or the result alone: a run may have died between its last step and its adapter."""
    if step > total or (step == total and folder.adapter.is_file()):
        raise RunError(
            f"nothing is left to do: {folder.path} is at step {step} of {total}",
            hint=f"ethtune resume {folder.path} --set training.max_steps={step + 100}",
        )
