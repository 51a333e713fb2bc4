"""DeepSpeed's ZeRO beneath a trainer: its engine computes, and ethtune decides as always.

The engine averages gradients, holds optimizer states in parts (ZeRO-2), and the model too (ZeRO-3).
Precision, optimizer, schedule and batch are the run's; a step is judged before it is made; and a
checkpoint is what one process would write: whole float32 moments, in the order of the parameters.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from accelerate.utils.deepspeed import DeepSpeedOptimizerWrapper
from torch import Tensor
from torch.nn import functional

from ethtune.core.ranks import rank
from ethtune.model.zerosettings import lays_model_in_parts


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
    if settled is None or not lays_model_in_parts(settled):
        yield
        return
    from transformers.integrations import HfDeepSpeedConfig

    # what DeepSpeed makes of weights without such a section is float32
    is_bf16 = {"bf16": {"enabled": dtype == torch.bfloat16}}
    held = HfDeepSpeedConfig(settled | is_bf16)
    yield
    del held  # transformers asks it for as long as it lives


def _connect() -> None:
    """DeepSpeed takes the group of processes that there is."""
    import deepspeed

    if not torch.cuda.is_available():
        # no kernel of its own for sums within a machine: it is compiled for a minute, and Gloo's do
        deepspeed.ops.__compatible_ops__ = {}
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    deepspeed.init_distributed(backend, auto_mpi_discovery=False, verbose=False)


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
    """Add the gradients of ``loss``, a share of the step's, to those before it."""
    engine.set_gradient_accumulation_boundary(accelerator.sync_gradients)
    engine.backward(loss, scale_wrt_gas=False)


class ZeroOptimizer(DeepSpeedOptimizerWrapper):  # type: ignore[misc]  # accelerate ships no types
    """The step, where the trainer makes it, and the state of the optimizer that it stands for."""

    _is_accelerate_prepared = True

    def __init__(self, engine: Any) -> None:
        super().__init__(engine.optimizer)
        self._engine = engine

    def gradient_norm(self) -> float:
        """Of the step in hand, over all processes, before it is clipped or made."""
        zero = self.optimizer
        if hasattr(zero, "fp16_groups"):  # ZeRO-3
            norms = [float(each) for each in zero._get_norm_groups()]
        else:
            zero._wait_for_offload_copies()
            norms = [float(zero.scaled_global_norm())]
        # DeepSpeed says -1 for one that is none
        return math.nan if min(norms) < 0 else math.hypot(*norms)

    def step(self, closure: Any = None) -> None:
        """Clip and update, and drop the gradients."""
        self._engine.step()

    def state_dict(self) -> dict[str, Any]:
        """As torch's own over whole parameters. All processes come here, and all get it."""
        from deepspeed.utils import safe_get_full_optimizer_state

        params, states, groups = self._params(), {}, []
        first: dict[str, Any] = next(iter(self.state.values()), {})
        if first:
            self._link()
        for at, each in enumerate(params if first else ()):
            states[at] = {
                name: safe_get_full_optimizer_state(each, name).cpu()
                if _is_per_weight(value)
                else value
                for name, value in first.items()
            }
        end = 0
        for group, sizes in zip(self.param_groups, self._group_sizes(), strict=True):
            begin, end = end, end + sizes
            groups.append({**group, "params": list(range(begin, end))})
        return {"state": states, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What ``state_dict`` gave, or torch's own. Raises ValueError for other parameters."""
        params, states = self._params(), state["state"]
        if sum(len(group["params"]) for group in state["param_groups"]) != len(params):
            raise ValueError(f"the optimizer's state is not that of {len(params)} parameters")
        if not states:
            return
        first = states[0]
        for flat in self._flat():
            self.optimizer.optimizer.state[flat] = {
                name: torch.zeros_like(flat) if _is_per_weight(value) else self._count(value)
                for name, value in first.items()
            }
        self._link()
        for at, each in enumerate(params):
            for name, value in states[at].items():
                if _is_per_weight(value):
                    _put(each, name, value)

    def _link(self) -> None:
        """ZeRO-2 finds states by a link to them, which it makes before the second group has any."""
        if hasattr(self.optimizer, "_lazy_init_hp_params_optimizer_state"):
            self.optimizer._hp_optimizer_states_linked = False
            self.optimizer._lazy_init_hp_params_optimizer_state()

    def _count(self, value: Any) -> Any:
        """A number of steps, where the optimizer wants it, and none that another group counts."""
        if not isinstance(value, Tensor):
            return value
        group = self.param_groups[0]
        on_device = group.get("fused") or group.get("capturable")
        return value.to(self._flat()[0].device if on_device else value.device, copy=True)

    def _params(self) -> list[Any]:
        zero = self.optimizer
        groups = zero.fp16_groups if hasattr(zero, "fp16_groups") else zero.bit16_groups
        return [each for group in groups for each in group]

    def _group_sizes(self) -> list[int]:
        zero = self.optimizer
        if not hasattr(zero, "fp16_groups"):
            return [len(group) for group in zero.bit16_groups]
        sizes = [0] * len(self.param_groups)
        for at, group in enumerate(zero.fp16_groups):
            sizes[zero.sub_group_to_group_id[at]] += len(group)
        return sizes

    def _flat(self) -> list[Tensor]:
        """The float32 weights that this process updates."""
        zero = self.optimizer
        found: list[Tensor] = (
            zero.fp32_partitioned_groups_flat
            if hasattr(zero, "fp16_groups")
            else zero.single_partition_of_fp32_groups
        )
        return found


def _is_per_weight(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _put(param: Any, name: str, value: Tensor) -> None:
    """Of ``value``, the state of the whole ``param``, the part that this process holds."""
    from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

    value = value.to(param.device)
    if not hasattr(param, "ds_id"):
        safe_set_full_optimizer_state(param, value, name)
        return
    size = param.ds_tensor.numel()
    flat = functional.pad(value.flatten(), (0, size * rank().size - value.numel()))
    safe_set_local_optimizer_state(param, flat[size * rank().index :][:size], name)
