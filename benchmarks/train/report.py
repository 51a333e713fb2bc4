"""Results of ``compare.py`` in, tables out: ``python report.py FILE.json [--into docs/speed.md]``.

Exit code 1 when a target is missed. Speeds are useful tokens, prompt and answer, no padding, over
the time of the steps after the warm-up. Ranges are the lowest and highest of the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tables import fill, table
from variants import VARIANTS

GIB = 1024**3
TARGETS = {"trl-sft": 1.5, "guide": 5.0, "trl-packing": 1.0}
OVERHEAD_TARGET = 0.01
TITLES = {
    "ethtune": "`ethtune train`",
    "trl-sft": "`trl sft`, its defaults",
    "guide": "the guide's script",
    "trl-packing": "`trl sft --packing`",
}


@dataclass(frozen=True)
class Run:
    """One process' marks, read."""

    part: str
    name: str
    seed: int
    marks: list[dict[str, Any]]
    losses: list[tuple[int, float]]
    peak_bytes: int
    process_peak_bytes: int
    start_bytes: int
    held_out_loss: float | None
    extra: dict[str, Any]

    @property
    def warmup(self) -> int:
        """Steps left out: two, or one of a short run."""
        return 2 if len(self.marks) > 5 else 1

    def between(self, key: str) -> float:
        """What was counted in the measured steps."""
        return float(self.marks[-1][key] - self.marks[self.warmup][key])

    @property
    def num_steps(self) -> int:
        """That were measured."""
        return len(self.marks) - 1 - self.warmup

    @cached_property
    def speed(self) -> float:
        """Useful tokens a second."""
        return self.between("useful_tokens") / self.between("wall_seconds")

    @cached_property
    def per_cpu_second(self) -> float:
        """The same of processor time: less moved by what else runs on the machine."""
        return self.between("useful_tokens") / self.between("cpu_seconds")

    @cached_property
    def late_loss(self) -> float:
        """Training loss of the second half, each label counted once."""
        labels = [
            after["labels"] - before["labels"]
            for before, after in zip(self.marks, self.marks[1:], strict=False)
        ]
        late = [(loss, labels[step - 1]) for step, loss in self.losses if step > len(labels) // 2]
        return sum(loss * count for loss, count in late) / sum(count for _, count in late)


def main() -> int:
    """Print, or fill in."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help="document with a mark for figures: train")
    arguments = parser.parse_args()
    document = json.loads(arguments.results.read_text("utf-8"))
    lines = list(report(document))
    if arguments.into:
        fill(arguments.into, "train", lines)
    else:
        print("\n".join(lines))
    return int(any("MISSED" in line for line in lines))


def report(document: dict[str, Any]) -> Iterator[str]:
    """All tables there are results for."""
    runs = [Run(**run) for run in document["runs"]]
    yield from _conditions(document)
    contenders = [run for run in runs if run.part == "contender"]
    if any(run.name == "ethtune" for run in contenders):
        yield from _contenders(contenders)
    ablations = [run for run in runs if run.part == "ablation"]
    if any(run.name == "ethtune" for run in ablations):
        yield from _ablations(ablations)
    if document["overhead"]:
        yield from _overhead(document["overhead"])


def _conditions(document: dict[str, Any]) -> Iterator[str]:
    task, machine = document["task"], document["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    yield (
        f"{task['num_rows']} rows of {task['source']}, {task['num_tokens']:,} tokens, "
        f"{task['num_labels']:,} of them learned, at most {task['max_seq_length']:,} a row; model "
        f"{task['model']}; steps of {task['rows_per_step']} rows, with packing of "
        f"{task['packs_per_step']} x {task['max_seq_length']:,} tokens "
        f"({task['num_rows'] / task['num_packs']:.1f} rows a sequence)."
    )
    yield (
        f"{machine['processor']}, {machine['threads']} threads of {machine['cores']} cores, load "
        f"{machine['load_at_start']:.1f} at the start; Python {document['python']}, {versions}."
    )


def _grouped(runs: Iterable[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    return groups


def _contenders(runs: list[Run]) -> Iterator[str]:
    groups = _grouped(runs)
    ours = groups["ethtune"]
    yield ""
    head = ("", "tokens/s", "seeds", "ethtune is", "s a step", "rows a step", "computed", "peak")
    yield from table(head, (_contender(groups[name], ours) for name in TITLES if name in groups))
    yield ""
    yield from table(
        ("loss", "training, second half", "held-out rows", "from ethtune's", "seeds' own range"),
        (_losses(groups[name], ours) for name in TITLES if name in groups and name != "guide"),
    )
    yield ""
    for name, target in TARGETS.items():
        if name in groups:
            ratio = _mean(run.speed for run in ours) / _mean(run.speed for run in groups[name])
            met = "met" if ratio >= target else "MISSED"
            yield f"- At least {target:g} times {TITLES[name]}: {ratio:.2f}, {met}."


def _contender(runs: list[Run], ours: list[Run]) -> tuple[str, ...]:
    speeds = [run.speed for run in runs]
    ratio = _mean(run.speed for run in ours) / _mean(speeds)
    cpu = _mean(run.per_cpu_second for run in ours) / _mean(run.per_cpu_second for run in runs)
    steps = sum(run.num_steps for run in runs)
    computed = sum(run.between("computed_tokens") for run in runs)
    is_ours = runs is ours
    return (
        TITLES[runs[0].name],
        f"{_mean(speeds):.0f}",
        f"{min(speeds):.0f} to {max(speeds):.0f}",
        "" if is_ours else f"{ratio:.2f} x ({cpu:.2f} x by CPU time)",
        f"{sum(run.between('wall_seconds') for run in runs) / steps:.1f}",
        f"{sum(run.between('rows') for run in runs) / steps:.1f}",
        f"{computed / sum(run.between('useful_tokens') for run in runs):.2f} x",
        f"{max(run.peak_bytes for run in runs) / GIB:.2f} GiB",
    )


def _losses(runs: list[Run], ours: list[Run]) -> tuple[str, ...]:
    late, held = [run.late_loss for run in runs], [run.held_out_loss or 0.0 for run in runs]
    our_held = [run.held_out_loss or 0.0 for run in ours]
    spread = max(max(held) - min(held), max(our_held) - min(our_held))
    return (
        TITLES[runs[0].name],
        _ranged(late),
        _ranged(held),
        "" if runs is ours else f"{_mean(held) - _mean(our_held):+.4f}",
        f"{spread:.4f}",
    )


def _ranged(values: list[float]) -> str:
    return f"{_mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _ablations(runs: list[Run]) -> Iterator[str]:
    groups = _grouped(runs)
    ours = groups.pop("ethtune")
    speed, peak = _mean(run.speed for run in ours), max(run.peak_bytes for run in ours)
    cpu = _mean(run.per_cpu_second for run in ours)
    yield ""
    rows = [("as it is", f"{speed:.0f}", "", "", f"{peak / GIB:.2f} GiB", "")]
    rows += [
        (
            f"without {VARIANTS[name].undone}",
            f"{run.speed:.0f}",
            f"{speed / run.speed:.2f} x",
            f"{cpu / run.per_cpu_second:.2f} x",
            f"{run.peak_bytes / GIB:.2f} GiB",
            f"{(run.peak_bytes - peak) / GIB:+.2f} GiB",
        )
        for name in VARIANTS
        for run in groups.get(name, ())
    ]
    head = ("ethtune", "tokens/s", "brings", "by CPU time", "peak", "saves")
    yield from table(head, rows)
    if len(ours) > 1:
        yield ""
        speeds = [run.speed for run in ours]
        yield (
            f"- As it is, first and last: {speeds[0]:.0f} and {speeds[-1]:.0f} tokens/s; what is "
            "closer than that says nothing."
        )


def _overhead(found: dict[str, Any]) -> Iterator[str]:
    share = found["own_share"] + found["screen_share"]
    met = "met" if share < OVERHEAD_TARGET else "MISSED"
    yield ""
    yield (
        f"- Of a step ethtune's own work is {share:.2%} ({found['own_share']:.2%} events, checks "
        f"and bookkeeping, {found['screen_share']:.2%} the live view), under 1 %: {met}. Laying "
        f"rows end to end, which every trainer does its way, takes {found['rows_share']:.2%}."
    )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


if __name__ == "__main__":
    sys.exit(main())
