"""A composed config in, a run folder with a trained adapter out; and the same run continued."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethtune import __version__
from ethtune.core.atomic import require_empty, write_text
from ethtune.core.compose import ComposedConfig, compose
from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, EthtuneError, Interrupted, MachineError, RunError
from ethtune.core.eventlog import EventWriter, LoggedEvent
from ethtune.core.events import (
    SILENT,
    Emit,
    Ending,
    Event,
    Message,
    PhaseStarted,
    RunEnded,
    RunStarted,
)
from ethtune.core.logline import LineLog
from ethtune.core.runfolder import RunFolder, open_run, read_json, write_json
from ethtune.core.runlock import RunLock
from ethtune.core.runstate import RunState, fold
from ethtune.services.rows import TrainingRows, file_hashes, load_rows

if TYPE_CHECKING:
    from ethtune.model.training import TrainingJob

FREE_KEYS = ("training.output_dir", "training.max_steps", "training.num_train_epochs", "logging.")
"""What a resumed run may be given anew: keys, or whole sections with a dot at the end."""

_PACKAGES = (
    "torch", "transformers", "peft", "bitsandbytes", "trl", "datasets", "accelerate", "safetensors",
)  # fmt: skip
_MINIMUM_FREE_BYTES = 200_000_000  # the smallest adapter with its tokenizer and three checkpoints


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Where the adapter is and the state that the run ended in."""

    run: Path
    state: RunState
    best_step: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain figures of the finished run."""
        last = self.state.evaluations[-1] if self.state.evaluations else None
        ended = self.state.ended
        return {
            "run": str(self.run),
            "steps": self.state.step,
            "best_step": self.best_step,
            "train_loss": self.state.steps[-1].loss if self.state.steps else None,
            "eval_loss": last.eval_loss if last else None,
            "eval_token_accuracy": last.eval_token_accuracy if last else None,
            "seconds": ended.seconds if ended else None,
            "peak_process_bytes": ended.peak_process_bytes if ended else None,
            "peak_reserved_bytes": ended.peak_reserved_bytes if ended else None,
        }


def train(composed: ComposedConfig, *, command: str, events: Emit = SILENT) -> TrainingReport:
    """A new run in ``training.output_dir``. Nothing stays behind when it fails before training.

    Raises ConfigError, DataError, MachineError, RunError, DivergedError, Interrupted.
    """
    config = composed.config
    if config.training.output_dir is None:
        raise ConfigError("no run folder is named", hint="ethtune train --output FOLDER")
    folder = RunFolder(Path(config.training.output_dir))
    dataset = _dataset_folder(config)
    _require_free(folder)
    for hint in composed.hints:
        events(Message("info", hint))
    prepared = _prepare(config, dataset, events)
    folder.path.mkdir(parents=True, exist_ok=True)
    session = _Session(folder, composed, command, events)
    try:
        write_json(folder.manifest, _manifest(prepared, config, dataset, command))
        _write_config(folder, composed)
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
    from ethtune.model.checkpoints import find_checkpoints, verify

    folder = open_run(path)
    manifest = read_json(folder.manifest)
    composed = _resumed_config(folder, overrides or {})
    dataset = Path(str(manifest["dataset"]["path"]))
    if file_hashes(dataset) != manifest["dataset"]["files"]:
        raise RunError(
            f"the rows in {dataset} are not those that {path} was trained on",
            hint="restore them, or start a new run on the new data",
        )
    if checkpoint is not None:
        if problem := verify(checkpoint):
            raise RunError(f"{checkpoint} cannot be used: {problem}")
        start: tuple[int, Path | None] = (int(checkpoint.name.rpartition("-")[2]), checkpoint)
    else:
        found = find_checkpoints(folder)
        for item in found:
            if item.problem:
                events(Message("warning", f"{item.path.name} is skipped: {item.problem}"))
        good = next((item for item in found if item.problem is None), None)
        start = (good.step, good.path) if good else (0, None)
    if start[1] is None:
        events(Message("warning", "the run has no complete checkpoint: it starts over"))
    _require_steps_left(path, composed.config, start[0])
    for line in _changed_versions(manifest):
        events(Message("warning", line))
    prepared = _prepare(composed.config, dataset, events)
    session = _Session(folder, composed, command, events)
    _write_config(folder, composed)
    return session.run(prepared, resume_from=start[1], first_step=start[0])


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The job and the rows it was made of."""

    job: TrainingJob
    rows: TrainingRows


def _prepare(config: Config, dataset: Path, events: Emit) -> _Prepared:
    events(PhaseStarted("preflight"))
    from ethtune.model.basemodels import resolve
    from ethtune.model.device import choose_device
    from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer
    from ethtune.model.training import TrainingJob

    device = choose_device(config)
    model = config.model
    base = resolve(
        model.base_model, revision=model.revision, cache_dir=model.cache_dir, emit=events
    )
    tokenizer = load_tokenizer(
        base, cache_dir=model.cache_dir, trust_remote_code=model.trust_remote_code
    )
    rows = load_rows(dataset, config.data, PromptTokenizer(tokenizer), events)
    return _Prepared(TrainingJob(base, device, tokenizer, (rows.train, rows.validation)), rows)


class _Session:
    """One process that holds the run: its lock, its logs, and its way to end."""

    def __init__(
        self, folder: RunFolder, composed: ComposedConfig, command: str, events: Emit
    ) -> None:
        self._folder = folder
        self._config = composed.config
        self._command = command
        self._lock = RunLock(folder.lock)
        self._sinks: tuple[Emit, ...] = (events,)
        self._state = RunState()
        self._seq = 0
        self.trained = False

    def run(
        self, prepared: _Prepared, *, resume_from: Path | None, first_step: int
    ) -> TrainingReport:
        """Train to the end; whatever happens is the log's last line."""
        from ethtune.model.training import train_adapter

        started = time.perf_counter()
        with self._logs():
            self._begin(prepared, first_step)
            ending = RunEnded("failed", first_step, 0.0, "an unexpected error", 70)
            try:
                result = train_adapter(
                    run=self._folder,
                    config=self._config,
                    job=prepared.job,
                    resume_from=resume_from,
                    emit=self.emit,
                )
                ending = RunEnded("finished", result.steps, 0.0)
            except EthtuneError as error:
                ending = _ending(error, self._state.step)
                raise
            finally:
                self._end(ending, time.perf_counter() - started)
        return TrainingReport(self._folder.path, self._state, result.best_step)

    def emit(self, event: Event) -> None:
        """To the log, the readable log, the screen, and our own state."""
        if isinstance(event, PhaseStarted) and event.phase == "training":
            self.trained = True
        self._seq += 1
        self._state = fold(self._state, LoggedEvent(self._seq, time.time(), event))
        for sink in self._sinks:
            sink(event)

    @contextlib.contextmanager
    def _logs(self) -> Iterator[None]:
        shown = self._sinks
        try:
            writer = EventWriter(self._folder.events)
            with self._folder.log.open("a", encoding="utf-8", buffering=1) as readable:
                self._sinks = (*shown, writer.emit, LineLog(readable.write, is_stamped=True))
                try:
                    yield
                finally:
                    self._sinks = shown
                    writer.close()
        finally:
            self._lock.release()

    def _begin(self, prepared: _Prepared, first_step: int) -> None:
        self.emit(
            RunStarted(
                command=self._command,
                pid=os.getpid(),
                base_model=prepared.job.base.name,
                device=prepared.job.device.name,
                first_step=first_step,
            )
        )
        if self._lock.previous is not None:
            pid = self._lock.previous.pid
            text = f"process {pid} ended without a word; its lock is taken over"
            self.emit(Message("info", text))

    def _end(self, ending: RunEnded, seconds: float) -> None:
        from ethtune.model.device import memory_use, peak_process_bytes

        self.emit(
            replace(
                ending,
                seconds=seconds,
                peak_process_bytes=peak_process_bytes(),
                peak_reserved_bytes=memory_use().peak_reserved_bytes,
            )
        )


def _dataset_folder(config: Config) -> Path:
    if config.data.dataset is None:
        raise ConfigError(
            "no dataset is named", hint="ethtune train --dataset FOLDER; ethtune prepare makes one"
        )
    return Path(config.data.dataset)


def _ending(error: EthtuneError, step: int) -> RunEnded:
    kind: Ending = "interrupted" if isinstance(error, Interrupted) else "failed"
    return RunEnded(kind, step, 0.0, error.message, error.exit_code)


def _require_free(folder: RunFolder) -> None:
    if folder.manifest.is_file():
        if folder.lock.is_file():
            RunLock(folder.lock).release()  # raises, naming the process, when one trains there
        raise RunError(
            f"{folder.path} already holds a run",
            hint=f"ethtune resume {folder.path}, or choose another --output",
        )
    require_empty(folder.path)
    parent = next(item for item in (folder.path, *folder.path.resolve().parents) if item.exists())
    try:
        free = shutil.disk_usage(parent).free
    except OSError as error:
        raise MachineError(f"{parent} cannot be used: {error}") from error
    if free < _MINIMUM_FREE_BYTES:
        raise MachineError(
            f"{parent} has only {free / 1e6:.0f} MB free",
            hint="free disk space, or choose another --output",
        )


def _write_config(folder: RunFolder, composed: ComposedConfig) -> None:
    write_text(folder.config, composed.to_yaml())
    write_json(folder.origins, dict(composed.origins))


def _manifest(prepared: _Prepared, config: Config, dataset: Path, command: str) -> dict[str, Any]:
    template = prepared.job.tokenizer.chat_template or ""
    return {
        "v": 1,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "versions": _versions(),
        "device": prepared.job.device.name,
        "precision": prepared.job.device.precision,
        "base_model": {
            "name": prepared.job.base.name,
            "origin": prepared.job.base.origin,
            "revision": prepared.job.base.revision,
        },
        "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "prompt_versions": list(prepared.rows.prompt_versions),
        "seed": config.training.seed,
        "dataset": {
            "path": str(dataset.resolve()),
            "files": file_hashes(dataset),
            "train_rows": sum(map(len, prepared.rows.train)),
            "validation_rows": sum(map(len, prepared.rows.validation)),
            "too_long": len(prepared.rows.too_long),
        },
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "ethtune": __version__}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _changed_versions(manifest: dict[str, Any]) -> Iterator[str]:
    now = _versions()
    for name, was in manifest.get("versions", {}).items():
        if name in now and now[name] != was:
            yield f"{name} is now {now[name]}, was {was}: the run may not continue bit for bit"


def _resumed_config(folder: RunFolder, overrides: dict[str, tuple[Any, str]]) -> ComposedConfig:
    before = compose(config_file=folder.config)
    after = compose(config_file=folder.config, overrides=overrides)
    changed = [
        f"{key}: {old} to {new}"
        for key, old, new in _differences(before.config, after.config)
        if not any(key == free or (free[-1] == "." and key.startswith(free)) for free in FREE_KEYS)
    ]
    if changed:
        raise ConfigError(
            f"a resumed run cannot change {'; '.join(changed)}",
            hint="start a new run; resume may change max_steps, num_train_epochs and logging",
        )
    origins = dict(before.origins)
    if folder.origins.is_file():
        origins |= {key: str(value) for key, value in read_json(folder.origins).items()}
    origins |= {key: origin for key, (_, origin) in overrides.items()}
    return ComposedConfig(config=after.config, origins=origins)


def _differences(before: Config, after: Config) -> Iterator[tuple[str, Any, Any]]:
    old, new = before.model_dump(), after.model_dump()
    for section, keys in old.items():
        for key, value in keys.items():
            if new[section][key] != value:
                yield f"{section}.{key}", value, new[section][key]


def _require_steps_left(path: Path, config: Config, step: int) -> None:
    if 0 < config.training.max_steps <= step:
        raise RunError(
            f"nothing is left to do: {path} is at step {step} of {config.training.max_steps}",
            hint=f"ethtune resume {path} --set training.max_steps={step + 100}",
        )
