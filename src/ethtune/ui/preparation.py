"""What ``ethtune prepare`` made of an export, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ethtune.dataset.splits import SPLITS
from ethtune.services.preparation import USABLE_ROWS_MIN, PreparationReport
from ethtune.ui.terminal import clean

_REASONS_SHOWN = 8


def render(report: PreparationReport) -> Iterator[RenderableType]:
    """Where every record went, rows by class and split, and why rows were rejected."""
    manifest = report.manifest
    rejected, limited = manifest["rejected"], manifest["limited"]
    yield Text(
        f"{manifest['read']:,} records: {report.kept:,} kept, {sum(rejected.values()):,} rejected, "
        f"{manifest['duplicates']:,} duplicates"
        + (f", {limited:,} beyond the limit per class" if limited else "")
    )
    if report.kept:
        yield _classes(manifest["splits"])
    if rejected:
        yield _reasons(rejected)


def next_step(report: PreparationReport) -> str:
    """One line: the command to type now."""
    if not report.is_usable:
        return (
            f"only {report.kept} usable rows, at least {USABLE_ROWS_MIN} are needed; "
            f"{report.output / 'rejected.jsonl'} says why rows were left out"
        )
    return f"next: ethtune validate-data {report.output}"


def _classes(splits: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("action")
    for split in SPLITS:
        table.add_column(split, justify="right")
    totals: Counter[str] = Counter()
    for split in SPLITS:
        totals.update(splits[split]["actions"])
    for action, _ in totals.most_common():
        counts = (splits[split]["actions"].get(action, 0) for split in SPLITS)
        table.add_row(action, *(f"{count:,}" for count in counts))
    table.add_row("all", *(f"{splits[split]['rows']:,}" for split in SPLITS), style="bold")
    return table


def _reasons(rejected: Mapping[str, int]) -> Group:
    table = Table(box=None, pad_edge=False)
    table.add_column("rejected because", overflow="fold")
    table.add_column("records", justify="right")
    for reason, count in list(rejected.items())[:_REASONS_SHOWN]:
        table.add_row(clean(reason), f"{count:,}")
    others = len(rejected) - _REASONS_SHOWN
    if others > 0:
        table.add_row(f"{others} other reasons", "")
    return Group(Text(), table)
