"""What has gathered since the last logged step in, that step as an event out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ethtune.core.events import StepLogged
from ethtune.model.device import memory_use


@dataclass(slots=True)
class StepWindow:
    """Counts from ``first_step`` on."""

    first_step: int = 0
    started: float = field(default_factory=time.perf_counter)
    tokens: int = 0
    wait_seconds: float = 0.0
    other_seconds: float = 0.0  # evaluating and saving: no part of a step

    def logged(self, logs: Mapping[str, float], state: Any) -> StepLogged:
        """``logs`` are the library's figures, ``state`` its trainer state."""
        memory, norm, step = memory_use(), logs.get("grad_norm"), state.global_step
        return StepLogged(
            step=step,
            epoch=round(float(state.epoch or 0.0), 4),
            loss=float(logs["loss"]),
            learning_rate=float(logs["learning_rate"]),
            grad_norm=None if norm is None else float(norm),
            num_steps=max(step - self.first_step, 1),
            num_tokens=self.tokens,
            seconds=time.perf_counter() - self.started - self.other_seconds,
            data_wait_seconds=self.wait_seconds,
            allocated_bytes=memory.allocated_bytes,
            reserved_bytes=memory.peak_reserved_bytes,
            process_bytes=memory.process_bytes,
        )
