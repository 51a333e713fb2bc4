"""An estimate on one screen: answer, components as a bar, what would save, time, disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.text import Text

from ethtune.core.units import format_bytes, format_duration
from ethtune.device.time import speed_text
from ethtune.services.advice import Saving
from ethtune.services.estimation import EstimateReport
from ethtune.ui.terminal import clean, stdout

STYLES = {"fits": "bold green", "tight": "bold yellow", "does not fit": "bold red"}
_COLORS = ("blue", "cyan", "green", "magenta", "yellow", "red", "bright_blue", "bright_cyan",
           "bright_green", "bright_magenta", "bright_yellow")  # fmt: skip
_BAR_WIDTH = 24
_LABEL_WIDTH = 13


def show_estimate(report: EstimateReport) -> None:
    """Print one report."""
    share = 100 * report.num_trained / report.num_parameters
    _tell(
        Text(
            f"{clean(report.base_model)}: {report.num_parameters:,} parameters, "
            f"{report.num_trained:,} trained ({share:.3g} %)"
        )
    )
    low, high = report.process_bytes
    _tell(
        Text(
            f"The process will hold {format_bytes(low)} to {format_bytes(high)}; "
            f"{clean(report.target)} has {format_bytes(report.free_bytes)} free: "
        ).append(report.answer, style=STYLES[report.answer])
    )
    _tell(Text())
    for line in (
        *_components(report),
        *_memory_notes(report),
        *_advice(report),
        Text(),
        *_costs(report),
    ):
        _tell(line)


def middle(span: tuple[float, float]) -> float:
    """Of a range whose ends are factors away."""
    return math.sqrt(span[0] * span[1])


def _components(report: EstimateReport) -> Iterator[Text]:
    """Each component with a bar that begins where the one before ends."""
    total = f"tensors at the peak ({report.peak_point})"
    width = max(map(len, (total, *report.components)))
    done = 0
    for index, (name, size) in enumerate(report.components.items()):
        start = round(_BAR_WIDTH * done / report.allocated_bytes)
        done += size
        end = round(_BAR_WIDTH * done / report.allocated_bytes)
        line = Text(f"{name:<{width}} {format_bytes(size):>10}  {' ' * start}")
        yield line.append("█" * (end - start) or "▏", style=_COLORS[index % len(_COLORS)])
    yield Text(f"{total:<{width}} {format_bytes(report.allocated_bytes):>10}", style="bold")


def _memory_notes(report: EstimateReport) -> Iterator[Text]:
    if report.paged_bytes:
        paged = format_bytes(report.paged_bytes)
        yield Text(f"Optimizer states of {paged} may be paged out to host memory.")
    if report.saved_already:
        parts = (f"{name} {format_bytes(size)}" for name, size in report.saved_already.items())
        yield Text(f"Saved already: {', '.join(parts)}.")


def _advice(report: EstimateReport) -> Iterator[Text]:
    if not report.savings:
        return
    yield Text("\nWhat would save memory, the cheapest first", style="bold")
    width = max(len(saving.settings[0]) for saving in report.savings)
    for saving in report.savings:
        yield _saving(saving, width)


def _saving(saving: Saving, width: int) -> Text:
    first, *others = (f"--set {setting}" for setting in saving.settings)
    line = Text(f"  {first:<{width + 6}} {format_bytes(saving.saved_bytes):>10}")
    line.append(f"  {saving.cost}", style="dim")
    if saving.is_enough:
        line.append("  enough", style="green")
    for other in others:
        line.append(f"\n    {other}")
    return line


def _costs(report: EstimateReport) -> Iterator[Text]:
    yield _line("Time", _time(report))
    if report.calibration:
        yield _line("Calibrated", clean(report.calibration))
    yield _line("Disk", _disk(report))
    if report.electricity:
        use = report.electricity
        kwh = " to ".join(f"{value:.2g}" for value in use.kilowatt_hours)
        money = " to ".join(f"{value:.2f}" for value in use.price)
        yield _line("Electricity", f"{kwh} kWh for {money}, if the machine draws {use.watts} W")
    if report.assumptions:
        yield _line("Assumed", clean("; ".join(report.assumptions)))


def _time(report: EstimateReport) -> str:
    if report.tokens_per_second is None:
        return "the speed of this card is not known; name it with --gpu"
    speed = speed_text(report.tokens_per_second)
    if report.step_seconds:
        speed += f", {' to '.join(map(format_duration, report.step_seconds))} a step"
    if report.seconds is None:
        return f"{speed}; the duration needs --dataset or --rows"
    fast, slow = report.seconds
    steps = f"{report.num_steps:,} steps, " if report.num_steps else ""
    begun_now = f"begun now, done by {datetime.now() + timedelta(seconds=slow):%a %d %b %H:%M}"
    return f"{format_duration(fast)} to {format_duration(slow)}, {begun_now}; {steps}{speed}"


def _disk(report: EstimateReport) -> str:
    disk = report.disk
    if disk.download_bytes is None:
        download = "the size of the base model is not known"
    elif disk.download_bytes:
        download = f"the base model is a download of {format_bytes(disk.download_bytes)}"
    else:
        download = "the base model is here"
    free = "" if disk.free_bytes is None else f" of {format_bytes(disk.free_bytes)} free"
    run, checkpoint = format_bytes(disk.run_bytes), format_bytes(disk.checkpoint_bytes)
    return f"{run}{free} for the run, a checkpoint {checkpoint}; {download}"


def _line(label: str, value: str) -> Text:
    return Text(label.ljust(_LABEL_WIDTH), style="dim").append(value, style="not dim")


def _tell(text: Text) -> None:
    """Wrapped at words on a terminal; a pipe gets whole lines."""
    stdout.print(text, soft_wrap=not stdout.is_terminal)
