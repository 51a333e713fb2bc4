"""A model and validation batches in, loss and accuracy over every label out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit

from ethtune.core.errors import MachineError
from ethtune.core.events import Emit, PhaseStarted, Progress
from ethtune.model.generate import Generation, Generator
from ethtune.model.processes import total


class ValidationLeft(Exception):
    """A stop was asked for in between; whoever goes on validates first."""


def validate(
    model: Any,
    loader: Any,
    *,
    measure: Callable[[Any], tuple[float, float, int]],
    emit: Emit,
    is_stopping: Callable[[], bool],
) -> tuple[float, float]:
    """Mean loss and share of right top-1 tokens, each label counted once.

    ``measure`` gives a batch's summed loss, right tokens and number of labels.
    ``loader`` gives this process' share, the sums are those of all. Raises ValidationLeft as soon
    as ``is_stopping``, and where it was so for another process.
    """
    emit(PhaseStarted("evaluating", len(loader)))
    loss = correct = 0.0
    num_labels, has_left = 0, False
    with evaluation_mode(model), torch.no_grad():
        for done, inputs in enumerate(loader, start=1):
            if is_stopping():
                has_left = True
                break
            batch_loss, batch_correct, count = measure(inputs)
            loss += batch_loss
            correct += batch_correct
            num_labels += count
            emit(Progress("evaluating", done, len(loader)))
    loss, correct, labels, left = total([loss, correct, num_labels, has_left])
    if left:
        raise ValidationLeft
    return loss / labels, correct / labels


def answers(
    generator: Generator,
    prompts: Sequence[str],
    references: Sequence[str],
    *,
    at_once: Callable[[], int],
    halve: Callable[[str], bool],
    is_stopping: Callable[[], bool],
) -> list[Generation]:
    """Greedy completions of a model in training, in order, as long as the longest reference.

    Where memory runs out ``halve`` is told why, and ``at_once`` then gives half as many. Raises
    MachineError where it cannot, ValidationLeft as soon as ``is_stopping``.
    """
    found: dict[int, Generation] = {}
    longest = max(len(generator.tokenizer.encode_completion(text)) for text in references)
    while left := [index for index in range(len(prompts)) if index not in found]:
        batches = generator.generate(
            [prompts[index] for index in left], max_new_tokens=longest, batch_size=at_once()
        )
        try:
            for place, answer in batches:
                if is_stopping():
                    raise ValidationLeft
                found[left[place]] = answer
        except MachineError as error:  # of nothing but memory
            if not halve(error.message):
                raise
    return [found[index] for index in range(len(prompts))]


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Dropout off meanwhile, and nothing else changed.

    On a CPU with bfloat16 units, bitsandbytes repacks 4-bit weights for good, with rounding, the
    first time a layer in evaluation mode runs: a run that validated would train on other base
    weights than one that did not, and a resumed run would not be the same run.
    """
    model.eval()
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.training = True
    try:
        yield
    finally:
        model.train()
