"""Compare the models of memory and time with measured runs: a CSV in, errors by group out.

    python benchmarks/estimate/measured.py measurements.csv [--rows] [--trace] [--fitcheck PYTHON]

Columns read: model, method, lora_r, target_modules, micro_batch, seq_len, attention, framework,
gpu, peak_vram_gb (1e9 bytes), vram_kind, notes, tokens_per_s, gradient_checkpointing, source. Rows
that cannot judge are listed with the reason. ``--fitcheck`` names a Python that has fitcheck-llm
and accelerate, which then predict the same rows (peers.py). ``--trace`` also traces the code that
the rows were measured with (codepaths.py), 10 to 40 s each of about 50 different ones.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cases import Case, Row, case_of, why_not
from peers import Peers, predict

from ethtune.device.gpus import find_gpu
from ethtune.device.memory import context_bytes, estimate_memory
from ethtune.device.time import estimate_time

_MEMORY_KINDS = ("allocated", "reserved", "process")
_TRACED = "traced "


@dataclass(frozen=True, slots=True)
class Result:
    """One case beside its predictions."""

    case: Case
    predicted: dict[str, float]
    peak_point: str
    process: tuple[float, float]
    speed: tuple[float, float] | None

    def error(self, kind: str) -> float:
        """Relative error of one kind of figure."""
        return self.predicted[kind] / self.case.measured[kind.removeprefix(_TRACED)] - 1


def predict_case(case: Case) -> Result:
    """Memory and speed of one case."""
    gpu = find_gpu(case.gpu)
    memory = estimate_memory(case.shape, case.work)
    reserved = float(memory.reserved_bytes)
    # a full card makes the allocator give its cache back
    process = min(reserved + context_bytes(gpu.compute_capability), gpu.vram_bytes)
    speed = None
    if "speed" in case.measured:
        speed = estimate_time(case.shape, case.work, gpu).tokens_per_second
    figures = {"allocated": memory.allocated_bytes, "reserved": reserved, "process": process}
    return Result(case, figures, memory.peak_point, memory.process_bytes, speed)


def add_traces(results: list[Result]) -> None:
    """What the trace says of each case, once for those that are alike."""
    from codepaths import trace_case

    known: dict[tuple[object, object], dict[str, float]] = {}
    for number, result in enumerate(results, start=1):
        case = result.case
        key = (case.shape, case.work)
        if key not in known:
            print(f"tracing {number} of {len(results)}: {case.label}", file=sys.stderr)
            traced = trace_case(case)
            known[key] = (
                {
                    f"{_TRACED}allocated": traced.allocated_bytes,
                    f"{_TRACED}reserved": traced.reserved_bytes,
                }
                if traced
                else {}
            )
        result.predicted.update(known[key])


def report(results: list[Result], rows: list[Row], *, each: bool, peers: Peers) -> Iterator[str]:
    """The report, line by line."""
    for kind in (*_MEMORY_KINDS, f"{_TRACED}allocated", f"{_TRACED}reserved"):
        if any(kind in result.predicted for result in results):
            yield from _memory_lines(results, kind)
    yield from _speed_lines(results)
    yield from _peer_lines(results, peers)
    if each:
        yield from _row_lines(results)
    reasons = Counter(filter(None, map(why_not, rows)))
    yield f"\nunusable: {sum(reasons.values())} of {len(rows)} rows"
    yield from (f"  {count:4}  {reason}" for reason, count in sorted(reasons.items()))


def _memory_lines(results: list[Result], kind: str) -> Iterator[str]:
    bare = kind.removeprefix(_TRACED)
    judged = [r for r in results if bare in r.case.measured and kind in r.predicted]
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in judged:
        groups[result.case.group].append(result)
    yield f"\n{kind:<52} {'rows':>4} {'mean':>7} {'worst':>8}"
    for name, items in groups.items():
        yield _summary(name, [item.error(kind) for item in items])
    for informed, name in ((False, "blind"), (True, "informed a constant")):
        errors = [r.error(kind) for r in judged if (bare in r.case.informed) is informed]
        yield _summary(name, errors)
    yield _summary("all", [item.error(kind) for item in judged])


def _summary(name: str, errors: list[float]) -> str:
    if not errors:
        return f"  {name:<50} {0:>4}"
    worst = max(errors, key=abs)
    return f"  {name:<50} {len(errors):>4} {statistics.fmean(map(abs, errors)):7.2%} {worst:+8.2%}"


def _speed_lines(results: list[Result]) -> Iterator[str]:
    split: dict[str, list[bool]] = defaultdict(list)
    groups: dict[str, list[bool]] = defaultdict(list)
    for result in results:
        if result.speed:
            low, high = result.speed
            hit = low <= result.case.measured["speed"] <= high
            groups[result.case.group].append(hit)
            name = "informed a constant" if "speed" in result.case.informed else "blind"
            split[name].append(hit)
    yield f"\n{'tokens a second, inside the range':<52} {'rows':>4} {'inside':>7}"
    for name, hits in [*groups.items(), *split.items()]:
        yield f"  {name:<50} {len(hits):>4} {sum(hits):>7}"
    hits = [hit for group in groups.values() for hit in group]
    share = sum(hits) / max(len(hits), 1)
    yield f"  {'all':<50} {len(hits):>4} {sum(hits):>7}  {share:.0%}"


def _peer_lines(results: list[Result], peers: Peers) -> Iterator[str]:
    if peers:
        yield f"\n{'peers on the same rows':<52} {'rows':>4} {'mean':>7} {'worst':>8}"
    for tool, kinds in peers.items():
        for kind, said in kinds.items():
            for origin in ("fitcheck", "fms"):
                judged = [
                    (result, said[number]) for number, result in enumerate(results)
                    if number in said and kind in result.case.measured
                    and result.case.origin == origin
                ]  # fmt: skip
                theirs = [size / result.case.measured[kind] - 1 for result, size in judged]
                ours = [result.error(kind) for result, _ in judged]
                yield _summary(f"{kind}, {origin} rows: {tool}", theirs)
                yield _summary(f"{kind}, {origin} rows: ethtune", ours)


def _row_lines(results: list[Result]) -> Iterator[str]:
    yield "\nrow by row"
    for result in results:
        errors = " ".join(
            f"{kind} {result.case.measured[kind] / 1e9:.3f} GB {result.error(kind):+.2%}"
            + (f" (traced {result.error(_TRACED + kind):+.2%})"
               if _TRACED + kind in result.predicted else "")
            for kind in _MEMORY_KINDS if kind in result.case.measured
        )  # fmt: skip
        speed = ""
        if result.speed:
            low, high = result.speed
            speed = f"  {result.case.measured['speed']:.0f} in {low:.0f}..{high:.0f} tokens/s"
        yield f"  {result.case.label:<66} {errors}  {result.peak_point}{speed}"


def main() -> None:
    """Read the file named on the command line and print the report."""
    parser = argparse.ArgumentParser(description="Compare the models with measured runs.")
    parser.add_argument("measurements", type=Path)
    parser.add_argument("--rows", action="store_true", help="show every usable row")
    parser.add_argument("--trace", action="store_true", help="trace the rows' own code as well")
    parser.add_argument("--fitcheck", type=Path, help="Python that has fitcheck-llm and accelerate")
    arguments = parser.parse_args()
    with arguments.measurements.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cases = [case_of(row) for row in rows if why_not(row) is None]
    peers = predict(arguments.fitcheck, cases) if arguments.fitcheck else {}
    results = [predict_case(case) for case in cases]
    if arguments.trace:
        add_traces(results)
    for line in report(results, rows, each=arguments.rows, peers=peers):
        print(line)


if __name__ == "__main__":
    main()
