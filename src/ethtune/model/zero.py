"""DeepSpeed's ZeRO beneath a trainer: its engine computes, and ethtune decides as always.

The engine averages gradients, holds optimizer states in parts (ZeRO-2), and the model too (ZeRO-3).
Precision, optimizer, schedule and batch are the run's, and a step is judged before it is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ethtune.core.deepspeedfile import zero_stage
from ethtune.model.zerooptimizer import ZeroOptimizer


def is_in_parts(model: Any) -> bool:
    """Whether the weights of ``model`` lie in parts over the processes: ZeRO-3."""
    return any(hasattr(each, "ds_id") for each in model.parameters())


@contextlib.contextmanager
def whole(model: Any, *, is_written: bool = False) -> Iterator[None]:
    """The adapter's weights are whole meanwhile. All processes come here; rank 0's are kept."""
    parts = [each for each in model.parameters() if each.requires_grad and hasattr(each, "ds_id")]
    if not parts:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(parts, modifier_rank=0 if is_written else None):
        yield


@contextlib.contextmanager
def loading(settled: dict[str, Any] | None, dtype: torch.dtype) -> Iterator[None]:
    """Weights that are loaded meanwhile go to the processes in parts at once, under ZeRO-3."""
    if settled is not None:
        _connect()
    if settled is None or zero_stage(settled) != 3:
        yield
        return
    from transformers.integrations import HfDeepSpeedConfig

    # what DeepSpeed makes of weights without such a section is float32
    is_bf16 = {"bf16": {"enabled": dtype == torch.bfloat16}}
    held = HfDeepSpeedConfig(settled | is_bf16)  # transformers asks it for as long as it lives
    try:
        yield
    finally:
        del held


def _connect() -> None:
    """DeepSpeed takes the group of processes that there is."""
    import deepspeed

    is_cuda = torch.cuda.is_available()
    if not is_cuda:
        # no kernel of its own for sums within a machine: it is compiled for a minute, and Gloo's do
        deepspeed.ops.__compatible_ops__ = {}
    deepspeed.init_distributed("nccl" if is_cuda else "gloo", auto_mpi_discovery=False)


def start(trainer: Any, settings: dict[str, Any]) -> Any:
    """The engine around the trainer's model, and the trainer's optimizer in its place.

    All processes come here. What of the model is trained is what it now holds.
    """
    import deepspeed

    _with_autocast(trainer.model, trainer.accelerator)
    engine, *_ = deepspeed.initialize(
        model=trainer.model, optimizer=trainer.optimizer, config=settings, dist_init_required=False
    )
    trainer.optimizer = ZeroOptimizer(engine)
    trainer.accelerator.backward = partial(_backward, engine, trainer.accelerator)
    return engine


def _with_autocast(model: Any, accelerator: Any) -> None:
    """Around the engine, DeepSpeed would turn it off.

    accelerate's own makes a float32 copy of what the model gives, and it is at the very tensor that
    the model gives that DeepSpeed learns of a backward pass.
    """
    if accelerator.native_amp and "forward" not in vars(model):
        dtype = torch.bfloat16
        model.forward = torch.autocast(accelerator.device.type, dtype=dtype)(model.forward)


def _backward(engine: Any, accelerator: Any, loss: Tensor, **_: Any) -> None:
    """Add the gradients of ``loss``, a share of the step's, to those that it has."""
    engine.set_gradient_accumulation_boundary(accelerator.sync_gradients)
    engine.backward(loss, scale_wrt_gas=False)
