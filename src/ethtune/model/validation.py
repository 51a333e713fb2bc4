"""A model and validation batches in, loss and accuracy over every label out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit

from ethtune.core.events import Emit, PhaseStarted, Progress
from ethtune.model.generate import Generation, Generator
from ethtune.model.loss import labelled_loss

_ANSWERED_AT_ONCE = 8  # beside the optimizer's states there is little room


class ValidationLeft(Exception):
    """A stop was asked for in between; whoever goes on validates first."""


def validate(
    model: Any,
    loader: Any,
    *,
    prepare: Callable[[Any], Any],
    arithmetic: Callable[[], AbstractContextManager[Any]],
    emit: Emit,
    is_stopping: Callable[[], bool],
) -> tuple[float, float]:
    """Mean loss and share of right top-1 tokens, each label counted once.

    Raises ValidationLeft as soon as ``is_stopping``.
    """
    emit(PhaseStarted("evaluating", len(loader)))
    loss = correct = 0.0
    num_labels = 0
    with evaluation_mode(model), torch.no_grad():
        for done, inputs in enumerate(loader, start=1):
            if is_stopping():
                raise ValidationLeft
            with arithmetic():
                batch_loss, batch_correct, count = labelled_loss(model, prepare(inputs))
            loss += float(batch_loss)
            correct += float(batch_correct)
            num_labels += count
            emit(Progress("evaluating", done, len(loader)))
    return loss / num_labels, correct / num_labels


def answers(
    model: Any,
    generator: Generator,
    prompts: Sequence[str],
    references: Sequence[str],
    *,
    is_stopping: Callable[[], bool],
) -> list[Generation]:
    """Greedy completions of a model in training, in order, as long as the longest reference.

    Raises ValidationLeft as soon as ``is_stopping``.
    """
    found: dict[int, Generation] = {}
    longest = max(len(generator.tokenizer.encode_completion(text)) for text in references)
    with evaluation_mode(model):
        for index, answer in generator.generate(
            prompts, max_new_tokens=longest, batch_size=_ANSWERED_AT_ONCE
        ):
            if is_stopping():
                raise ValidationLeft
            found[index] = answer
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
