"""estimate: what a config needs in memory, time and disk on this machine or a named card.

Closed form: nothing is loaded, downloaded or trained. What is assumed is said in the report. A run
on this machine like the one in question narrows the ranges.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ethtune.core.config import Config
from ethtune.core.units import format_bytes
from ethtune.device.memory import adapter_sizes, layer_bytes
from ethtune.device.target import Target
from ethtune.device.time import TimeEstimate
from ethtune.services.advice import Saving, advice, saved_already
from ethtune.services.calibration import Record, nearest
from ethtune.services.costs import DiskUse, Electricity, disk_use, electricity
from ethtune.services.forecast import Forecast, Load, forecast
from ethtune.services.scaling import ranges
from ethtune.services.trainingdata import Amount, Packing

Answer = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """Bytes, seconds, and the answer. Ranges are (low, high). ``calibration`` says what was used.

    ``seconds`` are those of the whole run with its validations, ``step_seconds`` of one update.
    """

    title: str
    base_model: str
    num_parameters: int
    num_trained: int
    target: str
    on_gpu: bool
    free_bytes: int
    components: dict[str, int]
    peak_point: str
    allocated_bytes: int
    paged_bytes: int
    process_bytes: tuple[int, int]
    answer: Answer
    savings: tuple[Saving, ...]
    saved_already: dict[str, int]
    tokens_per_second: tuple[float, float] | None
    step_seconds: tuple[float, float] | None
    num_tokens: tuple[int, int] | None
    num_steps: int | None
    seconds: tuple[float, float] | None
    calibration: str | None
    disk: DiskUse
    electricity: Electricity | None
    assumptions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the config: rows, earlier runs, the price of a kilowatt hour."""

    amount: Amount | None = None
    records: Sequence[Record] = field(default=())
    price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the run computes."""

    num_tokens: tuple[int, int] | None
    num_steps: int | None
    validation_tokens: int
    basis: str | None


def estimate(
    config: Config, *, target: Target, known: Known | None = None, title: str = "config"
) -> EstimateReport:
    """Memory, time and answer for one config. Raises ConfigError for an unknown model."""
    known = known or Known()
    packing = known.amount.packing if known.amount else None
    now = forecast(config, target, Load.of(config, packing))
    found = ranges(config, now, nearest(known.records, config, target))
    plan = _plan(config, known.amount)
    num_processes = config.training.num_processes
    seconds = _duration(found.time, plan, now, num_processes)
    num_trained = sum(adapter_sizes(now.shape, now.work))
    excess = found.process_bytes[1] - target.free_bytes
    price = known.price_per_kwh
    return EstimateReport(
        title=title,
        base_model=config.model.base_model,
        num_parameters=now.shape.num_parameters,
        num_trained=num_trained,
        target=target.name,
        on_gpu=target.on_gpu,
        free_bytes=target.free_bytes,
        components=_shown_components(now),
        peak_point=now.memory.peak_point,
        allocated_bytes=now.memory.allocated_bytes,
        paged_bytes=now.memory.paged_bytes,
        process_bytes=found.process_bytes,
        answer=answer_of(found.process_bytes, target.free_bytes),
        savings=advice(config, now, excess),
        saved_already=saved_already(now),
        tokens_per_second=_speed(found.time, num_processes),
        step_seconds=_step_seconds(config, found.time, now),
        num_tokens=plan.num_tokens,
        num_steps=plan.num_steps,
        seconds=seconds,
        calibration=found.source,
        disk=disk_use(config, now, num_trained),
        electricity=electricity(price, seconds, target) if price and seconds else None,
        assumptions=_assumptions(now, packing, plan.basis, config),
    )


def answer_of(process_bytes: tuple[int, int], free_bytes: int) -> Answer:
    """Fits when even the high figure does; tight when only the low one does."""
    low, high = process_bytes
    if high <= free_bytes:
        return "fits"
    return "tight" if low <= free_bytes else "does not fit"


def _shown_components(now: Forecast) -> dict[str, int]:
    parts = dict(now.memory.components)
    if not now.target.on_gpu and "cuBLAS workspaces and batch" in parts:
        parts["batch"] = parts.pop("cuBLAS workspaces and batch")
    return {name: size for name, size in parts.items() if size > 0}


def _plan(config: Config, amount: Amount | None) -> _Plan:
    """max_steps of full sequences, or epochs over the rows."""
    training = config.training
    packing = amount.packing if amount else None
    if training.max_steps > 0 and (packing or config.data.packing):
        length = packing.mean_length if packing else config.data.max_seq_length
        tokens = int(training.max_steps * config.effective_batch_size * length)
        basis = amount.assumption if amount and packing else "full sequences"
        return _validated(config, packing, (tokens, tokens), training.max_steps, basis)
    if amount is None:
        return _Plan(None, None, 0, None)
    low, high = (int(training.num_train_epochs * tokens) for tokens in amount.num_tokens)
    basis = f"{training.num_train_epochs:g} epochs, {amount.assumption}"
    if packing is not None:
        num_steps = training.total_steps(packing.num_sequences)
    else:
        step = config.effective_batch_size * config.data.max_seq_length
        num_steps = math.ceil((low + high) / 2 / step)
    return _validated(config, packing, (low, high), num_steps, basis)


def _validated(
    config: Config,
    packing: Packing | None,
    num_tokens: tuple[int, int],
    num_steps: int,
    basis: str,
) -> _Plan:
    """Validation tokens of the whole run: every ``eval_steps`` or epoch."""
    strategy = config.logging.eval_strategy
    rounds = {
        "no": 0,
        "steps": num_steps // config.logging.eval_steps,
        "epoch": math.ceil(config.training.num_train_epochs),
    }[strategy]
    tokens = packing.num_validation_tokens * rounds if packing else 0
    return _Plan(num_tokens, num_steps, tokens, basis)


def _speed(time: TimeEstimate | None, num_processes: int) -> tuple[float, float] | None:
    """Of all processes together."""
    if time is None:
        return None
    slow, fast = time.tokens_per_second
    return slow * num_processes, fast * num_processes


def _duration(
    time: TimeEstimate | None, plan: _Plan, now: Forecast, num_processes: int
) -> tuple[float, float] | None:
    """A validation is one pass forward, a step two or three; each process has its share."""
    if time is None or plan.num_tokens is None:
        return None
    passes = 3 if now.work.checkpointing else 2
    few, many = (
        (tokens + plan.validation_tokens / passes) / num_processes for tokens in plan.num_tokens
    )
    return time.seconds(few)[0], time.seconds(many)[1]


def _step_seconds(
    config: Config, time: TimeEstimate | None, now: Forecast
) -> tuple[float, float] | None:
    if time is None:
        return None
    micro_batches = config.training.gradient_accumulation_steps
    return time.seconds(now.mean_work.tokens * micro_batches)


def _assumptions(
    now: Forecast, packing: Packing | None, basis: str | None, config: Config
) -> tuple[str, ...]:
    lines = []
    if (num_processes := config.training.num_processes) > 1:
        lines.append(f"{num_processes} equal GPUs; what they tell each other takes no time")
    if config.training.num_parts > 1:
        whole = layer_bytes(now.shape, now.work) * now.shape.num_layers
        fetched = format_bytes(2 * whole * (num_processes - 1) // num_processes)
        lines.append(f"layers in {num_processes} parts: reckoned, never measured")
        lines.append(f"each micro batch takes {fetched} from the other cards, in no time")
    if packing is None:
        lines.append("sequences are full, every position labelled")
    if now.work.is_quantized:
        lines.append("embeddings and norms stay in 16 bit; the loss runs in chunks")
    if basis:
        lines.append(basis)
    return tuple(lines)
