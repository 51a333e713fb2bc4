"""estimate: what a config needs in memory and time on this machine or a named card.

Closed form: nothing is loaded, downloaded or trained. What is assumed is said in the report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ethtune.core.compose import compose
from ethtune.core.config import Config
from ethtune.core.errors import DataError
from ethtune.core.profiles import profile_names
from ethtune.core.units import GIB
from ethtune.device.memory import MemoryEstimate, adapter_sizes, estimate_memory
from ethtune.device.shapes import ModelShape, shape_of
from ethtune.device.target import Target, local_target, vram_target
from ethtune.device.time import TimeEstimate, estimate_cpu_time, estimate_time
from ethtune.device.workload import Workload, workload_of

Answer = Literal["fits", "tight", "does not fit"]

# Transactions as compact JSON are mostly hexadecimal, which tokenizers cut small.
_CHARACTERS_PER_TOKEN = (1.6, 2.6)
_TOKENS_PER_ROW = (150, 400)
# Python and the imported libraries, resident; and the allocator's slack on a CPU.
_LIBRARIES_BYTES = (int(0.7 * GIB), int(1.6 * GIB))
_CPU_SLACK = (0.0, 0.35)


@dataclass(frozen=True, slots=True)
class Saving:
    """One change to the config and what it takes off the peak."""

    setting: str
    saved_bytes: int


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """Bytes, seconds, and the answer. Ranges are (low, high)."""

    title: str
    base_model: str
    num_parameters: int
    num_trained: int
    target: str
    on_gpu: bool
    free_bytes: int
    components: dict[str, int]
    peak_point: str
    paged_bytes: int
    process_bytes: tuple[int, int]
    answer: Answer
    savings: tuple[Saving, ...]
    tokens_per_second: tuple[float, float] | None
    num_tokens: tuple[int, int] | None
    seconds: tuple[float, float] | None
    assumptions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Amount:
    """Training rows and their tokens, one epoch."""

    num_tokens: tuple[int, int]
    assumption: str


def estimate(
    config: Config, *, target: Target, amount: Amount | None = None, title: str = "config"
) -> EstimateReport:
    """Memory, time and answer for one config. Raises ConfigError for an unknown model."""
    shape = shape_of(config.model.base_model)
    work = workload_of(config, shape, has_bfloat16=target.has_bfloat16, on_gpu=target.on_gpu)
    memory = estimate_memory(shape, work)
    process = _process_bytes(memory, shape, target)
    time = _time(shape, work, target)
    num_tokens, basis = _training_tokens(config, amount)
    return EstimateReport(
        title=title,
        base_model=config.model.base_model,
        num_parameters=shape.num_parameters,
        num_trained=sum(adapter_sizes(shape, work)),
        target=target.name,
        on_gpu=target.on_gpu,
        free_bytes=target.free_bytes,
        components=_shown_components(memory, target),
        peak_point=memory.peak_point,
        paged_bytes=memory.paged_bytes,
        process_bytes=process,
        answer=_answer(process, target.free_bytes),
        savings=_savings(shape, work, memory),
        tokens_per_second=time.tokens_per_second if time else None,
        num_tokens=num_tokens,
        seconds=_duration(time, num_tokens),
        assumptions=_assumptions(work, basis),
    )


def estimate_profiles(*, target: Target | None, amount: Amount | None) -> list[EstimateReport]:
    """All built-in profiles: on ``target``, else on the GPU here, else on cards of their size."""
    here = target or local_target()
    reports = []
    for name in profile_names():
        place = here
        if not here.on_gpu and name != "cpu":
            place = vram_target(float(name.removesuffix("gb")))
        config = compose(profile=name).config
        reports.append(estimate(config, target=place, amount=amount, title=name))
    return reports


def dataset_amount(folder: Path) -> Amount:
    """Rows and characters of a prepared folder's train.jsonl. Raises DataError."""
    path = folder / "train.jsonl" if folder.is_dir() else folder
    num_rows = num_bytes = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    num_rows += 1
                    num_bytes += len(line)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", hint="ethtune prepare makes such a folder"
        ) from None
    if not num_rows:
        raise DataError(f"{path} holds no rows", hint="ethtune prepare makes such a folder")
    few, many = _CHARACTERS_PER_TOKEN
    tokens = (int(num_bytes / many), int(num_bytes / few))
    spread = f"{few:g} to {many:g} characters a token"
    return Amount(tokens, f"{num_rows:,} rows in {path}, {num_bytes:,} bytes, {spread}")


def rows_amount(num_rows: int) -> Amount:
    """So many rows of usual length."""
    few, many = _TOKENS_PER_ROW
    return Amount((num_rows * few, num_rows * many), f"{num_rows:,} rows of {few} to {many} tokens")


def _process_bytes(memory: MemoryEstimate, shape: ModelShape, target: Target) -> tuple[int, int]:
    if target.on_gpu:
        return memory.process_bytes
    # on a CPU the weights are read in 16 or 32 bit before they are quantised in place
    peaks = (shape.num_parameters * 2, shape.num_parameters * 4)
    low, high = (
        int(library + max(memory.allocated_bytes * (1 + slack), peak))
        for library, slack, peak in zip(_LIBRARIES_BYTES, _CPU_SLACK, peaks, strict=True)
    )
    return low, high


def _shown_components(memory: MemoryEstimate, target: Target) -> dict[str, int]:
    parts = dict(memory.components)
    if not target.on_gpu:
        parts["batch"] = parts.pop("cuBLAS workspaces and batch")
    return {name: size for name, size in parts.items() if size > 0}


def _answer(process: tuple[int, int], free_bytes: int) -> Answer:
    low, high = process
    if high <= free_bytes:
        return "fits"
    return "tight" if low <= free_bytes else "does not fit"


def _time(shape: ModelShape, work: Workload, target: Target) -> TimeEstimate | None:
    if not target.on_gpu:
        return estimate_cpu_time(shape, work, cores=target.cpu_cores)
    return estimate_time(shape, work, target.facts) if target.facts else None


def _training_tokens(
    config: Config, amount: Amount | None
) -> tuple[tuple[int, int] | None, str | None]:
    """Tokens of the whole run: max_steps of full packs, or epochs over the amount."""
    steps = config.training.max_steps
    if steps > 0 and config.data.packing:
        tokens = steps * config.effective_batch_size * config.data.max_seq_length
        return (tokens, tokens), f"{steps:,} steps of full sequences"
    if amount is None:
        return None, None
    epochs = config.training.num_train_epochs
    low, high = (int(epochs * tokens) for tokens in amount.num_tokens)
    return (low, high), f"{epochs:g} epochs, {amount.assumption}"


def _duration(
    time: TimeEstimate | None, num_tokens: tuple[int, int] | None
) -> tuple[float, float] | None:
    if time is None or num_tokens is None:
        return None
    few, many = num_tokens
    return time.seconds(few)[0], time.seconds(many)[1]


def _savings(shape: ModelShape, work: Workload, memory: MemoryEstimate) -> tuple[Saving, ...]:
    """What each switch that is not yet set would save, the largest first."""
    savings = []
    for setting, changed in _switches(work):
        saved = memory.allocated_bytes - estimate_memory(shape, changed).allocated_bytes
        if saved > memory.allocated_bytes // 100:
            savings.append(Saving(setting, saved))
    return tuple(sorted(savings, key=lambda item: -item.saved_bytes))


def _switches(work: Workload) -> Sequence[tuple[str, Workload]]:
    half = max(work.seq_length // 2, 8)
    offered = [
        ("quantization.load_in_4bit=true", work.replace(is_quantized=True)),
        ("quantization.bnb_4bit_use_double_quant=true", work.replace(double_quant=True)),
        ("optimization.gradient_checkpointing=true", work.replace(checkpointing=True)),
        ("training.per_device_train_batch_size=1", work.replace(micro_batch=1)),
        (f"data.max_seq_length={half}", work.replace(seq_length=half)),
        ("optimization.optim=paged_adamw_8bit", work.replace(optimizer="adamw_8bit")),
        (f"lora.r={max(work.rank // 2, 1)}", work.replace(rank=max(work.rank // 2, 1))),
        ("model.attn_implementation=sdpa", work.replace(attention="sdpa")),
    ]
    return [(setting, changed) for setting, changed in offered if changed != work]


def _assumptions(work: Workload, basis: str | None) -> tuple[str, ...]:
    lines = ["the longest sequence is full, every position labelled"]
    if work.is_quantized:
        lines.append("embeddings and norms stay in 16 bit; the loss runs in chunks")
    if basis:
        lines.append(basis)
    return tuple(lines)
