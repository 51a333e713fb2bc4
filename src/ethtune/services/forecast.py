"""The models of memory and time asked about one config: nothing measured, nothing decided.

config, where it runs, what a micro batch holds ──▶ bytes of the process, tokens a second
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ethtune.core.config import Config
from ethtune.core.units import GIB
from ethtune.device.decoder import ModelShape
from ethtune.device.memory import MemoryEstimate, estimate_memory
from ethtune.device.shapes import shape_of
from ethtune.device.target import Target, cpu_target, local_target
from ethtune.device.time import TimeEstimate, estimate_cpu_time, estimate_time
from ethtune.device.workload import Workload, workload_of
from ethtune.services.trainingdata import Packing

# Python and the imported libraries, resident; and what a CPU's allocator and kernels hold beyond
# the tensors, as a share of them.
_LIBRARIES_BYTES = (int(0.7 * GIB), int(1.6 * GIB))
_CPU_SLACK = (0.0, 0.35)
# There before the first step; everything else comes and goes with the steps.
_LOADED = ("4-bit weights", "16-bit weights", "32-bit weights", "quantisation scales",
           "embeddings, head and norms", "adapters")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """What micro batches hold in tokens: the longest, and a usual one; how many are learned."""

    longest: int
    mean: float
    labelled_at_most: float = 1.0
    labelled: float = 1.0

    @classmethod
    def of(cls, config: Config, packing: Packing | None) -> Load:
        """From real sequences; without them every one is full and every position learned."""
        if packing is None:
            return cls(config.data.max_seq_length, config.data.max_seq_length)
        at_most = min(packing.most_labels / packing.longest, 1.0)
        return cls(packing.longest, packing.mean_length, at_most, packing.labelled_fraction)


@dataclass(frozen=True)
class Forecast:
    """``work`` is the heaviest micro batch, ``mean_work`` a usual one."""

    shape: ModelShape
    work: Workload
    mean_work: Workload
    target: Target

    @cached_property
    def memory(self) -> MemoryEstimate:
        """Tensors at the peak."""
        return estimate_memory(self.shape, self.work)

    @property
    def loaded_bytes(self) -> int:
        """Tensors that are there before the first step."""
        return sum(self.memory.components.get(name, 0) for name in _LOADED)

    @property
    def moving_bytes(self) -> int:
        """Tensors that the steps add."""
        return self.memory.allocated_bytes - self.loaded_bytes

    @cached_property
    def process_bytes(self) -> tuple[int, int]:
        """What the process will hold, low and high."""
        if self.target.on_gpu:
            return self.memory.process_bytes
        # the weights are read in 16 or 32 bit before they are quantised in place
        reading = (self.shape.num_parameters * 2, self.shape.num_parameters * 4)
        low, high = (
            int(library + max(self.memory.allocated_bytes * (1 + slack), peak))
            for library, slack, peak in zip(_LIBRARIES_BYTES, _CPU_SLACK, reading, strict=True)
        )
        return low, high

    @cached_property
    def time(self) -> TimeEstimate | None:
        """None for a card of unknown speed."""
        if not self.target.on_gpu:
            return estimate_cpu_time(self.shape, self.mean_work, cores=self.target.cpu_cores)
        facts = self.target.facts
        return estimate_time(self.shape, self.mean_work, facts) if facts else None


def forecast(config: Config, target: Target, load: Load) -> Forecast:
    """Raises ConfigError for an unknown model or a layer that it does not have."""
    shape = shape_of(config.model.base_model)
    work = workload_of(config, shape, has_bfloat16=target.has_bfloat16, on_gpu=target.on_gpu)
    return Forecast(
        shape,
        work.replace(seq_length=load.longest, labelled_fraction=load.labelled_at_most),
        work.replace(seq_length=max(round(load.mean), 1), labelled_fraction=load.labelled),
        target,
    )


def place_of_run(*, on_gpu: bool, card: str = "") -> Target:
    """This machine's device that a run really takes: torch may not see the card that NVML does.

    ``card`` is its UUID, where there may be several.
    """
    return local_target(card) if on_gpu else cpu_target()
