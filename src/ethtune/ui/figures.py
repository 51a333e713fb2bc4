"""The numbers of a run: label, value and a note, in columns that line up."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.text import Text

from ethtune.core.events import StepLogged
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState
from ethtune.core.units import GIB, format_duration
from ethtune.services.snapshot import Snapshot
from ethtune.ui.terminal import clean

_LABEL_WIDTH = 16
_WIDE, _NARROW = 110, 64  # columns from which figures stand three and two abreast
_MANY_DATA_WAITS = 0.15
_NEARLY_FULL = 0.97
# by nvml's names: what a healthy card does, a busy consumer card at its power cap included
_EXPECTED_THROTTLES = ("idle", "application clocks", "power cap", "sync boost", "display clocks")
_NOTHING_YET = "—"


def figures(snapshot: Snapshot, width: int) -> Iterator[Text]:
    """The grid of figures of the last step, and what memory it took; nothing before the first."""
    state = snapshot.state
    if not state.steps:
        return
    last = state.steps[-1]
    learning = [_loss(state, last), _learning_rate(last), _gradient_norm(last)]
    measured = [_validation_loss(state), _accuracy(state)]
    working = [_speed(state), _pace(state), _data_wait(state)]
    if width >= _WIDE:
        columns = [learning, [*measured, working[1]], [working[0], working[2], Text()]]
    elif width >= _NARROW:
        columns = [[*learning, working[1]], [*measured, working[0], working[2]]]
    else:
        columns = [[*learning, *measured, *working]]
    room = width // len(columns)
    for cells in zip(*columns, strict=True):
        line = Text()
        for cell in cells:
            cell.truncate(room - 2, overflow="ellipsis")
            line.append_text(cell).append(" " * (room - cell.cell_len))
        line.rstrip()
        yield line
    yield _memory(snapshot, last, width)


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


def _accuracy(state: RunState) -> Text:
    """Of whole answers where they were generated, of single tokens otherwise."""
    if not state.evaluations:
        return figure("token accuracy", _NOTHING_YET)
    last = state.evaluations[-1]
    if last.exact_match is not None:
        return figure(
            "exact match", f"{last.exact_match:.4f}", f"of tokens {last.eval_token_accuracy:.4f}"
        )
    best = max(e.eval_token_accuracy for e in state.evaluations)
    now = last.eval_token_accuracy
    return figure("token accuracy", f"{now:.4f}", "best" if now == best else f"best {best:.4f}")


def _speed(state: RunState) -> Text:
    speed = state.tokens_per_second
    return figure("speed", _NOTHING_YET if speed is None else f"{speed:,.0f} tok/s")


def _pace(state: RunState) -> Text:
    pace, rows = state.step_seconds, state.rows_per_second
    note = "" if rows is None else f"{rows:.3g} rows/s"
    return figure("step time", _NOTHING_YET if pace is None else format_duration(pace), note)


def _data_wait(state: RunState) -> Text:
    wait = state.data_wait_share
    if wait is None:
        return figure("data wait", _NOTHING_YET)
    note = "of the step time" if wait > _MANY_DATA_WAITS else ""
    return figure("data wait", f"{100 * wait:.1f} %", note, "yellow")


def figure(label: str, value: str, note: str = "", note_style: str = "dim") -> Text:
    """One of them, as everything with a label on the screen is set."""
    text = Text(label.ljust(_LABEL_WIDTH), style="dim")
    text.append(value, style="not dim bold" if value != _NOTHING_YET else "dim")
    return text.append(f"  {note}" if note else "", style=f"not dim {note_style}")


def _memory(snapshot: Snapshot, last: StepLogged, width: int) -> Text:
    """What the run computes in first, against all there is; of the others those that fit."""
    parts = []
    if last.reserved_bytes is not None and last.allocated_bytes is not None:
        parts = [(last.reserved_bytes, "reserved"), (last.allocated_bytes, "allocated")]
    parts.append((last.process_bytes, "process"))
    if snapshot.state.peak_bytes:
        parts.append((snapshot.state.peak_bytes, "peak"))
    capacity = snapshot.capacity_bytes
    of = f"/{_gib(capacity)}" if capacity else ""
    (size, word), *others = parts
    value = f"{_gib(size)}{of} GiB {word}"
    notes = [f"{_gib(size)} {word}" for size, word in others]
    while notes and _LABEL_WIDTH + len(value) + 2 + len(" · ".join(notes)) >= width:
        notes.pop()
    return figure("memory", value, " · ".join(notes))


def gpus(snapshot: Snapshot, *, limit: int) -> Iterator[Text]:
    """A line for each GPU of the machine, ``limit`` at most; none if the run leaves them alone."""
    if snapshot.state.is_on_cpu:
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
    if reading.is_silent:
        troubles.append("does not answer")
    if troubles:
        return line.append("  " + ", ".join(troubles), style="not dim yellow")
    return line.append("  " + clean(reading.name).removeprefix("NVIDIA "), style="not bold dim")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f}"
