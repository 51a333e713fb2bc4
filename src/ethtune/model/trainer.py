"""TRL's SFTTrainer with the parts that a run's safety and memory need done differently.

Different here: loss at labelled positions only; adapters stay float32; validation is exact over
tokens; checkpoints are committed whole (``saving``) and compared when loaded; every step is judged
before the optimizer makes it (``divergence``); everything is told through events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from peft.optimizers import create_loraplus_optimizer
from transformers import Trainer

from ethtune.core.events import Evaluated, Message, PhaseStarted
from ethtune.core.ranks import rank
from ethtune.model.arguments import library_arguments
from ethtune.model.batches import CPU_MULTIPLE, collate
from ethtune.model.bestmodel import (
    best_step,
    criterion_of,
    validations_without_gain,
)
from ethtune.model.context import RunContext
from ethtune.model.device import Device
from ethtune.model.divergence import Guard
from ethtune.model.frugal import FrugalTrainer
from ethtune.model.generate import Generation, Generator
from ethtune.model.loss import labelled_loss
from ethtune.model.memoryladder import MemoryLadder
from ethtune.model.processes import from_main, share_signal, total
from ethtune.model.saving import Saver
from ethtune.model.sharding import is_sharded
from ethtune.model.stepwindow import StepWindow
from ethtune.model.tokenizer import PromptTokenizer
from ethtune.model.trackers import trackers
from ethtune.model.validation import ValidationLeft, answers, evaluation_mode, validate
from ethtune.model.workers import guard_workers

Answer = Callable[[Sequence[str], Sequence[str]], list[Generation]]
TaskMetric = Callable[[Answer], Mapping[str, float]]
"""A way to have prompts answered in, shares of answers that are right out."""


class QLoraTrainer(FrugalTrainer):
    """One run, or what a rollback left of it.

    ``skip_steps``: after a rollback, how many steps behind the checkpoint are left out.
    ``ladder``: how a trainer before this one made do with the memory there is.
    """

    def __init__(
        self,
        *,
        context: RunContext,
        device: Device,
        datasets: tuple[Dataset, Dataset | None],
        task_metric: TaskMetric | None = None,
        skip_steps: int = 0,
        ladder: MemoryLadder | None = None,
        **parts: Any,
    ) -> None:
        config, emit = context.config, context.emit
        self._run = context.run
        self._config = config
        self._device = device
        self._emit = emit
        self._signals = context.signals
        self._task_metric = task_metric
        self._criterion = criterion_of(config.logging)
        self._window = StepWindow()
        self.ladder = ladder or MemoryLadder(config, emit)
        self.guard = Guard(emit, skip_steps=skip_steps)
        self.saver = Saver(self._run, keep=config.logging.save_total_limit, emit=emit)
        train, validation = datasets
        super().__init__(
            args=library_arguments(
                config, self._run, device, has_validation=validation is not None
            ),
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
        self.saver.open(self.model, self.processing_class)
        self.callback_handler.callbacks += trackers(config.logging.report_to, emit)

    # -- steps ---------------------------------------------------------------------------------

    def _run_epoch(self, **parts: Any) -> None:
        """No step beyond the last, when what is resumed only lacks its result."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        if not self.control.should_training_stop:
            super()._run_epoch(**parts)

    def begin(self) -> None:
        """Training starts: validate where the run was stopped before it could, end where it had."""
        if self._random_states is not None:
            if self._planned_before not in (None, self.state.max_steps):
                text = f"the schedule is laid anew over {self.state.max_steps} steps instead of "
                rate = f"from step {self.state.global_step} on it goes by the new one"
                self._emit(Message("info", f"{text}{self._planned_before}: {rate}"))
            self._settle()
        self._window = StepWindow(first_step=self.state.global_step)

    def _settle(self) -> None:
        step, strategy = self.state.global_step, str(self.args.eval_strategy.value)
        every = {"no": 0, "steps": int(self.args.eval_steps or 0), "epoch": self._steps_per_epoch}[
            strategy
        ]
        is_due = bool(every) and (step % every == 0 or step >= self.state.max_steps)
        if is_due and not self.guard.skip_now and step not in self._validations():
            self._determine_best_metric(self.evaluate(), None)
        else:
            self._consider_stopping()

    def get_train_dataloader(self) -> Any:
        """Workers that leave signals to us and die with us."""
        return guard_workers(super().get_train_dataloader())

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Fetch a step's micro batches, and take the time that takes."""
        started = time.perf_counter()
        samples, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._window.wait_seconds += time.perf_counter() - started
        return samples, num_items

    def create_optimizer(self, model: Any = None) -> Any:
        """With LoRA+ B learns faster than A. A group without parameters is none."""
        ratio = self._config.lora.loraplus_lr_ratio
        if self.optimizer is None and ratio is not None:
            which = self.model if model is None else model
            kind, named = self.get_optimizer_cls_and_kwargs(self.args, which)
            decay = {"loraplus_weight_decay": self.args.weight_decay}
            self.optimizer: Any = create_loraplus_optimizer(
                which, kind, loraplus_lr_ratio=ratio, **named, **decay
            )
        super().create_optimizer(model)
        groups = self.optimizer.param_groups
        groups[:] = [group for group in groups if group["params"]]
        return self.optimizer

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean over all labels of the step, however they fall into micro batches."""
        summed, _, num_labels = labelled_loss(model, inputs)
        self._window.tokens += inputs["input_ids"].numel()
        loss = summed / (num_labels if num_items_in_batch is None else num_items_in_batch)
        self.guard.add(loss, inputs["ids"])
        return loss if rank().is_alone else loss * rank().size  # DDP takes the mean over processes

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The last moment before the optimizer's step."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        is_scaled = self.accelerator.scaler is not None
        self.guard.judge(self.state.global_step + 1, norm, is_scaled=is_scaled)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Emit a logged step; the rest of transformers' logging goes on as it is."""
        if "loss" in logs and "learning_rate" in logs:
            self._window.tokens = int(total([self._window.tokens])[0])
            self._emit(self._window.logged(logs, self.state))
            self._window = StepWindow(first_step=self.state.global_step)
        Trainer.log(self, logs, start_time)

    # -- validation ----------------------------------------------------------------------------

    def _maybe_log_save_evaluate(self, *given: Any, **named: Any) -> None:
        """Nothing is validated twice: the last step may also end an epoch."""
        if self.state.global_step in self._validations():
            self.control.should_evaluate = False
        super()._maybe_log_save_evaluate(*given, **named)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Loss and top-1 accuracy over every validation token; empty when a stop was asked for."""
        # a loader draws a seed: without the fork, dropout after a validation that an interrupted
        # run left out would be another than after one that took place
        with self._outside_step(), torch.random.fork_rng(devices=()):
            try:
                metrics = self._validate()
            except ValidationLeft:
                self.control.should_save = self.control.should_training_stop = True
                return {}
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        self._consider_stopping()
        return metrics

    def _validate(self) -> dict[str, float]:
        started = time.perf_counter()
        loss, accuracy = validate(
            self.model,
            guard_workers(self.get_eval_dataloader()),
            measure=self.measured,
            emit=self._emit,
            is_stopping=self._is_stopping,
        )
        if is_sharded(self.model):
            answered = self._answered()
            shares = from_main(lambda: answered)
        else:
            shares = from_main(self._answered)
        if shares is None:
            raise ValidationLeft
        self._emit(
            Evaluated(
                step=self.state.global_step,
                eval_loss=loss,
                eval_token_accuracy=accuracy,
                seconds=time.perf_counter() - started,
                **shares,
            )
        )
        self._emit(PhaseStarted("training"))
        named = {f"eval_{name}": value for name, value in shares.items()}
        return {"eval_loss": loss, "eval_token_accuracy": accuracy} | named

    def _answered(self) -> dict[str, float] | None:
        """Shares of right answers; None when a stop was asked for meanwhile."""
        try:
            return dict(self._task_metric(self._answer)) if self._task_metric else {}
        except ValidationLeft:
            return None

    def _answer(self, prompts: Sequence[str], references: Sequence[str]) -> list[Generation]:
        generator = Generator(self.model, PromptTokenizer(self.processing_class), self._device)
        step = self.state.global_step
        with self.accelerator.autocast(), evaluation_mode(self.model):
            return answers(
                generator,
                prompts,
                references,
                at_once=lambda: self.ladder.answered_at_once,
                halve=lambda reason: (
                    not is_sharded(self.model) and self.ladder.answer_fewer(step, reason)
                ),
                is_stopping=self._is_stopping,
            )

    def _is_stopping(self) -> bool:
        """Where forward passes need all processes, all leave after the same one."""
        if is_sharded(self.model):
            return share_signal(self._signals)
        return self._signals.received is not None

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """A new best model is saved at once, so that it can be had at the end."""
        values = self._validations()
        best = best_step(values, self._criterion)
        self.state.best_global_step = best
        self.state.best_metric = None if best is None else values[best]
        is_new = bool(metrics) and best == self.state.global_step
        if is_new and self._config.logging.load_best_model_at_end:
            self.control.should_save |= self._config.logging.save_strategy != "no"
        return is_new

    def _consider_stopping(self) -> None:
        """Early, when the validations have gone without gain for as long as the config allows."""
        section = self._config.logging
        without = validations_without_gain(
            self._validations().values(),
            self._criterion,
            threshold=section.early_stopping_threshold,
        )
        patience = section.early_stopping_patience
        if patience is not None and without >= patience:
            self.control.should_training_stop = True
            text = f"stopped early: no gain in {section.metric_for_best_model} for {without} "
            self._emit(Message("info", f"{text}validations"))
