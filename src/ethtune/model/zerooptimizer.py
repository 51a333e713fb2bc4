"""The optimizer of a DeepSpeed engine, to trainer and checkpoints as if it were torch's own.

Its state is told as one process would: whole float32 moments, in the order of the parameters. So a
run goes on with any number of processes, ZeRO-2, ZeRO-3 or without DeepSpeed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate.utils.deepspeed import DeepSpeedOptimizerWrapper
from torch import Tensor
from torch.nn import functional

from ethtune.core.ranks import rank


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

    def close(self) -> None:
        """Take the engine off its model, that another may be started around it."""
        self._engine.destroy()
        self._engine.optimizer = None  # it would be taken off again, off the next, when it is freed

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
