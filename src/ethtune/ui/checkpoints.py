"""The checkpoints of a run on the terminal: a table, newest first."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from ethtune.core.units import format_bytes
from ethtune.services.checkpointlist import CheckpointList
from ethtune.ui.terminal import clean, say, show, show_json


def show_checkpoints(report: CheckpointList, *, as_json: bool) -> None:
    """Print to stdout."""
    if as_json:
        show_json(report.as_dict())
        return
    if not report.checkpoints:
        say(f"{report.run} has no checkpoint")
    else:
        show(_table(report))
    for name in report.strays:
        say(f"{name} is no checkpoint that a run could go on from", style="dim")


def _table(report: CheckpointList) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("step", justify="right")
    table.add_column("saved")
    table.add_column("size", justify="right")
    table.add_column(report.metric_name, justify="right")
    table.add_column("")
    table.add_column("verified", overflow="fold")
    for item in report.checkpoints:
        verdict = Text("yes", style="green")
        if item.problem is not None:
            verdict = Text(f"no: {clean(item.problem)}", style="bold red")
        table.add_row(
            f"{item.step:,}",
            clean(item.saved or ""),
            "" if item.size_bytes is None else format_bytes(item.size_bytes),
            "" if item.metric is None else f"{item.metric:.4f}",
            "best" if item.is_best else "",
            verdict,
        )
    return table
