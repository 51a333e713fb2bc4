"""A run's config in, the training library's own arguments out."""

from __future__ import annotations

from trl import SFTConfig

from ethtune.core.config import Config
from ethtune.core.deepspeedfile import zero_stage
from ethtune.core.runfolder import RunFolder
from ethtune.model.device import Device
from ethtune.model.trackers import PROJECT
from ethtune.model.zerosettings import zero_settings


def library_arguments(
    config: Config, run: RunFolder, device: Device, *, has_validation: bool
) -> SFTConfig:
    """Every one that matters is named; ARCHITECTURE.md lists the traps of the defaults."""
    training, logging = config.training, config.logging
    zero = zero_settings(config)
    warmup = training.warmup_steps or training.warmup_ratio  # below 1 it is a share of the steps
    return SFTConfig(
        output_dir=str(run.path),
        num_train_epochs=training.num_train_epochs,
        max_steps=training.max_steps,
        per_device_train_batch_size=training.per_device_train_batch_size,
        per_device_eval_batch_size=training.per_device_eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        warmup_steps=warmup,
        lr_scheduler_type=training.lr_scheduler_type,
        lr_scheduler_kwargs=dict(training.lr_scheduler_kwargs),
        seed=training.seed,
        optim=config.optimization.optim,
        gradient_checkpointing=config.optimization.gradient_checkpointing,
        # DeepSpeed takes weights apart that a recomputation without it would compare
        gradient_checkpointing_kwargs={"use_reentrant": zero_stage(zero) == 3},
        # accelerate's no_sync is not for an engine that deals gradients out at each micro batch
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": zero is not None}},
        bf16=device.precision == "bf16",
        fp16=device.precision == "fp16",
        use_cpu=device.kind == "cpu",
        dataloader_pin_memory=device.kind == "cuda",
        dataloader_num_workers=config.data.dataloader_num_workers,
        dataloader_persistent_workers=False,  # they would draw other random numbers on resuming
        ignore_data_skip=False,
        auto_find_batch_size=False,  # it would change the effective batch in silence
        logging_steps=logging.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # the default would log a diverged run as loss 0.0
        save_strategy=logging.save_strategy,
        save_steps=logging.save_steps,
        save_total_limit=None,  # ours counts complete checkpoints only
        eval_strategy=logging.eval_strategy if has_validation else "no",
        eval_steps=logging.eval_steps,
        metric_for_best_model=logging.metric_for_best_model,
        load_best_model_at_end=False,  # ours works where save and eval steps differ
        report_to="none",  # trackers.py makes them, so that none of them can end a run
        run_name=run.path.resolve().name,
        project=PROJECT,
        neftune_noise_alpha=None,  # noise.py knows the documents of a sequence
        use_liger_kernel=False,  # fusedkernels.py says what it does
        disable_tqdm=True,
        remove_unused_columns=False,
        max_length=None,
        packing=False,  # the rows are packed already
        dataset_kwargs={"skip_prepare_dataset": True},
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # no training changes them
    )
