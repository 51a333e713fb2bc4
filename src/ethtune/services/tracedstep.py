"""estimate --trace: a step of the real code without memory or weights, and what it would hold.

The trace says which tensors come and go, the replay of the allocator what is reserved for them. The
closed form's figure stands beside both.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from ethtune.core.config import Config
from ethtune.core.errors import UsageError
from ethtune.core.events import SILENT, Emit, Progress
from ethtune.device.allocator import replay
from ethtune.device.memory import CUBLAS_WORKSPACES, process_range
from ethtune.device.shapes import config_of
from ethtune.device.target import Target
from ethtune.services.estimation import Answer, Known, answer_of
from ethtune.services.forecast import Forecast, Load, forecast

if TYPE_CHECKING:
    from ethtune.model.tracing import Step, Traced

_POINTS = 160  # of the timeline
_WORKSPACES = "cuBLAS workspaces"


@dataclass(frozen=True, slots=True)
class Holder:
    """Tensors that live at the peak: when they were made, by what operation, how many."""

    phase: str
    operation: str
    count: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The most that was live in one part of the step; ``event`` counts allocations and ends."""

    event: int
    phase: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class TraceReport:
    """``closed_form_bytes`` are the tensors that ``estimate`` without a trace says."""

    base_model: str
    target: str
    free_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    process_bytes: tuple[int, int]
    closed_form_bytes: int
    answer: Answer
    peak_point: str
    peak_event: int
    holders: tuple[Holder, ...]
    timeline: tuple[Moment, ...]
    num_allocations: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)


def trace(
    config: Config, *, target: Target, known: Known | None = None, events: Emit = SILENT
) -> TraceReport:
    """Trace the heaviest step of one config on a GPU.

    Raises UsageError for a CPU or a model in parts, ConfigError for a model that is not known or
    cannot be built.
    """
    if not target.on_gpu:
        raise UsageError(
            "--trace is of what a CUDA card holds, and this machine has none",
            hint="name one: --gpu NAME or --vram GIB",
        )
    if config.training.num_parts > 1:
        raise UsageError(
            "--trace is of one process that holds the whole model",
            hint="without --trace, estimate reckons with layers in parts",
        )
    amount = known.amount if known else None
    now = forecast(config, target, Load.of(config, amount.packing if amount else None))
    plain = config_of(config.model.base_model)
    started = time.perf_counter()
    traced = _traced(plain, config, now, events)
    loaded = next(end for end, phase in traced.marks if phase == "batch")
    last = traced.marks[-1][0]
    workspaces = [(-1 - index, size) for index, size in enumerate(CUBLAS_WORKSPACES)]
    replayed = replay(workspaces + traced.events[:loaded], traced.events[loaded:last])
    live = list(accumulate(_changes(traced.events[:last]), initial=sum(CUBLAS_WORKSPACES)))[1:]
    peak = max(range(last), key=live.__getitem__)
    process = process_range(replayed.reserved_bytes)
    return TraceReport(
        base_model=config.model.base_model,
        target=target.name,
        free_bytes=target.free_bytes,
        allocated_bytes=replayed.allocated_bytes,
        reserved_bytes=replayed.reserved_bytes,
        process_bytes=process,
        closed_form_bytes=now.memory.allocated_bytes,
        answer=answer_of(process, target.free_bytes),
        peak_point=_phase(traced, peak),
        peak_event=peak,
        holders=_holders(traced, peak),
        timeline=_timeline(traced, live, loaded, peak),
        num_allocations=len(traced.operations),
        seconds=round(time.perf_counter() - started, 1),
    )


def _traced(plain: dict[str, Any], config: Config, now: Forecast, events: Emit) -> Traced:
    from ethtune.model.tracing import trace_step

    total = now.shape.num_layers
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        events(Progress("tracing layers", min(done, total), total))

    return trace_step(plain, config, _step(now), tell=tell)


def _step(now: Forecast) -> Step:
    from ethtune.model.tracing import Step

    work, target = now.work, now.target
    modern = target.has_bfloat16
    return Step(
        micro_batch=work.micro_batch,
        seq_length=work.seq_length,
        has_borders=work.packs_rows,
        num_labels=max(int(work.tokens * work.labelled_fraction), 1),
        precision="bf16" if modern else "fp16",
        has_flash=modern,
    )


def _changes(events: Sequence[tuple[int, int]]) -> list[int]:
    """Bytes that each event adds or takes."""
    sizes: dict[int, int] = {}
    changes = []
    for handle, size in events:
        changes.append(size or -sizes[handle])
        sizes[handle] = size
    return changes


def _phase(traced: Traced, event: int) -> str:
    return next(phase for end, phase in traced.marks if event < end)


def _holders(traced: Traced, peak: int) -> tuple[Holder, ...]:
    """What is live at the peak, the largest first."""
    live: dict[int, tuple[int, int]] = {}
    for event, (handle, size) in enumerate(traced.events[: peak + 1]):
        if size:
            live[handle] = event, size
        else:
            del live[handle]
    sums: Counter[tuple[str, str]] = Counter({("loading", _WORKSPACES): sum(CUBLAS_WORKSPACES)})
    counts: Counter[tuple[str, str]] = Counter({("loading", _WORKSPACES): len(CUBLAS_WORKSPACES)})
    for handle, (event, size) in live.items():
        key = _phase(traced, event), traced.operations[handle]
        sums[key] += size
        counts[key] += 1
    return tuple(Holder(*key, counts[key], size) for key, size in sums.most_common())


def _timeline(traced: Traced, live: Sequence[int], loaded: int, peak: int) -> tuple[Moment, ...]:
    """The highest moment in each of equal parts of the step."""
    span = len(live) - loaded
    edges = [loaded + span * part // _POINTS for part in range(_POINTS + 1)]
    highest = (
        max(range(first, end), key=live.__getitem__)
        for first, end in pairwise(edges) if end > first
    )  # fmt: skip
    return tuple(Moment(event, _phase(traced, event), live[event]) for event in highest)
