"""A composed config in, a run folder with a trained adapter out; and the same run continued."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethtune.core.atomic import fsync_folder, write_text
from ethtune.core.compose import ComposedConfig, compose
from ethtune.core.errors import ConfigError, DataError, Interrupted, MachineError, RunError
from ethtune.core.events import SILENT, Emit, Event, Message
from ethtune.core.runfolder import RunFolder, open_run, read_json, write_json
from ethtune.core.runlock import require_unheld
from ethtune.core.signals import StopSignals
from ethtune.services.continuation import (
    fact_differences,
    inexactness,
    require_allowed,
    version_differences,
)
from ethtune.services.preflight import dataset_folder, prepare_job, require_free
from ethtune.services.runrecord import (
    config_facts,
    facts_of,
    manifest_of,
    record_changes,
    resumed_config,
    rows_of,
    versions,
    write_config,
)
from ethtune.services.session import Session, TrainingReport
from ethtune.services.startingpoint import choose_start, clear_behind, require_work_left

if TYPE_CHECKING:
    from ethtune.core.config import TrainingSection

_STOPPING = "stopping after this step, with a checkpoint; again to stop at once"


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """What to go on with. ``checkpoint`` None is the newest that verifies.

    ``overrides`` is for ``compose``; ``allowed`` are keys of ``continuation`` that may differ.
    """

    run: Path
    overrides: Mapping[str, tuple[Any, str]]
    checkpoint: Path | None = None
    allowed: Collection[str] = ()


def train(composed: ComposedConfig, *, command: str, events: Emit = SILENT) -> TrainingReport:
    """A new run in ``training.output_dir``. Nothing stays behind when it ends before training.

    Raises ConfigError, DataError, MachineError, RunError, DivergedError, Interrupted.
    """
    config = composed.config
    if config.training.output_dir is None:
        raise ConfigError("no run folder is named", hint="ethtune train --output FOLDER")
    folder = RunFolder(Path(config.training.output_dir))
    dataset = dataset_folder(config)
    require_free(folder)
    said = _Said(events)
    for hint in composed.hints:
        said(Message("info", hint))
    with _stop_signals(events) as signals:
        prepared = prepare_job(config, dataset, said)
        _create(folder.path)
        with Session(folder, config, command=command, events=events, signals=signals) as session:
            try:
                write_config(folder, composed)
                write_text(folder.preview, prepared.preview)
                said(Message("info", f"what three rows give and teach: {folder.preview}"))
                # last: a folder with a manifest is a run that can be resumed
                write_json(folder.manifest, manifest_of(prepared, config, dataset, command))
                for place in (folder.path, folder.path.parent):
                    fsync_folder(place)
                return session.run(prepared, resume_from=None, first_step=0, said=said.messages)
            except (ConfigError, MachineError, Interrupted, KeyboardInterrupt):
                if not session.trained:
                    shutil.rmtree(folder.path, ignore_errors=True)
                raise


def resume(request: ResumeRequest, *, command: str, events: Emit = SILENT) -> TrainingReport:
    """Continue a run as if it had not stopped.

    Raises ConfigError, DataError or RunError where it would be another run, or has nothing left to
    do.
    """
    folder = open_run(request.run)
    require_unheld(folder.lock)
    manifest = read_json(folder.manifest)
    composed, found = resumed_config(folder, manifest, request.overrides)
    dataset = _dataset(composed, manifest, is_given="data.dataset" in request.overrides)
    found += version_differences(manifest.get("versions", {}), versions())
    found += fact_differences(manifest, {"rows": rows_of(dataset)})
    require_allowed(folder.path, found, request.allowed)
    said = _Said(events)
    start = choose_start(folder, request.checkpoint, said)
    with _stop_signals(events) as signals:
        prepared = prepare_job(composed.config, dataset, said, is_new=False)
        facts = facts_of(prepared, dataset)
        found += fact_differences(manifest, {k: v for k, v in facts.items() if k != "rows"})
        changes = require_allowed(folder.path, found, request.allowed)
        total_steps = composed.config.training.total_steps(len(prepared.rows.train))
        is_changed = bool(request.overrides or request.checkpoint)
        require_work_left(folder, start, total_steps, is_changed=is_changed)
        with Session(
            folder, composed.config, command=command, events=events, signals=signals
        ) as session:
            clear_behind(folder, start, said)
            write_config(folder, composed)
            now = config_facts(composed.config, dataset, manifest)
            record_changes(folder, now | (facts if changes else {}), changes, step=start.step)
            for change in changes:
                said(Message("warning", f"allowed: {change.line().strip()}"))
            processes = {"processes": composed.config.training.num_processes}
            for sentence in inexactness(manifest, facts | processes):
                said(Message("warning", sentence))
            return session.run(
                prepared, resume_from=start.path, first_step=start.step, said=said.messages
            )


def training_of(run: Path, overrides: Mapping[str, tuple[Any, str]]) -> TrainingSection:
    """How the run would go on: as before, where ``overrides`` say nothing."""
    return compose(config_file=open_run(run).config, overrides=overrides).config.training


class _Said:
    """Passes events on, and keeps the messages for a log that is yet to be opened."""

    def __init__(self, events: Emit) -> None:
        self._events = events
        self.messages: list[Message] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            self.messages.append(event)
        self._events(event)


def _stop_signals(events: Emit) -> StopSignals:
    return StopSignals(lambda: events(Message("warning", _STOPPING)))


def _dataset(composed: ComposedConfig, manifest: Mapping[str, Any], *, is_given: bool) -> Path:
    """Where the rows are now: a relative path in the config was of another working folder."""
    hint = "ethtune resume RUN --set data.dataset=FOLDER, where the rows are now"
    try:
        folder = dataset_folder(composed.config) if is_given else Path(manifest["dataset"]["path"])
    except (KeyError, TypeError):
        text = "manifest.json does not say where the run's rows are"
        raise RunError(text, hint=hint) from None
    if not (folder / "train.jsonl").is_file():
        raise DataError(f"the run's rows are gone: {folder} has no train.jsonl", hint=hint)
    return folder


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be created: {error.strerror or error}", hint="choose another --output"
        ) from error
