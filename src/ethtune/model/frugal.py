"""A trainer whose steps survive that memory runs out: the same step again, in smaller parts.

The library's loop is left alone. It hands over a step's micro batches one by one; where memory runs
out in one of them, the gradients so far go, the random state of the step's beginning comes back,
and its micro batches are run anew from the first one on, as ``memoryladder`` now says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ethtune.core.config import Config
from ethtune.core.errors import MachineError
from ethtune.core.tokens import TokenRow
from ethtune.model.batches import CPU_MULTIPLE, features
from ethtune.model.device import Device, OutOfMemory, attempted
from ethtune.model.loss import labelled_loss
from ethtune.model.memoryladder import MemoryLadder, hint_of
from ethtune.model.resumable import ResumableTrainer
from ethtune.model.splitting import document_lengths, split
from ethtune.model.trainingstate import random_states, restore_random


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What a step that is begun anew begins with."""

    random: dict[str, Any]
    loss: torch.Tensor
    tokens: int


class FrugalTrainer(ResumableTrainer):
    """A subclass sets these before it calls this class' constructor."""

    _config: Config
    _device: Device
    ladder: MemoryLadder

    def __init__(self, **parts: Any) -> None:
        self._multiple = CPU_MULTIPLE if self._device.kind == "cpu" else 1
        self._begun: list[dict[str, Any]] = []  # micro batches of the step in hand
        self._beginning: _Beginning | None = None
        super().__init__(**parts)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """A step's micro batches: the one before is over."""
        self._begun = []
        found: tuple[list[Any], Any] = super().get_batch_samples(
            epoch_iterator, num_batches, device
        )
        return found

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Any:
        """Forward and backward of a micro batch; the loss as its share of the step's.

        Raises MachineError where no way is left to need less memory.
        """
        if not self._begun:
            self._beginning = _Beginning(
                random_states(), self._tr_loss.clone(), self._window.tokens
            )
        self._begun.append(inputs)
        left = [inputs]
        while True:
            loss = attempted(partial(self._in_parts, model, left[0], num_items_in_batch))
            if isinstance(loss, OutOfMemory):
                self._climb(left[0], loss.reason)
                self._begin_anew(model)
                left = list(self._begun)
                continue
            del left[0]
            if not left:
                return loss
            self._tr_loss += loss  # as the loop does with those that it sees

    def rehearse(self, packs: Sequence[Sequence[TokenRow]]) -> None:
        """The largest micro batch that ``packs`` can make, forward and backward, and no step.

        So memory runs out now, and not in an hour. All but the ladder is as it was before.
        """
        if not self._can_adjust:
            return
        rows = self.args.per_device_train_batch_size
        before, self._begun = random_states(), []
        batch = self.data_collator([features(pack) for pack in largest(packs, rows)])
        self.training_step(self.model_wrapped, batch, (batch["labels"] >= 0).sum())
        self._begin_anew(self.model_wrapped)
        self._begun, self._beginning = [], None
        restore_random(before)

    def measured(self, inputs: dict[str, Any]) -> tuple[float, float, int]:
        """Summed loss, right top-1 tokens and number of labels of a validation batch.

        Raises MachineError where no way is left to need less memory.
        """
        while True:
            found = attempted(partial(self._measured_in_parts, inputs))
            if not isinstance(found, OutOfMemory):
                return found
            step, num_documents = self.state.global_step, len(inputs["ids"])
            if self._can_adjust and self.ladder.split_validation(step, num_documents, found.reason):
                continue
            raise self._at_the_top(inputs, f"in the validation of step {step}", found.reason)

    @property
    def _can_adjust(self) -> bool:
        """Not where processes wait for each other: one in parts would leave the others behind."""
        accelerator = self.accelerator
        is_alone = accelerator.num_processes == 1 and not self.is_fsdp_enabled
        return is_alone and not self.is_deepspeed_enabled

    def _in_parts(self, model: Any, inputs: dict[str, Any], num_items: Any) -> Any:
        num_parts = self.ladder.num_parts if self._can_adjust else 1
        losses = [
            super(FrugalTrainer, self).training_step(model, part, num_items)
            for part in split(inputs, num_parts, multiple=self._multiple)
        ]
        return sum(losses[1:], losses[0])

    def _measured_in_parts(self, inputs: dict[str, Any]) -> tuple[float, float, int]:
        loss = correct = 0.0
        num_labels = 0
        for part in split(inputs, self.ladder.validation_parts, multiple=self._multiple):
            with self.compute_loss_context_manager():
                sums = labelled_loss(self.model, self._prepare_inputs(part))
            loss += float(sums[0])
            correct += float(sums[1])
            num_labels += sums[2]
        return loss, correct, num_labels

    def _begin_anew(self, model: Any) -> None:
        """As if no micro batch of the step had been run."""
        if self._beginning is None:
            raise ValueError("no step was begun")
        model.zero_grad()
        self.guard.forget()
        self._tr_loss.copy_(self._beginning.loss)
        self._window.tokens = self._beginning.tokens
        restore_random(self._beginning.random)

    def _climb(self, inputs: dict[str, Any], reason: str) -> None:
        step, num_documents = self.state.global_step + 1, len(inputs["ids"])
        if self._can_adjust and (
            self.ladder.split(step, num_documents, reason)
            or self.ladder.switch(step, self.model, reason)
        ):
            return
        raise self._at_the_top(inputs, f"at step {step}", reason)

    def _at_the_top(self, inputs: dict[str, Any], place: str, reason: str) -> MachineError:
        lengths, is_split = document_lengths(inputs), self._can_adjust
        what = f"{sum(lengths):,} tokens in one micro batch"
        if is_split:
            row = inputs["ids"][lengths.index(max(lengths))]
            what = f"row {row} alone, {max(lengths):,} tokens"
        return MachineError(
            f"{self._device.name} ran out of memory {place}: {what}: {reason}",
            hint=hint_of(self._config, max(lengths), is_split=is_split),
        )


def largest(packs: Sequence[Sequence[TokenRow]], count: int) -> list[Sequence[TokenRow]]:
    """The ``count`` packs with the most tokens, among equals those with the most labels."""

    def size(pack: Sequence[TokenRow]) -> tuple[int, int]:
        return sum(len(row.input_ids) for row in pack), sum(row.num_labels for row in pack)

    return sorted(packs, key=size, reverse=True)[:count]
