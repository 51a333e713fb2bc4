"""Token rows in, a trained adapter in the run folder out."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from ethtune.core.deepspeedfile import zero_stage
from ethtune.core.errors import DivergedError, MachineError
from ethtune.core.events import Message, ModelLoaded, PhaseStarted, TrainingPlanned
from ethtune.core.ranks import rank
from ethtune.core.tokens import TokenRow
from ethtune.core.units import format_bytes
from ethtune.model.adapterfiles import adapter_tensors, load_adapter
from ethtune.model.basemodels import BaseModel
from ethtune.model.batches import CPU_MULTIPLE, padding_of, to_dataset
from ethtune.model.bestmodel import best_step, criterion_of, validations
from ethtune.model.callbacks import RunHooks
from ethtune.model.checkpoints import Checkpoint, committed_steps, find_checkpoints
from ethtune.model.context import RunContext
from ethtune.model.device import Device, memory_use, told_of_memory
from ethtune.model.fusedkernels import fuse
from ethtune.model.isolation import require_isolation
from ethtune.model.load import add_adapter, load_base
from ethtune.model.memoryladder import MemoryLadder, hint_of
from ethtune.model.noise import add_embedding_noise
from ethtune.model.processes import from_main, share_signal
from ethtune.model.rollback import roll_back
from ethtune.model.sharding import shard
from ethtune.model.trackers import tracking
from ethtune.model.trainer import QLoraTrainer, TaskMetric
from ethtune.model.zero import loading
from ethtune.model.zerooptimizer import ZeroOptimizer
from ethtune.model.zerosettings import zero_settings

_TOKENIZER_BYTES = 64 * 1024**2  # tokenizers of every known model, several times over
Packs = Sequence[Sequence[TokenRow]]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that could be settled before the weights load; ``packs`` are training, validation."""

    base: BaseModel
    device: Device
    tokenizer: Any
    packs: tuple[Packs, Packs]
    task_metric: TaskMetric | None = None


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """``best_step`` is where its weights are from, when they are not the last ones."""

    steps: int
    best_step: int | None


def train_adapter(
    context: RunContext, job: TrainingJob, *, resume_from: Path | None
) -> TrainedAdapter:
    """Train on the job's packs and leave the adapter in the run folder.

    Raises Interrupted after a signal, with a checkpoint saved; DivergedError; MachineError when
    memory or the disk for the result runs out.
    """
    with told_of_memory(job.device, hint="ethtune estimate shows what would fit"):
        return _train_adapter(context, job, resume_from)


def _train_adapter(
    context: RunContext, job: TrainingJob, resume_from: Path | None
) -> TrainedAdapter:
    model = _load(context, job)
    from_main(lambda: _check_disk(context, model))
    context.signals.is_patient = True
    with tracking(context):
        trainer = _trained(context, job, model, resume_from)
    try:
        share_signal(context.signals)
        _stop_if_asked(context, trainer)
        best = _finish(context, trainer)
        return TrainedAdapter(steps=trainer.state.global_step, best_step=best)
    finally:
        trainer.saver.close()


def _finish(context: RunContext, trainer: QLoraTrainer) -> int | None:
    """The result into the run folder; the step whose weights it is, when it is not the last."""
    best = _take_best(context, trainer)
    context.emit(PhaseStarted("finishing"))
    weights = adapter_tensors(trainer.model)
    if rank().is_main:
        _stop_if_asked(context, trainer)
        trainer.saver.publish(trainer, weights, context.card)
    return best


def _load(context: RunContext, job: TrainingJob) -> Any:
    started = time.perf_counter()
    context.emit(PhaseStarted("loading"))
    config = context.config
    zero = zero_settings(config)
    with loading(zero, job.device.dtype):
        base = load_base(job.base, config, job.device)
    if told := fuse(base, config.optimization.use_liger_kernel, job.device):
        context.emit(Message("info", told))
    model = add_adapter(base, config.lora, seed=config.training.seed)
    if config.training.fsdp:
        shard(model, job.device)
    if zero_stage(zero) != 3:  # its engine, which the trainer makes, can ask it then
        require_isolation(model, config)
    if config.training.neftune_noise_alpha is not None:
        add_embedding_noise(model, config.training.neftune_noise_alpha)
    model.peft_config["default"].base_model_name_or_path = job.base.public_name
    trainable, total = model.get_nb_trainable_parameters()
    memory = memory_use()
    context.emit(
        ModelLoaded(
            trainable_parameters=trainable,
            total_parameters=total,
            memory_bytes=memory.allocated_bytes or memory.process_bytes,
            seconds=time.perf_counter() - started,
        )
    )
    return model


def _trained(
    context: RunContext, job: TrainingJob, model: Any, resume_from: Path | None
) -> QLoraTrainer:
    """The trainer at its last step; after a divergence, the one that went on from before it."""
    ladder = MemoryLadder(context.config, context.emit)
    trainer = _trainer(context, job, model, ladder=ladder)
    try:
        _run(context, trainer, job, resume_from)
        return trainer
    except DivergedError as error:
        told = error  # the name goes with the except
        rollback = from_main(lambda: roll_back(context, trainer.guard, told))
    finally:
        trainer.saver.close()
    if isinstance(trainer.optimizer, ZeroOptimizer):
        trainer.optimizer.close()
    del trainer
    trainer = _trainer(context, job, model, ladder=ladder, skip_steps=rollback.skip_steps)
    try:
        _run(context, trainer, job, rollback.checkpoint)
    except DivergedError as error:
        told = error
        from_main(lambda: roll_back(context, trainer.guard, told))
    finally:
        trainer.saver.close()
    return trainer


def _trainer(
    context: RunContext,
    job: TrainingJob,
    model: Any,
    *,
    ladder: MemoryLadder,
    skip_steps: int = 0,
) -> QLoraTrainer:
    blank = () if rank().is_alone else ((),)  # what makes the shares of the processes equal
    train, validation = (to_dataset([*part, *blank]) if part else None for part in job.packs)
    trainer = QLoraTrainer(
        context=context,
        device=job.device,
        datasets=(train, validation),
        task_metric=job.task_metric,
        skip_steps=skip_steps,
        ladder=ladder,
        model=model,
        processing_class=job.tokenizer,
    )
    trainer.add_callback(
        RunHooks(context.signals, lambda steps: _plan(context, trainer, job, steps))
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _run(
    context: RunContext, trainer: QLoraTrainer, job: TrainingJob, resume_from: Path | None
) -> None:
    longest = max(len(row.input_ids) for part in job.packs for pack in part for row in pack)
    try:
        with told_of_memory(
            job.device,
            hint=hint_of(context.config, longest, is_split=False),
            place=lambda: f" at step {trainer.state.global_step + 1}",
        ):
            trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    finally:
        gc.collect()


def _plan(context: RunContext, trainer: QLoraTrainer, job: TrainingJob, steps: int) -> None:
    train, validation = job.packs
    training = context.config.training
    context.emit(
        TrainingPlanned(
            total_steps=steps,
            num_train_epochs=round(steps / training.steps_per_epoch(len(train)), 3),
            num_train_rows=sum(map(len, train)),
            num_eval_rows=sum(map(len, validation)),
            effective_batch_size=context.config.effective_batch_size,
            tokens_per_epoch=sum(len(row.input_ids) for pack in train for row in pack),
            padding_share=_padding_share(train, trainer.args.per_device_train_batch_size, job),
        )
    )
    if trainer.state.global_step < steps:
        trainer.rehearse(train)
    context.emit(PhaseStarted("training"))
    trainer.begin()


def _padding_share(packs: Packs, batch_size: int, job: TrainingJob) -> float:
    """Of all computed tokens; packs in their own order, shuffling moves it little."""
    if job.device.kind != "cpu":
        return 0.0
    lengths = [sum(len(row.input_ids) for row in pack) for pack in packs]
    sums = [sum(lengths[at : at + batch_size]) for at in range(0, len(lengths), batch_size)]
    padding = sum(padding_of(length, CPU_MULTIPLE) for length in sums)
    return round(padding / (padding + sum(sums)), 4)


def _check_disk(context: RunContext, model: Any) -> None:
    """Room for every checkpoint that may stand at once: float32 adapter and two Adam moments."""
    trainable, _ = model.get_nb_trainable_parameters()
    needed = trainable * 12 * (context.config.logging.save_total_limit + 2) + _TOKENIZER_BYTES
    free = shutil.disk_usage(context.run.path).free
    if free < needed:
        raise MachineError(
            f"{context.run.path} has {format_bytes(free)} free; the run's checkpoints need up to "
            f"{format_bytes(needed)}",
            hint="free disk space, choose another --output, or lower logging.save_total_limit",
        )


def _stop_if_asked(context: RunContext, trainer: QLoraTrainer) -> None:
    if context.signals.received is None:
        return
    step, saved = trainer.state.global_step, max(committed_steps(context.run), default=0)
    text = f"stopped at step {step}, as asked"
    if saved != step:
        text += f"; it could not be saved, resuming begins at step {saved}"
    raise context.signals.stopped(text, hint=f"ethtune resume {context.run.path}")


def _take_best(context: RunContext, trainer: QLoraTrainer) -> int | None:
    """Put the weights of the best validated step into the model, when they are not the last."""
    found = from_main(lambda: _best_checkpoint(context, trainer))
    if found is None:
        return None
    load_adapter(trainer.model, found.path)
    best_by = context.config.logging.metric_for_best_model
    context.emit(Message("info", f"weights of step {found.step} taken: the best {best_by}"))
    return found.step


def _best_checkpoint(context: RunContext, trainer: QLoraTrainer) -> Checkpoint | None:
    """One that verifies: the best of those, should the best be lost. None for the last weights."""
    section = context.config.logging
    criterion, last = criterion_of(section), trainer.state.global_step
    values = validations(trainer.state.log_history, criterion.key)
    if not section.load_best_model_at_end or best_step(values, criterion) in (None, last):
        return None
    whole = {c.step: c for c in find_checkpoints(context.run) if c.problem is None}
    best = best_step(values, criterion, among={*whole, last})
    if best != best_step(values, criterion):
        text = f"the best step {best_step(values, criterion)} has no checkpoint"
        context.emit(Message("warning", f"{text}; the best that has one is taken"))
    return None if best in (None, last) else whole[best]
