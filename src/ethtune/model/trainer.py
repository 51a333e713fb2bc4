"""TRL's SFTTrainer with the parts that a run's safety and memory need done differently.

Different here: loss at labelled positions only; adapters stay float32; validation is exact over
tokens; checkpoints are committed whole (``checkpoints``); the first loss or gradient that is no
finite number ends the run before the optimizer sees it; everything is told through events.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from transformers import Trainer
from trl import SFTTrainer

from ethtune.core.config import Config
from ethtune.core.errors import DivergedError
from ethtune.core.events import (
    CheckpointSaved,
    Emit,
    Evaluated,
    Message,
    PhaseStarted,
    Progress,
    StepLogged,
)
from ethtune.core.runfolder import RunFolder
from ethtune.model.arguments import library_arguments
from ethtune.model.batches import CPU_MULTIPLE, collate
from ethtune.model.checkpoints import STAGING, commit, rotate
from ethtune.model.device import Device, memory_use
from ethtune.model.loss import labelled_loss


@dataclass(slots=True)
class _Window:
    """What has gathered since the last logged step."""

    started: float = field(default_factory=time.perf_counter)
    tokens: int = 0
    wait_seconds: float = 0.0
    other_seconds: float = 0.0  # evaluating and saving: no part of a step
    first_step: int = 0


class QLoraTrainer(SFTTrainer):  # type: ignore[misc]  # trl ships no types
    """One run. ``run`` is its folder, ``emit`` where events go."""

    def __init__(
        self,
        *,
        run: RunFolder,
        config: Config,
        device: Device,
        emit: Emit,
        datasets: tuple[Dataset, Dataset | None],
        **parts: Any,
    ) -> None:
        self._run = run
        self._config = config
        self._emit = emit
        self._window = _Window()
        self._staging: Path | None = None
        train, validation = datasets
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(run.path / "logs"))
        super().__init__(
            args=library_arguments(config, run, device, has_validation=validation is not None),
            data_collator=partial(collate, multiple=CPU_MULTIPLE if device.kind == "cpu" else 1),
            train_dataset=train,
            eval_dataset=validation,
            **parts,
        )
        # TRL casts the adapters of quantised models to bfloat16, in which small updates are lost
        # and after which a resumed run, whose adapters load as float32, is another run
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

    # -- steps ---------------------------------------------------------------------------------

    def _run_epoch(self, **parts: Any) -> None:
        """No step beyond the last, when what is resumed only lacks its result."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(**parts)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Fetch a step's micro batches, and take the time that takes."""
        started = time.perf_counter()
        samples, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._window.wait_seconds += time.perf_counter() - started
        return samples, num_items

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean over all labels of the step, however they fall into micro batches."""
        total, _, num_labels = labelled_loss(model, inputs)
        self._window.tokens += inputs["input_ids"].numel()
        loss = total / (num_labels if num_items_in_batch is None else num_items_in_batch)
        if not math.isfinite(value := float(loss.detach())):
            raise DivergedError(
                f"step {self.state.global_step + 1}: the loss is {value}; "
                "the weights are still those of the step before",
                hint=f"train anew with a lower --learning-rate than {self.args.learning_rate:g}; "
                f"{self._run.path} keeps its checkpoints",
            )
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        # with fp16 an overflow is ordinary: the scaler skips that step
        if self.accelerator.scaler is None and not math.isfinite(float(norm)):
            raise DivergedError(
                f"step {self.state.global_step + 1}: the gradient's norm is {float(norm)}; "
                "the weights are still those of the step before",
                hint=f"train anew with a lower --learning-rate than {self.args.learning_rate:g}; "
                f"{self._run.path} keeps its checkpoints",
            )
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Emit a logged step; the rest of transformers' logging goes on as it is."""
        if "loss" in logs and "learning_rate" in logs:
            self._emit_step(logs)
        Trainer.log(self, logs, start_time)

    def _emit_step(self, logs: dict[str, float]) -> None:
        window, step, now = self._window, self.state.global_step, time.perf_counter()
        memory = memory_use()
        norm = logs.get("grad_norm")
        self._emit(
            StepLogged(
                step=step,
                epoch=round(float(self.state.epoch or 0.0), 4),
                loss=float(logs["loss"]),
                learning_rate=float(logs["learning_rate"]),
                grad_norm=None if norm is None else float(norm),
                num_steps=max(step - window.first_step, 1),
                num_tokens=window.tokens,
                seconds=now - window.started - window.other_seconds,
                data_wait_seconds=window.wait_seconds,
                allocated_bytes=memory.allocated_bytes,
                reserved_bytes=memory.peak_reserved_bytes,
                process_bytes=memory.process_bytes,
            )
        )
        self._window = _Window(first_step=step)

    def start_window(self) -> None:
        """Begin counting at the current step; called when training really starts."""
        self._window = _Window(first_step=self.state.global_step)

    @contextlib.contextmanager
    def _outside_step(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._window.other_seconds += time.perf_counter() - started

    # -- validation ----------------------------------------------------------------------------

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Loss and top-1 accuracy over every validation token, each counted once."""
        # a loader draws a seed: without the fork, dropout after a validation that an interrupted
        # run left out would be another than after one that took place
        with self._outside_step(), torch.random.fork_rng(devices=()):
            metrics = self._validate()
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        return metrics

    def _validate(self) -> dict[str, float]:
        started = time.perf_counter()
        loader = self.get_eval_dataloader()
        self._emit(PhaseStarted("evaluating", len(loader)))
        _evaluation_mode(self.model)
        loss = correct = 0.0
        num_labels = 0
        for done, inputs in enumerate(loader, start=1):
            with torch.no_grad(), self.compute_loss_context_manager():
                batch = self._prepare_inputs(inputs)
                batch_loss, batch_correct, count = labelled_loss(self.model, batch)
            loss += float(batch_loss)
            correct += float(batch_correct)
            num_labels += count
            self._emit(Progress("evaluating", done, len(loader)))
        self.model.train()
        metrics = {"eval_loss": loss / num_labels, "eval_token_accuracy": correct / num_labels}
        seconds = time.perf_counter() - started
        self._emit(Evaluated(step=self.state.global_step, seconds=seconds, **metrics))
        self._emit(PhaseStarted("training"))
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """A new best model is saved at once, so that it can be had at the end."""
        is_best = bool(super()._determine_best_metric(metrics, trial))
        if is_best and self._config.logging.load_best_model_at_end:
            self.control.should_save |= self._config.logging.save_strategy != "no"
        return is_best

    # -- checkpoints ---------------------------------------------------------------------------

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging else str(super()._get_output_dir(trial))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Adapter and tokenizer. No training_args.bin: a pickle, and a place for tokens to leak."""
        folder = output_dir or self.args.output_dir
        self.model.save_pretrained(folder, state_dict=state_dict)
        self.processing_class.save_pretrained(folder)
        (Path(folder) / "README.md").unlink(missing_ok=True)  # peft's empty model card

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A disk that refuses costs this checkpoint, never the run or an older one."""
        started, step = time.perf_counter(), self.state.global_step
        name = f"checkpoint-{step}"
        with self._outside_step():
            self._emit(PhaseStarted("saving"))
            self._staging = self._run.path / STAGING
            shutil.rmtree(self._staging, ignore_errors=True)
            try:
                # not SFTTrainer's: it would write a model card of its own into each checkpoint
                Trainer._save_checkpoint(self, model, trial)
                size = commit(self._staging / name, self._run.path / name)
                spare = {self.state.best_global_step} - {None}
                rotate(self._run, keep=self._config.logging.save_total_limit, spare=spare)
            except (OSError, RuntimeError) as error:
                text = f"checkpoint {step} could not be saved: {error}; training goes on"
                self._emit(Message("error", text))
            else:
                seconds = time.perf_counter() - started
                self._emit(CheckpointSaved(step, name, size, seconds))
            finally:
                shutil.rmtree(self._staging, ignore_errors=True)
                self._staging = None
        self._emit(PhaseStarted("training"))


def _evaluation_mode(model: torch.nn.Module) -> None:
    """Dropout off, and nothing else changed.

    On a CPU with bfloat16 units, bitsandbytes repacks 4-bit weights for good, with rounding, the
    first time a layer in evaluation mode runs: a run that validated would train on other base
    weights than one that did not, and a resumed run would not be the same run.
    """
    model.eval()
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.training = True
