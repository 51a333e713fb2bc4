"""What ``ethtune prepare`` made of an export, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ethtune.dataset.card import class_totals
from ethtune.dataset.splits import SPLITS
from ethtune.services.preparation import USABLE_ROWS_MIN, PreparationReport
from ethtune.ui.terminal import clean

_REASONS_SHOWN = 8


def render(report: PreparationReport) -> Iterator[RenderableType]:
    """Where every record went, rows by class and split, and why rows were left out."""
    manifest = report.manifest
    rejected, limited, augmented = (manifest[key] for key in ("rejected", "limited", "augmented"))
    yield Text(
        f"{manifest['read']:,} records: {report.kept:,} kept, {sum(rejected.values()):,} rejected, "
        f"{manifest['duplicates']:,} duplicates, {sum(limited.values()):,} beyond a limit"
        + (f"; {sum(augmented.values()):,} augmented" if augmented else "")
    )
    if report.kept:
        yield _classes(manifest)
    for name, reasons in (("rejected", rejected), ("limited", limited)):
        if reasons:
            yield _reasons(f"{name} because", reasons)


def next_step(report: PreparationReport) -> str:
    """One line: the command to type now."""
    if not report.is_usable:
        return (
            f"only {report.kept} usable rows, at least {USABLE_ROWS_MIN} are needed; "
            f"{report.output / 'rejected.jsonl'} says why rows were left out"
        )
    return f"next: ethtune validate-data {report.output}"


def _classes(manifest: Mapping[str, Any]) -> Table:
    splits, augmented = manifest["splits"], manifest["augmented"]
    table = Table(box=None, pad_edge=False)
    table.add_column("action")
    for name in (*SPLITS, *(["augmented"] if augmented else [])):
        table.add_column(name, justify="right")
    for action in class_totals(manifest):
        counts = [splits[split]["actions"].get(action, 0) for split in SPLITS]
        copies = [augmented.get(action, 0)] if augmented else []
        table.add_row(action, *(f"{count:,}" for count in counts + copies))
    sizes = [splits[split]["rows"] for split in SPLITS]
    copies = [sum(augmented.values())] if augmented else []
    table.add_row("all", *(f"{size:,}" for size in sizes + copies), style="bold")
    return table


def _reasons(title: str, reasons: Mapping[str, int]) -> Group:
    table = Table(box=None, pad_edge=False)
    table.add_column(title, overflow="fold")
    table.add_column("records", justify="right")
    for reason, count in list(reasons.items())[:_REASONS_SHOWN]:
        table.add_row(clean(reason), f"{count:,}")
    others = len(reasons) - _REASONS_SHOWN
    if others > 0:
        table.add_row(f"{others} other reasons", "")
    return Group(Text(), table)
