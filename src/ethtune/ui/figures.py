"""The numbers of a run: label, value and a note, in columns that line up."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.text import Text

from ethtune.core.events import StepLogged
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState
from ethtune.core.units import GIB
from ethtune.services.monitoring import Snapshot
from ethtune.ui.terminal import clean

_LABEL_WIDTH = 16
_WIDE, _NARROW = 110, 64  # columns from which figures stand three and two abreast
_MANY_DATA_WAITS = 0.15
_NEARLY_FULL = 0.95
# by nvml's names: what a healthy card does, a busy consumer card at its power cap included
_EXPECTED_THROTTLES = ("idle", "application clocks", "power cap", "sync boost", "display clocks")
_NOTHING_YET = "—"


def figures(state: RunState, width: int) -> Iterator[Text]:
    """The grid of figures of the last step, and what memory it took; nothing before the first."""
    if not state.steps:
        return
    last = state.steps[-1]
    cells = [_loss(state, last), _validation_loss(state), _speed(state)]
    cells += [_learning_rate(last), _token_accuracy(state), _gradient_norm(last)]
    abreast = 3 if width >= _WIDE else 2 if width >= _NARROW else 1
    if abreast == 2:
        cells = [cells[i] for i in (0, 1, 3, 4, 5, 2)]
    room = (width) // abreast
    for first in range(0, len(cells), abreast):
        line = Text()
        for cell in cells[first : first + abreast]:
            cell.truncate(room - 2, overflow="ellipsis")
            line.append_text(cell).append(" " * (room - cell.cell_len))
        line.rstrip()
        yield line
    yield _memory(state, last)


def _loss(state: RunState, last: StepLogged) -> Text:
    mean = "" if state.smoothed_loss is None else f"mean {state.smoothed_loss:.4f}"
    return figure("loss", f"{last.loss:.4f}", mean)


def _learning_rate(last: StepLogged) -> Text:
    return figure("learning rate", f"{last.learning_rate:.2e}")


def _gradient_norm(last: StepLogged) -> Text:
    norm = last.grad_norm
    return figure("gradient norm", _NOTHING_YET if norm is None else f"{norm:.3f}")


def _validation_loss(state: RunState) -> Text:
    if not state.evaluations:
        return figure("validation loss", _NOTHING_YET)
    now, best = state.evaluations[-1].eval_loss, state.best_evaluation
    note = "" if best is None else "best" if now == best.eval_loss else f"best {best.eval_loss:.4f}"
    return figure("validation loss", f"{now:.4f}", note)


def _token_accuracy(state: RunState) -> Text:
    if not state.evaluations:
        return figure("token accuracy", _NOTHING_YET)
    now = state.evaluations[-1].eval_token_accuracy
    best = max(e.eval_token_accuracy for e in state.evaluations)
    return figure("token accuracy", f"{now:.4f}", "best" if now == best else f"best {best:.4f}")


def _speed(state: RunState) -> Text:
    speed, wait = state.tokens_per_second, state.data_wait_share or 0.0
    note = f"{wait:.0%} for data" if wait > _MANY_DATA_WAITS else ""
    value = _NOTHING_YET if speed is None else f"{speed:,.0f} tok/s"
    return figure("speed", value, note, "yellow")


def figure(label: str, value: str, note: str = "", note_style: str = "dim") -> Text:
    """One of them, as everything with a label on the screen is set."""
    text = Text(label.ljust(_LABEL_WIDTH), style="dim")
    text.append(value, style="not dim bold" if value != _NOTHING_YET else "dim")
    return text.append(f"  {note}" if note else "", style=f"not dim {note_style}")


def _memory(state: RunState, last: StepLogged) -> Text:
    parts = []
    if last.reserved_bytes is not None and last.allocated_bytes is not None:
        parts = [(last.reserved_bytes, "reserved"), (last.allocated_bytes, "allocated")]
    parts.append((last.process_bytes, "process"))
    if state.peak_bytes:
        parts.append((state.peak_bytes, "peak"))
    first, *others = (f"{_gib(size)} GiB {word}" for size, word in parts)
    return figure("memory", first, " · ".join(other.replace(" GiB", "") for other in others))


def gpus(snapshot: Snapshot, *, limit: int) -> Iterator[Text]:
    """A line for each GPU of the machine, ``limit`` at most; none if the run leaves them alone."""
    device = snapshot.state.started.device if snapshot.state.started else ""
    if device.lower().startswith("cpu"):
        return
    num_hidden = len(snapshot.readings) - limit
    for reading in snapshot.readings[: limit - 1 if num_hidden > 0 else limit]:
        yield _gpu(reading)
    if num_hidden > 0:
        yield figure("", f"and {num_hidden + 1} more GPUs")


def _gpu(reading: GpuReading) -> Text:
    parts = []
    if reading.utilization_percent is not None:
        parts.append(f"{reading.utilization_percent} %")
    if reading.memory_used_bytes is not None and reading.memory_total_bytes:
        parts.append(f"{_gib(reading.memory_used_bytes)}/{_gib(reading.memory_total_bytes)} GiB")
    if reading.temperature_celsius is not None:
        parts.append(f"{reading.temperature_celsius} °C")
    if reading.power_watts is not None:
        limit = f"/{reading.power_limit_watts:.0f}" if reading.power_limit_watts else ""
        parts.append(f"{reading.power_watts:.0f}{limit} W")
    line = figure(f"GPU {reading.index}", " · ".join(parts) or _NOTHING_YET)
    troubles = [clean(r) for r in reading.throttle_reasons or () if r not in _EXPECTED_THROTTLES]
    if (reading.memory_used_bytes or 0) > _NEARLY_FULL * (reading.memory_total_bytes or math.inf):
        troubles.append("memory nearly full")
    if troubles:
        return line.append("  " + ", ".join(troubles), style="not dim yellow")
    return line.append("  " + clean(reading.name).removeprefix("NVIDIA "), style="not bold dim")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f}"
