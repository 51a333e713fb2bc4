"""Token rows in, a trained adapter in the run folder out."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import PrinterCallback

from ethtune.core.config import Config
from ethtune.core.errors import Interrupted, MachineError
from ethtune.core.events import Emit, Message, ModelLoaded, PhaseStarted, TrainingPlanned
from ethtune.core.runfolder import RunFolder
from ethtune.core.tokens import TokenRow
from ethtune.core.units import format_bytes
from ethtune.model.basemodels import BaseModel
from ethtune.model.batches import CPU_MULTIPLE, padding_of, to_dataset
from ethtune.model.callbacks import RunHooks, StopSignals
from ethtune.model.device import Device, memory_use
from ethtune.model.load import add_adapter, load_base
from ethtune.model.trainer import QLoraTrainer

_WEIGHTS = "adapter_model.safetensors"
_TOKENIZER_BYTES = 64 * 1024**2  # tokenizers of every known model, several times over
Packs = Sequence[Sequence[TokenRow]]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that could be settled before the weights load; ``packs`` are training, validation."""

    base: BaseModel
    device: Device
    tokenizer: Any
    packs: tuple[Packs, Packs]


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """``best_step`` is where its weights are from, when they are not the last ones."""

    steps: int
    best_step: int | None


def train_adapter(
    *,
    run: RunFolder,
    config: Config,
    job: TrainingJob,
    resume_from: Path | None,
    emit: Emit,
) -> TrainedAdapter:
    """Train on the job's packs and leave the adapter in the run folder.

    Raises Interrupted after a signal, with a checkpoint saved; DivergedError; MachineError when
    memory runs out.
    """
    with StopSignals(emit) as signals:
        model = _load(job, config, emit)
        _check_disk(run, model, config)
        _stop_if_asked(signals, run)
        train, validation = (to_dataset(part) if part else None for part in job.packs)
        trainer = QLoraTrainer(
            run=run,
            config=config,
            device=job.device,
            emit=emit,
            datasets=(train, validation),
            model=model,
            processing_class=job.tokenizer,
        )
        trainer.add_callback(
            RunHooks(signals, lambda steps: _plan(trainer, config, job, steps, emit))
        )
        trainer.remove_callback(PrinterCallback)
        _run(trainer, run, job.device, resume_from)
        if trainer.state.global_step < trainer.state.max_steps:
            _stop_if_asked(signals, run)
        best_step = _take_best(trainer, run, config, emit)
        emit(PhaseStarted("finishing"))
        _save_final(trainer, run)
        return TrainedAdapter(steps=trainer.state.global_step, best_step=best_step)


def _load(job: TrainingJob, config: Config, emit: Emit) -> Any:
    started = time.perf_counter()
    emit(PhaseStarted("loading"))
    model = load_base(job.base, config, job.device)
    model = add_adapter(model, config.lora, seed=config.training.seed)
    model.peft_config["default"].base_model_name_or_path = job.base.public_name
    trainable, total = model.get_nb_trainable_parameters()
    memory = memory_use()
    emit(
        ModelLoaded(
            trainable_parameters=trainable,
            total_parameters=total,
            memory_bytes=memory.allocated_bytes or memory.process_bytes,
            seconds=time.perf_counter() - started,
        )
    )
    return model


def _run(trainer: QLoraTrainer, run: RunFolder, device: Device, resume_from: Path | None) -> None:
    try:
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"{device.name} ran out of memory at step {trainer.state.global_step + 1}: "
            f"{str(error).splitlines()[0]}",
            hint="train anew with half of data.max_seq_length, --batch-size 1, or "
            f"optimization.gradient_checkpointing=true; {run.path} keeps its checkpoints",
        ) from error
    finally:
        gc.collect()


def _plan(trainer: QLoraTrainer, config: Config, job: TrainingJob, steps: int, emit: Emit) -> None:
    train, validation = job.packs
    training = config.training
    emit(
        TrainingPlanned(
            total_steps=steps,
            num_train_epochs=round(steps / training.steps_per_epoch(len(train)), 3),
            num_train_rows=sum(map(len, train)),
            num_eval_rows=sum(map(len, validation)),
            effective_batch_size=config.effective_batch_size,
            tokens_per_epoch=sum(len(row.input_ids) for pack in train for row in pack),
            padding_share=_padding_share(train, trainer.args.per_device_train_batch_size, job),
        )
    )
    emit(PhaseStarted("training"))
    trainer.start_window()


def _padding_share(packs: Packs, batch_size: int, job: TrainingJob) -> float:
    """Of all computed tokens; packs in their own order, shuffling moves it little."""
    if job.device.kind != "cpu":
        return 0.0
    lengths = [sum(len(row.input_ids) for row in pack) for pack in packs]
    sums = [sum(lengths[at : at + batch_size]) for at in range(0, len(lengths), batch_size)]
    padding = sum(padding_of(length, CPU_MULTIPLE) for length in sums)
    return round(padding / (padding + sum(sums)), 4)


def _check_disk(run: RunFolder, model: Any, config: Config) -> None:
    """Room for every checkpoint that may stand at once: float32 adapter and two Adam moments."""
    trainable, _ = model.get_nb_trainable_parameters()
    needed = trainable * 12 * (config.logging.save_total_limit + 2) + _TOKENIZER_BYTES
    free = shutil.disk_usage(run.path).free
    if free < needed:
        raise MachineError(
            f"{run.path} has {format_bytes(free)} free; the run's checkpoints need up to "
            f"{format_bytes(needed)}",
            hint="free disk space, choose another --output, or lower logging.save_total_limit",
        )


def _stop_if_asked(signals: StopSignals, run: RunFolder) -> None:
    if signals.received is not None:
        raise Interrupted(
            "stopped, as asked",
            signal_number=signals.received,
            hint=f"ethtune resume {run.path}",
        )


def _take_best(trainer: QLoraTrainer, run: RunFolder, config: Config, emit: Emit) -> int | None:
    """Put the weights of the best validated step into the model, when they are not the last."""
    best = trainer.state.best_global_step
    weights = run.path / f"checkpoint-{best}" / _WEIGHTS
    if not config.logging.load_best_model_at_end or best in (None, trainer.state.global_step):
        return None
    if not weights.is_file():
        emit(Message("warning", f"the best step {best} has no checkpoint; the last weights stay"))
        return None
    set_peft_model_state_dict(trainer.model, load_file(weights))
    emit(Message("info", f"weights of step {best} taken: the best validation result"))
    return int(best)


def _save_final(trainer: QLoraTrainer, run: RunFolder) -> None:
    """Adapter and tokenizer, loadable by plain peft and transformers."""
    trainer.model.save_pretrained(run.path)
    trainer.processing_class.save_pretrained(run.path)
    os.chmod(run.adapter, 0o644)  # safetensors makes it private, its neighbours are not
    (run.path / "README.md").unlink(missing_ok=True)  # peft's unfilled form; ours comes after
