"""What ``ethtune sample-data`` wrote, for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ethtune.services.sampling import SampleReport


def render(report: SampleReport) -> Iterator[RenderableType]:
    """Where the files are, and how many transactions of each kind they hold."""
    yield Text(f"{report.transactions:,} transactions of seed {report.seed} in {report.folder}")
    yield Text(", ".join(report.files), style="dim")
    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    table.add_column("transactions", justify="right")
    for kind, count in report.kinds.items():
        table.add_row(kind, f"{count:,}")
    yield table
