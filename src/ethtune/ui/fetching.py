"""What ``ethtune fetch`` got from a node, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ethtune.services.fetching import FetchReport
from ethtune.ui.terminal import clean

_REASONS_SHOWN = 8
_NAMES_SHOWN = 5


def render(report: FetchReport) -> Iterator[RenderableType]:
    """How much was asked, was there and came; then why what is missing is missing."""
    yield _accounts(report)
    if report.failures:
        yield _reasons(report)
        names = [failure.name for failure in report.failures[:_NAMES_SHOWN]]
        more = len(report.failures) - len(names)
        yield Text(clean("\n".join(names)) + (f"\nand {more:,} more" if more else ""), style="dim")


def notes(report: FetchReport) -> Iterator[str]:
    """Lines of talk: what to know and the command to type now."""
    if report.batch_size is not None:
        yield (
            f"{report.host} takes batches of {report.batch_size} at most: "
            f"--batch-size {report.batch_size} spares the tries"
        )
    if report.failures:
        yield f"failures are listed in {report.failed_path}; the same command tries them again"
    if report.has_rows:
        yield f"next: ethtune prepare --input {report.output} --output data"


def _accounts(report: FetchReport) -> Table:
    chain = "" if report.chain_id is None else f" of chain {report.chain_id}"
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what", style="dim")
    table.add_column("count", justify="right")
    table.add_column("of what", overflow="fold")
    table.add_row("asked", f"{report.num_asked:,}", clean(f"{report.unit}{chain} at {report.host}"))
    table.add_row("already there", f"{report.num_present:,}", report.unit)
    table.add_row("fetched", f"{report.num_fetched:,}", "transactions")
    table.add_row("failed", f"{len(report.failures):,}", "")
    return table


def _reasons(report: FetchReport) -> Table:
    counts = Counter(failure.reason for failure in report.failures)
    table = Table(box=None, pad_edge=False)
    table.add_column("\nfailed because", overflow="fold")
    table.add_column("\ntimes", justify="right")
    for reason, count in counts.most_common(_REASONS_SHOWN):
        table.add_row(clean(reason), f"{count:,}")
    others = len(counts) - _REASONS_SHOWN
    if others > 0:
        table.add_row(f"{others} other reasons", "")
    return table
