"""An estimate as a table of components, the answer, and what would save how much."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ethtune.core.units import GIB, format_bytes, format_duration
from ethtune.device.time import speed_text
from ethtune.services.estimation import EstimateReport
from ethtune.ui.terminal import clean, show, stdout

_STYLES = {"fits": "bold green", "tight": "bold yellow", "does not fit": "bold red"}


def show_estimate(report: EstimateReport) -> None:
    """Print one report."""
    share = 100 * report.num_trained / report.num_parameters
    _tell(
        Text(
            f"{clean(report.base_model)}: {report.num_parameters:,} parameters, "
            f"{report.num_trained:,} trained ({share:.3g} %)"
        )
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=34)
    table.add_column(justify="right")
    for name, size in report.components.items():
        table.add_row(name, format_bytes(size))
    table.add_row(
        f"tensors at the peak ({report.peak_point})",
        format_bytes(sum(report.components.values())),
        style="bold",
    )
    show(table)
    if report.paged_bytes:
        paged = format_bytes(report.paged_bytes)
        _tell(Text(f"Optimizer states of {paged} may be paged out to host memory."))
    low, high = report.process_bytes
    _tell(
        Text(
            f"\nThe process will hold {format_bytes(low)} to {format_bytes(high)}; "
            f"{clean(report.target)} has {format_bytes(report.free_bytes)} free: "
        ).append(report.answer, style=_STYLES[report.answer])
    )
    if report.savings:
        _tell(Text("\nWhat would save memory", style="bold"))
        for saving in report.savings:
            _tell(Text(f"  --set {saving.setting:<46} {format_bytes(saving.saved_bytes):>10}"))
    _tell(Text(f"\n{_time_line(report)}"))
    _tell(Text(f"Assumed: {clean('; '.join(report.assumptions))}.", style="dim"))


def show_profiles(reports: Sequence[EstimateReport]) -> None:
    """Print one line a profile."""
    table = Table(box=None, pad_edge=False)
    for title in ("profile", "model", "needs GiB", "free", "answer", "speed"):
        table.add_column(title, justify="right" if title == "free" else "left", no_wrap=True)
    for report in reports:
        low, high = report.process_bytes
        speed = report.tokens_per_second and speed_text(report.tokens_per_second)
        table.add_row(
            report.title,
            clean(report.base_model).rsplit("/", 1)[-1],
            f"{low / GIB:.1f} to {high / GIB:.1f}",
            f"{report.free_bytes / GIB:.1f}",
            Text(report.answer, style=_STYLES[report.answer]),
            speed or "name a --gpu",
        )
    show(table)


def _time_line(report: EstimateReport) -> str:
    if report.tokens_per_second is None:
        return "The speed of this card is not known; name it with --gpu."
    speed = speed_text(report.tokens_per_second)
    if report.seconds is None:
        return f"Speed: {speed}; the duration needs --dataset or --rows."
    fast, slow = report.seconds
    return f"Speed: {speed}, so {format_duration(fast)} to {format_duration(slow)}."


def _tell(text: Text) -> None:
    """Left to the terminal to wrap, so that a pipe gets whole lines."""
    stdout.print(text, soft_wrap=True)
