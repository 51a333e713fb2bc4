"""Everything that can be found wrong before the weights load, found then."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ethtune.core.atomic import require_empty
from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError, RunError
from ethtune.core.events import Emit, Message, PhaseStarted
from ethtune.core.runfolder import RunFolder
from ethtune.core.runlock import require_unheld
from ethtune.core.units import format_bytes, format_duration
from ethtune.device.target import Target
from ethtune.services.calibration import read_records, store
from ethtune.services.estimation import EstimateReport, Known, estimate
from ethtune.services.forecast import place_of_run
from ethtune.services.rows import TrainingRows, load_rows
from ethtune.services.taskmetric import task_metric
from ethtune.services.trainingdata import packed_amount

if TYPE_CHECKING:
    from ethtune.model.training import TrainingJob

_PACKAGES = {"mlflow": "mlflow-skinny"}  # all that is needed, without a server of its own
_MINIMUM_FREE_BYTES = 200_000_000  # the smallest adapter with its tokenizer and three checkpoints


@dataclass(frozen=True, slots=True)
class Prepared:
    """The job and the rows it was made of; ``fingerprint`` tells its base model from another."""

    job: TrainingJob
    rows: TrainingRows
    forecast: EstimateReport | None
    fingerprint: str | None


def prepare_job(config: Config, dataset: Path, events: Emit) -> Prepared:
    """Device, base model, tokenizer, rows, forecast.

    Raises ConfigError, DataError or MachineError.
    """
    events(PhaseStarted("preflight"))
    _require_trackers(config)
    from ethtune.model.basemodels import resolve
    from ethtune.model.device import choose_device
    from ethtune.model.fingerprint import fingerprint
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
    metric = task_metric(config.logging, dataset)
    job = TrainingJob(base, device, tokenizer, (rows.train, rows.validation), metric)
    forecast = _forecast(config, rows, place_of_run(on_gpu=device.kind == "cuda"), events)
    return Prepared(job, rows, forecast, fingerprint(base, cache_dir=model.cache_dir))


def _require_trackers(config: Config) -> None:
    missing = [name for name in config.logging.report_to if find_spec(name) is None]
    if missing:
        raise MachineError(
            f"logging.report_to names {', '.join(missing)}, which is not installed",
            hint=f"pip install {' '.join(_PACKAGES.get(name, name) for name in missing)}",
        )


def _forecast(
    config: Config, rows: TrainingRows, target: Target, events: Emit
) -> EstimateReport | None:
    """What the run should need here, said before it starts; None for a model of unknown shape."""
    known = Known(packed_amount(rows), read_records(store()))
    try:
        report = estimate(config, target=target, known=known)
    except ConfigError as error:
        events(Message("info", f"no estimate: {error.message.splitlines()[0]}"))
        return None
    low, high = (format_bytes(count) for count in report.process_bytes)
    text = f"estimate: {low} to {high} of {format_bytes(report.free_bytes)} free"
    if report.seconds is not None:
        text += f", {' to '.join(map(format_duration, report.seconds))}"
    events(Message("info" if report.answer == "fits" else "warning", f"{text}: {report.answer}"))
    return report


def dataset_folder(config: Config) -> Path:
    """Where the rows are. Raises ConfigError when no one said."""
    if config.data.dataset is None:
        raise ConfigError(
            "no dataset is named", hint="ethtune train --dataset FOLDER; ethtune prepare makes one"
        )
    return Path(config.data.dataset)


def _is_stillborn(folder: RunFolder) -> bool:
    """Whether a process was killed there before it had a manifest: nothing in it is of use."""
    if not folder.lock.is_file():
        return False
    require_unheld(folder.lock)
    early = (folder.lock.name, folder.config.name, folder.origins.name, folder.manifest.name)
    unfinished = tuple(f".{name}." for name in early)  # as a write that was killed leaves them
    names = (item.name for item in folder.path.iterdir())
    return all(name in early or name.startswith(unfinished) for name in names)


def _is_run(folder: RunFolder) -> bool:
    try:
        return folder.manifest.is_file()
    except OSError as error:  # a name that no file system takes
        raise MachineError(
            f"{folder.path} cannot be used: {error.strerror}", hint="choose another --output"
        ) from error


def require_free(folder: RunFolder) -> None:
    """The folder is new or empty and has room. Raises RunError or MachineError."""
    if _is_run(folder):
        require_unheld(folder.lock)
        raise RunError(
            f"{folder.path} already holds a run",
            hint=f"ethtune resume {folder.path}, or choose another --output",
        )
    if not _is_stillborn(folder):
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
