"""A traced step on one screen: answer, memory over the step as a curve, what holds the peak."""

from __future__ import annotations

from rich.text import Text

from ethtune.core.units import GIB, format_bytes
from ethtune.services.tracedstep import TraceReport
from ethtune.ui.axes import Axis, loss_axis
from ethtune.ui.estimate import STYLES
from ethtune.ui.plots import Plot, curve
from ethtune.ui.terminal import clean, stdout

_HEIGHT, _WIDTH = 10, 78
_HOLDERS = 12


def show_trace(report: TraceReport) -> None:
    """Print one report."""
    for line in (*_head(report), Text(), *_course(report), Text(), *_holders(report)):
        stdout.print(line, soft_wrap=not stdout.is_terminal)


def _head(report: TraceReport) -> list[Text]:
    low, high = report.process_bytes
    share = report.allocated_bytes / report.closed_form_bytes - 1
    return [
        Text(
            f"{clean(report.base_model)}: a step traced in {report.seconds:.0f} s, "
            f"{report.num_allocations:,} tensors"
        ),
        Text(
            f"The process will hold {format_bytes(low)} to {format_bytes(high)}; "
            f"{clean(report.target)} has {format_bytes(report.free_bytes)} free: "
        ).append(report.answer, style=STYLES[report.answer]),
        Text(
            f"tensors {format_bytes(report.allocated_bytes)} at the peak, "
            f"{format_bytes(report.reserved_bytes)} reserved for them; "
            f"the closed form says {format_bytes(report.closed_form_bytes)} ({-share:+.1%})"
        ),
    ]


def _course(report: TraceReport) -> list[Text]:
    """GiB of live tensors over the step."""
    points = [(float(moment.event), moment.num_bytes / GIB) for moment in report.timeline]
    peak = max(points, key=lambda point: point[1])
    plot = Plot(
        points=(),
        course=points,
        marks=[peak],
        x=Axis(points[0][0], points[-1][0], ()),
        y=loss_axis([height for _, height in points], [0.0]),
    )
    width = min(stdout.width, _WIDTH)
    return [Text("GiB", style="dim"), *curve(plot, width=width, height=_HEIGHT)[:-1]]


def _holders(report: TraceReport) -> list[Text]:
    """What lives at the peak, by when and by what it was made."""
    shown, rest = report.holders[:_HOLDERS], report.holders[_HOLDERS:]
    lines = [Text(f"At the peak, in the {report.peak_point}, there are", style="bold")]
    width = max(len(_named(holder.phase, holder.operation)) for holder in shown)
    for holder in shown:
        name = _named(holder.phase, holder.operation).ljust(width)
        lines.append(Text(f"  {name}  {format_bytes(holder.num_bytes):>10}  {holder.count:>6,}"))
    if rest:
        size, count = sum(item.num_bytes for item in rest), sum(item.count for item in rest)
        lines.append(Text(f"  {'others'.ljust(width)}  {format_bytes(size):>10}  {count:>6,}"))
    return lines


def _named(phase: str, operation: str) -> str:
    is_plain = operation.startswith(("empty", "zeros"))
    return phase if is_plain else f"{phase}: {operation.strip('_')}"
