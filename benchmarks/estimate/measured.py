"""Compare the memory model with measured runs: a CSV of measurements in, errors by group out.

    python benchmarks/estimate/measured.py measurements.csv [--rows]

Columns read: model, method, lora_r, target_modules, micro_batch, seq_len, attention, framework,
gpu, peak_vram_gb (1e9 bytes), vram_kind, notes, tokens_per_s. Rows of other kinds than the model
covers are listed with the reason, never dropped in silence.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ethtune.core.errors import ConfigError
from ethtune.core.units import MIB
from ethtune.device.gpus import find_gpu
from ethtune.device.memory import MemoryEstimate, estimate_memory
from ethtune.device.shapes import ModelShape, shape_of
from ethtune.device.time import estimate_time
from ethtune.device.workload import Workload

Row = dict[str, str]
_BASE_OF = {  # pretrained and instruct versions share their dimensions
    "HuggingFaceTB/SmolLM2-135M": "smollm2-135m",
    "HuggingFaceTB/SmolLM2-360M": "smollm2-360m",
    "HuggingFaceTB/SmolLM2-1.7B": "smollm2-1.7b",
}
_MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One covered row beside its prediction."""

    group: str
    measured_bytes: float
    process_bytes: float | None
    estimate: MemoryEstimate
    measured_speed: float | None
    speed: tuple[float, float] | None
    label: str

    @property
    def error(self) -> float:
        """Relative error of the allocated bytes."""
        return self.estimate.allocated_bytes / self.measured_bytes - 1


def why_not(row: Row) -> str | None:
    """Reason why a row cannot judge the model, or None."""
    if row["vram_kind"] != "allocated":
        return f"not a peak of allocated tensors: {row['vram_kind'][:30] or 'no figure'}"
    if "foak" in row["framework"] or "liger" in row["framework"]:
        return "fused kernels replace the MLP and loss that the model counts"
    try:
        shape_of(_BASE_OF.get(row["model"], row["model"]))
    except ConfigError:
        return f"dimensions not in the catalog: {row['model']}"
    return None


def workload_of_row(row: Row) -> Workload:
    """What the measured framework did, as a workload."""
    on_t4 = "T4" in row["gpu"]
    quantized = row["method"].startswith("qlora")
    prepared = quantized and (on_t4 or "baseline" in row["framework"])
    return Workload(
        target_modules=tuple(_MODULES[name] for name in row["target_modules"].split(",")),
        rank=int(row["lora_r"]),
        micro_batch=int(row["micro_batch"]),
        seq_length=int(row["seq_len"]),
        is_quantized=quantized,
        double_quant="dq" in row["method"],
        attention="eager" if row["attention"] == "eager" else "sdpa",
        loss="plain",
        # that trainer keeps embeddings in 16 bit after the k-bit preparation
        upcast=("all" if on_t4 else "norms") if prepared else "none",
        held_logits="step" if on_t4 else "loss",
        adapter_bytes=4,
        dropout=not on_t4,
    )


def compare(row: Row) -> Comparison:
    """Predict one covered row."""
    shape: ModelShape = shape_of(_BASE_OF.get(row["model"], row["model"]))
    work = workload_of_row(row)
    process = re.search(r"process (\d+) MiB", row["notes"])
    measured_speed = float(row["tokens_per_s"]) if row["tokens_per_s"] else None
    speed = None
    # float16 with 32-bit norms and no autocast multiplies in 32 bit, which is not modelled
    if measured_speed and work.upcast != "all":
        time = estimate_time(shape, work, find_gpu(row["gpu"]))
        speed = time.tokens_per_second
    name = f"{row['model'].split('/')[1]} {row['method']} {row['micro_batch']}x{row['seq_len']}"
    tool = "T4, fp16" if "T4" in row["gpu"] else row["framework"].split(", ")[-1]
    return Comparison(
        group=f"{tool}, {row['method']}, {row['attention']}",
        measured_bytes=float(row["peak_vram_gb"]) * 1e9,
        process_bytes=int(process[1]) * MIB if process else None,
        estimate=estimate_memory(shape, work),
        measured_speed=measured_speed,
        speed=speed,
        label=f"{name} {row['attention']}",
    )


def lines(rows: list[Row], *, each: bool) -> Iterator[str]:
    """The report, line by line."""
    done = [compare(row) for row in rows if why_not(row) is None]
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for item in done:
        groups[item.group].append(item)
    yield f"{'group':<60} {'rows':>4} {'mean':>7} {'worst':>7}"
    for name, items in groups.items():
        yield _summary(name, items)
    yield _summary("all", done)
    if each:
        for item in done:
            peak, speeds = item.estimate.peak_point, f"{item.measured_speed} {item.speed}"
            yield f"  {item.label:<60} {item.error:+7.2%}  {peak}  {speeds}"
    yield from _process_lines(done)
    yield from _speed_lines(done)
    reasons: dict[str, int] = defaultdict(int)
    for row in rows:
        if reason := why_not(row):
            reasons[reason] += 1
    yield f"not covered: {sum(reasons.values())} of {len(rows)} rows"
    yield from (f"  {count:4}  {reason}" for reason, count in sorted(reasons.items()))


def _summary(name: str, items: list[Comparison]) -> str:
    errors = [item.error for item in items]
    worst = max(errors, key=abs)
    return f"{name:<60} {len(items):>4} {statistics.fmean(map(abs, errors)):7.2%} {worst:+7.2%}"


def _process_lines(items: list[Comparison]) -> Iterator[str]:
    judged = [item for item in items if item.process_bytes]
    inside = sum(
        low <= (item.process_bytes or 0) <= high
        for item in judged
        for low, high in [item.estimate.process_bytes]
    )
    yield f"process memory inside the interval: {inside} of {len(judged)} rows"


def _speed_lines(items: list[Comparison]) -> Iterator[str]:
    judged = [item for item in items if item.speed and item.measured_speed]
    inside = sum(
        item.speed[0] <= item.measured_speed <= item.speed[1]
        for item in judged
        if item.speed and item.measured_speed
    )
    yield f"tokens/s inside the interval: {inside} of {len(judged)} rows"


def main() -> None:
    """Read the file named on the command line and print the report."""
    parser = argparse.ArgumentParser(description="Compare the memory model with measured runs.")
    parser.add_argument("measurements", type=Path)
    parser.add_argument("--rows", action="store_true", help="show every covered row")
    arguments = parser.parse_args()
    with arguments.measurements.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for line in lines(rows, each=arguments.rows):
        print(line)


if __name__ == "__main__":
    main()
