"""Many estimates as tables: profiles, cards against profiles, the largest settings that fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ethtune.core.units import GIB, format_duration
from ethtune.device.time import speed_text
from ethtune.services.estimation import EstimateReport
from ethtune.services.whatfits import Comparison, Largest
from ethtune.ui.estimate import STYLES, middle
from ethtune.ui.terminal import clean, show, stdout


def show_profiles(reports: Sequence[EstimateReport]) -> None:
    """Print one line a profile."""
    timed = any(report.seconds for report in reports)
    table = Table(box=None, pad_edge=False)
    titles = ("profile", "model", "needs GiB", "free", "answer", "time" if timed else "speed")
    for title in titles:
        table.add_column(title, justify="right" if title == "free" else "left", no_wrap=True)
    for report in reports:
        low, high = report.process_bytes
        table.add_row(
            report.title,
            clean(report.base_model).rsplit("/", 1)[-1],
            f"{low / GIB:.1f} to {high / GIB:.1f}",
            f"{report.free_bytes / GIB:.1f}",
            Text(report.answer, style=STYLES[report.answer]),
            _pace(report) or "name a --gpu",
        )
    show(table)


def show_comparison(found: Comparison) -> None:
    """Print a line a card, a column a profile: the time where it fits, else the answer."""
    timed = any(report.seconds for _, _, reports in found.rows for report in reports)
    table = Table(box=None, pad_edge=False)
    table.add_column("card", no_wrap=True)
    table.add_column("GiB", justify="right")
    for profile in found.profiles:
        table.add_column(profile, no_wrap=True, justify="right")
    for name, free_bytes, reports in found.rows:
        cells = [_cell(report, timed=timed) for report in reports]
        table.add_row(name.removeprefix("GeForce "), f"{free_bytes / GIB:.0f}", *cells)
    show(table)
    unit = "hours of the run" if timed else "tokens a second; --dataset or --rows tell hours"
    stdout.print(Text(f"In the table: {unit}; ~ is tight, - does not fit.", style="dim"))


def show_largest(found: Sequence[Largest], target: str) -> None:
    """Print a line a setting."""
    stdout.print(
        Text(f"On {clean(target)}, each setting alone, the others as they are:"), soft_wrap=True
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("now", justify="right")
    table.add_column("largest that fits", justify="right")
    for item in found:
        most = "none" if item.largest is None else f"{item.largest:,}"
        table.add_row(item.setting, f"{item.now:,}", f"{most} or more" if item.is_limit else most)
    show(table)


def _pace(report: EstimateReport) -> str | None:
    if report.seconds is not None:
        return " to ".join(map(format_duration, report.seconds))
    return report.tokens_per_second and speed_text(report.tokens_per_second)


def _cell(report: EstimateReport, *, timed: bool) -> Text:
    if report.answer == "does not fit":
        return Text("-", style="dim")
    span = report.seconds if timed else report.tokens_per_second
    value: str = report.answer
    if span is not None:
        pace = middle(span)
        value = f"{pace / 3600:,.1f}" if timed else f"{float(f'{pace:.2g}'):,.0f}"
    mark = "~" if report.answer == "tight" else ""
    return Text(mark + value, style=STYLES[report.answer].removeprefix("bold "))
