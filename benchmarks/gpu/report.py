"""Results of ``bench.py`` in, tables out: ``python report.py FILE.jsonl [--into DOCUMENT]``."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "train"))

from tables import fill, table

GIB = 1024**3
TARGET_PROCESS_GIB = 6.0  # Mistral-7B, rank 16 on q and v, sequences of 2,048 tokens, NF4
Row = dict[str, Any]


def main() -> None:
    """Print, or fill in."""
    parser = argparse.ArgumentParser(description="Tables of a measurement on a GPU.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help="document with a mark for figures: gpu")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.results.read_text("utf-8").splitlines()]
    lines = list(report(rows))
    if arguments.into:
        fill(arguments.into, "gpu", lines)
    else:
        print("\n".join(lines))


def report(rows: list[Row]) -> Iterator[str]:
    """Where, what was measured beside what was predicted, and what else was found."""
    machine = next(row["machine"] for row in rows if "machine" in row)
    latest = {row["case"]["name"]: row for row in rows if "case" in row}
    yield from _where(machine)
    done = [row for row in latest.values() if row["status"] == "done"]
    yield ""
    head = ("case", "tokens/s", "s a step", "allocated", "reserved", "process", "under")
    yield from table(head, [_measured(row) for row in done if "step_seconds" in row])
    yield ""
    foreseen = [row for row in done if row.get("predicted")]
    head = ("estimate beside measured", "allocated", "process", "s a step", "predicted")
    yield from table(head, [_foreseen(row) for row in foreseen])
    yield ""
    yield from _errors(foreseen)
    yield from _target(latest.get("guide"))
    for row in done:
        yield from _promises(row)
    for row in latest.values():
        if row["status"] != "done":
            yield f"- {row['case']['name']}: {row['status']}, {row['reason']}."


def _where(machine: Row) -> Iterator[str]:
    gpus = ", ".join(f"{gpu['name']} ({_gib(gpu['bytes'])})" for gpu in machine["gpus"]) or "no GPU"
    versions = ", ".join(f"{name} {item}" for name, item in machine["versions"].items() if item)
    driver = f", driver {machine['driver']}" if machine["driver"] else ""
    yield f"{gpus}{driver}; {machine['system']}, Python {machine['python']}; {versions}."


def process_bytes(row: Row) -> int:
    """As the driver shows it; else what the allocator reserved and the context."""
    if "reserved_bytes" not in row:
        return int(row["rss_bytes"])
    context = row["card"]["context_bytes"]
    return int(row["nvml_process_bytes"] or row["reserved_bytes"] + context)


def _measured(row: Row) -> tuple[str, ...]:
    cap = row["card"] and row["card"]["cap_bytes"]
    return (
        row["case"]["name"],
        f"{row['tokens_per_second']:,.0f}",
        f"{row['step_seconds']:.2f}",
        _gib(row.get("allocated_bytes")),
        _gib(row.get("reserved_bytes")),
        _gib(process_bytes(row)),
        _gib(cap),
    )


def _foreseen(row: Row) -> tuple[str, ...]:
    said = row["predicted"]
    low, high = said["process_bytes"]
    inside = "in" if low <= process_bytes(row) <= high else "OUT of"
    allocated = row.get("allocated_bytes")
    error = f"{said['allocated_bytes'] / allocated - 1:+.1%}" if allocated else ""
    seconds = said["step_seconds"]
    span = f"{seconds[0]:.2f} to {seconds[1]:.2f}" if seconds else ""
    return (
        row["case"]["name"],
        error,
        f"{inside} {low / GIB:.2f} to {high / GIB:.2f} GiB",
        f"{row['step_seconds']:.2f}",
        span,
    )


def _errors(rows: list[Row]) -> Iterator[str]:
    pairs = [
        row["predicted"]["allocated_bytes"] / row["allocated_bytes"] - 1
        for row in rows
        if row.get("allocated_bytes")
    ]
    if pairs:
        worst = max(pairs, key=abs)
        mean = statistics.fmean(map(abs, pairs))
        yield f"- Allocated, {len(pairs)} configurations: {mean:.2%} off, {worst:+.2%} at worst."


def _target(row: Row | None) -> Iterator[str]:
    if row and row["status"] == "done" and "reserved_bytes" in row:
        held = process_bytes(row) / GIB
        met = "met" if held <= TARGET_PROCESS_GIB else "MISSED"
        yield f"- Mistral-7B within {TARGET_PROCESS_GIB:g} GiB: {held:.2f} GiB, {met}."


def _promises(row: Row) -> Iterator[str]:
    for kind, found in row.get("attention", {}).items():
        yield (
            f"- Packed against unpacked logits, {kind}: at most {found['difference']:.1e} apart; "
            f"{found['if_rows_saw_each_other']:.1e} if rows saw each other."
        )
    if "is_same" in row:
        same = "the same to the last bit" if row["is_same"] else "not the same"
        yield f"- A run resumed from its middle: its adapter is {same}."
    for change in row.get("memory_changes", ()):
        what = change["setting"] or f"{change['amount']} parts"
        yield f"- {row['case']['name']}, step {change['step']}: {change['action']}, {what}."


def _gib(count: int | None) -> str:
    return "" if count is None else f"{count / GIB:.2f} GiB"


if __name__ == "__main__":
    main()
