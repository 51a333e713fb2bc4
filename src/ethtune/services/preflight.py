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
from ethtune.core.ranks import rank
from ethtune.core.runfolder import RunFolder
from ethtune.core.runlock import require_unheld
from ethtune.core.schedules import schedule_misfit
from ethtune.services.estimation import EstimateReport
from ethtune.services.forecast import place_of_run
from ethtune.services.launching import visible_cards
from ethtune.services.memoryroom import foresee, require_memory
from ethtune.services.preview import preview
from ethtune.services.readiness import require_ready
from ethtune.services.rows import TrainingRows, load_rows
from ethtune.services.taskmetric import task_metric

if TYPE_CHECKING:
    from ethtune.model.basemodels import BaseModel
    from ethtune.model.tokenizer import PromptTokenizer
    from ethtune.model.training import TrainingJob

_PACKAGES = {"mlflow": "mlflow-skinny"}  # all that is needed, without a server of its own
_MINIMUM_FREE_BYTES = 200_000_000  # the smallest adapter with its tokenizer and three checkpoints


@dataclass(frozen=True, slots=True)
class Prepared:
    """The job and the rows it was made of; ``fingerprint`` tells its base model from another.

    ``preview`` shows a few of the rows as the trainer will see them.
    """

    job: TrainingJob
    rows: TrainingRows
    forecast: EstimateReport | None
    fingerprint: str | None
    preview: str


def prepare_job(config: Config, dataset: Path, events: Emit, *, is_new: bool = True) -> Prepared:
    """Device, base model, tokenizer, rows, forecast; the quickest questions first.

    A run that is resumed, or joined by another process, is not ``is_new``: its checkpoints have
    their room, and its long rows were left out before. Raises ConfigError, DataError or
    MachineError.
    """
    events(PhaseStarted("preflight"))
    _require_processes(config)
    cards = visible_cards()  # the import below narrows what is to be seen
    _require_trackers(config)
    from ethtune.model.basemodels import resolve

    model = config.model
    base = resolve(
        model.base_model, revision=model.revision, cache_dir=model.cache_dir, emit=events
    )
    require_ready(config, events, is_hub_model=base.origin == "hub", is_new=is_new)
    from ethtune.model.device import card_uuid, choose_device
    from ethtune.model.fingerprint import fingerprint
    from ethtune.model.requirements import require_runnable
    from ethtune.model.targets import check_adapter
    from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer
    from ethtune.model.training import TrainingJob

    device = choose_device(config)
    if device.kind == "cuda" and rank().is_alone and cards > 1:
        text = f"{cards} GPUs are there, one is used: {device.name}; --gpus {cards} uses all"
        events(Message("info", text))
    for sentence in require_runnable(config, device):
        events(Message("warning", sentence))
    tokenizer = load_tokenizer(
        base, cache_dir=model.cache_dir, trust_remote_code=model.trust_remote_code
    )
    check_adapter(base, config, device)
    prompts = PromptTokenizer(tokenizer)
    _require_stop(prompts, base)
    rows = load_rows(dataset, config.data, prompts, events, has_budget=is_new)
    _require_room(config, num_packs=len(rows.train))
    metric = task_metric(config.logging, dataset)
    job = TrainingJob(base, device, tokenizer, (rows.train, rows.validation), metric)
    card = card_uuid()
    forecast = foresee(config, rows, place_of_run(on_gpu=card is not None, card=card or ""), events)
    require_memory(config, forecast, card)
    known_by = fingerprint(base, cache_dir=model.cache_dir)
    return Prepared(job, rows, forecast, known_by, preview(rows, prompts))


def _require_processes(config: Config) -> None:
    wanted, there = config.training.num_processes, rank().size
    if wanted != there:
        raise ConfigError(
            f"training.num_processes is {wanted}, and {there} trains here",
            hint="the commands ethtune train and ethtune resume start as many",
        )


def _require_trackers(config: Config) -> None:
    missing = [name for name in config.logging.report_to if find_spec(name) is None]
    if missing:
        raise MachineError(
            f"logging.report_to names {', '.join(missing)}, which is not installed",
            hint=f"pip install {' '.join(_PACKAGES.get(name, name) for name in missing)}",
        )


def _require_stop(prompts: PromptTokenizer, base: BaseModel) -> None:
    if not prompts.stops_itself:
        raise ConfigError(
            f"the chat template of {base.name} ends an answer with no special token: nothing would "
            "tell other programs, which use that template, where an answer is over",
            hint="take the model's instruct version; or download it to a folder, and let "
            "chat_template.jinja there end an assistant's turn with {{ eos_token }}",
        )


def _require_room(config: Config, *, num_packs: int) -> None:
    """Raises ConfigError where the schedule is longer than the run."""
    training = config.training
    total_steps = training.total_steps(num_packs)
    misfit = schedule_misfit(
        training.lr_scheduler_type,
        training.lr_scheduler_kwargs,
        warmup_steps=training.total_warmup_steps(total_steps),
        total_steps=total_steps,
    )
    if misfit is not None:
        raise ConfigError(
            f"training.lr_scheduler_type {training.lr_scheduler_type}: {misfit}",
            hint="lower training.warmup_steps or num_decay_steps, or train longer",
        )


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
    parts = (folder.lock, folder.config, folder.origins, folder.preview, folder.manifest)
    early = tuple(part.name for part in parts)
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
