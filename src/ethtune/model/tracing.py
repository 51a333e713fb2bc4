"""A training step of the real code without memory: config in, every allocation and its end out.

Model, adapter, batch, loss and checkpointing are those of a run; the tensors are fake
(``recorder``). What fake tensors cannot do is given: how many positions are labelled, and that a
frozen head is the last thing a model applies to its hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ethtune.core.config import Config
from ethtune.model.batches import IGNORED, collate
from ethtune.model.cudakernels import cuda_functions, cuda_temporaries, replaced
from ethtune.model.device import DTYPES, Precision
from ethtune.model.frozenhead import hidden_states, summed_loss
from ethtune.model.hollow import fill, hollow_model
from ethtune.model.loss import labelled_loss
from ethtune.model.recorder import Recorder

MODEL, STATES, GRADIENTS, BATCH = (
    "base model and adapter", "optimizer states", "gradients", "batch",
)  # fmt: skip
FORWARD, LOSS, BACKWARD, UPDATE = "forward", "loss", "layer backward", "optimizer step"
# Attributes of a config by which a model scales or caps the logits behind its head.
_BEHIND_THE_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")

# bitsandbytes pages states of this many numbers, quantises those of so many, in blocks of so many.
_PAGED_FROM, _QUANTIZED_FROM, _STATE_BLOCK = 100_000, 4096, 256


@dataclass(frozen=True, slots=True)
class Traced:
    """``events`` are (handle, bytes) or (handle, 0) at its end; ``operations`` made the handles.

    ``marks`` say after how many events a phase ended.
    """

    events: list[tuple[int, int]]
    operations: list[str]
    marks: list[tuple[int, str]] = field(default_factory=list)

    def mark(self, phase: str) -> None:
        """Name what has been recorded since the last mark."""
        self.marks.append((len(self.events), phase))


@dataclass(frozen=True, slots=True)
class Step:
    """The heaviest micro batch, and what its card can.

    ``has_borders``: more than one row lies in it, blind to the others, which takes a mask.
    """

    micro_batch: int
    seq_length: int
    has_borders: bool
    num_labels: int
    precision: Precision
    has_flash: bool


def trace_step(
    plain: Mapping[str, Any], config: Config, step: Step, *, tell: Callable[[], None]
) -> Traced:
    """Loading, a micro batch forward and backward, and the optimizer's step.

    ``tell`` is called for every layer that runs. Raises ConfigError for a model that transformers
    cannot build.
    """
    dtype = DTYPES[step.precision]
    model = hollow_model(plain, config, dtype)
    answers = {torch.ops.aten.nonzero.default: lambda _: torch.empty((step.num_labels, 1)).long()}
    with tracing(has_flash=step.has_flash, has_borders=step.has_borders, answers=answers) as traced:
        held = _load(model, config, traced)
        _prepare(model, config, dtype)
        for layer in _layers(model):
            layer.register_forward_pre_hook(lambda *_: tell())
        batch = _batch(step)
        traced.mark(BATCH)
        loss = _loss(model, batch, traced)
        traced.mark(LOSS)
        loss.backward()  # type: ignore[no-untyped-call]
        traced.mark(BACKWARD)
        model.zero_grad(set_to_none=True)
        traced.mark(UPDATE)
        del held
    return traced


def _load(model: Any, config: Config, traced: Traced) -> list[torch.Tensor]:
    """Weights; then what the first steps leave: optimizer states, gradients to be added to."""
    fill(model)
    traced.mark(MODEL)
    trained = [item for item in model.parameters() if item.requires_grad]
    states = optimizer_states(trained, config.optimization.optim)
    traced.mark(STATES)
    if config.training.gradient_accumulation_steps > 1:
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
    traced.mark(GRADIENTS)
    return states


def _layers(model: Any) -> Iterator[torch.nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))


@contextmanager
def tracing(
    *, has_flash: bool, has_borders: bool, answers: Mapping[Any, Callable[..., Any]]
) -> Iterator[Traced]:
    """Within, tensors are fake and every allocation is recorded.

    ``has_borders``: whether restarting positions mean that there are several rows, which a model
    finds out by looking at them. ``answers`` stand for other operations that look.
    """
    from transformers import masking_utils

    recorder = Recorder(temporaries=cuda_temporaries(), answers=answers)
    traced = Traced(recorder.events, recorder.operations)
    unbordered = {(masking_utils, "find_packed_sequence_indices"): lambda _: None}
    with (
        replaced({} if has_borders else unbordered),
        cuda_functions(has_flash=has_flash),
        FakeTensorMode(),
        recorder,
    ):
        yield traced
    recorder.stop()


def _prepare(model: Any, config: Config, dtype: torch.dtype) -> None:
    """What the trainer does to a model before the first step."""
    from accelerate.utils import convert_outputs_to_fp32

    if config.optimization.gradient_checkpointing:
        model.enable_input_require_grads()
        model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    if dtype != torch.float32:
        cast = torch.autocast("cpu", dtype)
        model.forward = convert_outputs_to_fp32(cast(model.forward))


def _batch(step: Step) -> dict[str, torch.Tensor]:
    half = step.seq_length // 2
    rows = [half, step.seq_length - half] if step.has_borders else [step.seq_length]
    pack = {
        "input_ids": [0] * step.seq_length,
        "labels": [IGNORED] * step.seq_length,
        "seq_lengths": rows,
        "ids": [],
    }
    batch = collate([pack] * step.micro_batch, multiple=1)
    return {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}


def _loss(model: Any, batch: dict[str, torch.Tensor], traced: Traced) -> torch.Tensor:
    """``labelled_loss``, which asks contents what the head's place is."""
    head = model.get_output_embeddings()
    text = model.config.get_text_config()
    is_plain = not any(getattr(text, name, None) for name in _BEHIND_THE_HEAD)
    if not is_plain or any(item.requires_grad for item in head.parameters()):
        return labelled_loss(model, batch)[0]
    labels = batch["labels"][0]
    positions = (labels[1:] != IGNORED).nonzero()[:, 0]
    targets = labels[1:][positions]
    given = {name: batch[name] for name in ("input_ids", "position_ids")}
    hidden = hidden_states(model, head, given, positions)
    traced.mark(FORWARD)
    return summed_loss(hidden, head, targets)[0]


def optimizer_states(trained: list[torch.nn.Parameter], name: str) -> list[torch.Tensor]:
    """Two moments of AdamW each, as bitsandbytes makes them, less those paged out to the host."""
    states = []
    for parameter in trained:
        size = parameter.numel()
        if name.startswith("paged") and size >= _PAGED_FROM:
            continue
        is_8bit = "8bit" in name and size >= _QUANTIZED_FROM
        for _ in range(2):
            states.append(torch.empty(size, dtype=torch.uint8 if is_8bit else torch.float32))
            if is_8bit:
                states.append(torch.empty(-(-size // _STATE_BLOCK)))
    return states
