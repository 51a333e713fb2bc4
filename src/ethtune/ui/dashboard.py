"""A run on one screen: a snapshot in, lines of exactly the given width and height out.

Nothing here asks the clock, the disk or the terminal. Every state is said in words as well as in
colour, so that the screen reads the same without.
"""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Group
from rich.text import Text

from ethtune.core.runstate import RunState
from ethtune.core.units import format_bytes, format_duration
from ethtune.services.monitoring import Snapshot, Status
from ethtune.ui.figures import figure, figures, gpus
from ethtune.ui.plots import CURVE_STYLE, LABEL_WIDTH, MARK, MARK_STYLE, curve
from ethtune.ui.terminal import clean

_STYLES: dict[Status, str] = {
    "paused": "yellow", "stalled": "bold yellow", "interrupted": "yellow",
    "dead": "bold red", "failed": "bold red", "finished": "bold green", "training": "green",
}  # fmt: skip
_DOING = {
    "waiting": "waiting for the first word of the run",
    "starting": "starting",
    "preflight": "checking machine, data and settings",
    "loading": "loading the model",
    "tokenizing": "turning rows into tokens",
    "training": "waiting for the first logged step",
    "evaluating": "evaluating",
    "saving": "saving",
    "finishing": "writing the model",
}
_MARGIN = " "
_VERDICT_LINES = 3
_NATURAL_LINES = 40
_CHART_LINES = (5, 14)  # least that tells anything, most that is calm


def render(snapshot: Snapshot, *, width: int, height: int | None = None) -> Group:
    """The screen of one run, no line wider than ``width``, no more lines than ``height``."""
    room = height if height is not None else _NATURAL_LINES
    state = snapshot.state
    header = [*_header(snapshot, width)]
    numbers = [*figures(state, width - len(_MARGIN))]
    footer = [*_checkpoints(state), *_messages(state, limit=3 if room >= 28 else 2)]
    free = room - len(header) - len(numbers) - len(footer) - 3  # blank lines between
    numbers += gpus(snapshot, limit=max(1, free - _CHART_LINES[0]))
    free = room - len(header) - len(numbers) - len(footer) - 3
    chart = _chart(state, width, min(free, _CHART_LINES[1])) if free >= _CHART_LINES[0] else []
    sections = filter(None, (header, numbers, chart, footer))
    lines = [line for section in sections for line in (Text(), *section)][1:]
    return Group(*(_fitted(line, width) for line in lines[:room]))


def _fitted(line: Text, width: int) -> Text:
    line = Text.assemble(_MARGIN, line, no_wrap=True, overflow="ellipsis", end="\n")
    line.rstrip()
    line.truncate(width - 1, overflow="ellipsis")
    return line


def _header(snapshot: Snapshot, width: int) -> Iterator[Text]:
    state, status = snapshot.state, snapshot.status
    title = Text(clean(snapshot.name), style="bold")
    title.truncate(max(width - len(status) - 8, 8), overflow="ellipsis")
    title.append(f"  {status}", style=_STYLES.get(status, "cyan"))
    yield title
    if state.started:
        about = [state.started.base_model, state.started.device]
        if state.loaded:
            about.append(f"{_count(state.loaded.trainable_parameters)} trainable")
        yield Text(clean(" · ".join(about)), style="dim")
    yield from _advance(snapshot, width)
    yield from verdict(snapshot, width)


def _advance(snapshot: Snapshot, width: int) -> Iterator[Text]:
    """The bar and what it counts: of the steps, or of a long phase before or between them."""
    state = snapshot.state
    if state.progress and not state.ended:
        progress = state.progress
        yield _bar(progress.done, progress.total, width)
        total = f" of {progress.total:,}" if progress.total else ""
        yield Text(f"{_DOING.get(progress.phase, progress.phase)}: {progress.done:,}{total}")
    elif state.plan:
        yield _bar(state.step, state.plan.total_steps, width)
        yield Text(" · ".join(_position(snapshot)))
    else:
        doing = [_DOING.get(snapshot.status, "")]
        if snapshot.running_seconds is not None:
            doing.append(f"{format_duration(snapshot.running_seconds)} so far")
        yield Text(" · ".join(filter(None, doing)), style="dim")


def _position(snapshot: Snapshot) -> Iterator[str]:
    state = snapshot.state
    assert state.plan
    yield f"step {state.step:,} of {state.plan.total_steps:,}"
    if state.steps:
        yield f"epoch {state.steps[-1].epoch:.2f} of {state.plan.num_train_epochs:g}"
    elif snapshot.status == "training":
        yield _DOING["training"]
    if snapshot.running_seconds is not None:
        duration = format_duration(snapshot.running_seconds)
        yield f"{duration} in all" if state.ended else f"{duration} so far"
    if snapshot.remaining_seconds is not None:
        yield f"about {format_duration(snapshot.remaining_seconds)} left"


def _bar(done: int, total: int | None, width: int) -> Text:
    room = width - len(_MARGIN) - 7
    share = min(done / total, 1.0) if total else 0.0
    filled = round(share * room)
    bar = Text("━" * filled, style="green")
    bar.append("─" * (room - filled), style="dim")
    return bar.append(f" {math.floor(100 * share):3d} %" if total else "", style="default")


def verdict(snapshot: Snapshot, width: int = 80) -> Iterator[Text]:
    """For a run that needs somebody: what happened, and what to type."""
    state, status = snapshot.state, snapshot.status
    folder = shlex.quote(str(snapshot.path))
    resume = f"ethtune resume {folder}"
    silent = format_duration(snapshot.silent_seconds or 0.0)
    if status == "dead":
        doing = "" if state.phase == "starting" else f" while {state.phase}"
        yield Text(f"The process is gone{doing}; its last word was {silent} ago.", style="red")
        yield from _command("continue with", resume, width)
    elif status == "stalled":
        pace = format_duration(state.step_seconds or 0.0)
        yield Text(f"No step for {silent}, where one took {pace}.", style="yellow")
        if snapshot.pid is not None:
            yield from _command("look inside with", f"py-spy dump --pid {snapshot.pid}", width)
    elif status == "paused":
        yield Text("The process is stopped.", style="yellow")
        yield from _command("continue with", f"kill -CONT {snapshot.pid}", width)
    elif status == "finished":
        yield from _command("measure it with", f"ethtune evaluate {folder}", width)
    elif state.ended:
        for line in textwrap.wrap(clean(state.ended.text), max(width - 2, 20))[:_VERDICT_LINES]:
            yield Text(line, style=_STYLES[status])
        yield from _command("continue with", resume, width)


def _command(words: str, command: str, width: int) -> Iterator[Text]:
    """Whole even where it is wider than the screen: somebody is to type it."""
    command, room = clean(command), width - len(_MARGIN) - 1
    if len(words) + 2 + cell_len(command) <= room:
        yield Text.assemble((f"{words}  ", "dim"), (command, "bold"))
        return
    yield Text(f"{words}", style="dim")
    for line in chop_cells(command, room):
        yield Text(line, style="bold")


def _chart(state: RunState, width: int, room: int) -> list[Text]:
    points = [(float(s.step), s.loss) for s in state.steps]
    marks = [(float(e.step), e.eval_loss) for e in state.evaluations]
    lines = curve(points, marks, width=width - len(_MARGIN) - 2, height=room - 2)
    if not lines:
        return []
    legend = Text.assemble(" " * (LABEL_WIDTH + 2), ("━ ", CURVE_STYLE), ("training loss", "dim"))
    if marks:
        legend.append(f"   {MARK} ", style=MARK_STYLE).append("validation loss", style="dim")
    return [legend, *lines]


def _checkpoints(state: RunState) -> Iterator[Text]:
    saved = state.checkpoints
    if saved:
        last = saved[-1]
        note = f"step {last.step:,}, {format_bytes(last.size_bytes)}, {len(saved)} saved so far"
        yield figure("last checkpoint", clean(last.path).rpartition("/")[2], note)


def _messages(state: RunState, *, limit: int) -> Iterator[Text]:
    signs = {"info": ("·", "dim"), "warning": ("!", "yellow"), "error": ("✗", "red")}
    for message in state.messages[-limit:]:
        sign, style = signs[message.level]
        yield Text.assemble((f"{sign} ", style), clean(" ".join(message.text.split())))


def _count(number: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def overview(snapshots: Sequence[Snapshot], *, width: int, height: int | None = None) -> Group:
    """Several runs, a line each, in the given order."""
    shown = snapshots[: None if height is None else max(height - 1, 1)]
    rows = [("run", "state", "step", "loss", "left"), *(_row(s) for s in shown)]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[0] = min(widths[0], max(width - sum(widths[1:]) - 2 * len(widths), 8))
    lines = []
    for number, row in enumerate(rows):
        line = Text()
        for i, (value, room) in enumerate(zip(row, widths, strict=True)):
            cell = Text(value, style=_STYLES.get(value, "") if i == 1 else "")  # type: ignore[call-overload]
            cell.truncate(room, overflow="ellipsis")
            padding = " " * (room - cell.cell_len)
            line.append_text(Text.assemble(padding, cell) if i > 1 else cell.append(padding))
            line.append("  ")
        line.rstrip()
        line.stylize("" if number else "dim")
        lines.append(line)
    return Group(*(_fitted(line, width) for line in lines))


def _row(snapshot: Snapshot) -> tuple[str, str, str, str, str]:
    state = snapshot.state
    total = f"/{state.plan.total_steps:,}" if state.plan else ""
    loss = "—" if state.smoothed_loss is None else f"{state.smoothed_loss:.4f}"
    left = snapshot.remaining_seconds
    return (
        clean(snapshot.name),
        snapshot.status,
        f"{state.step:,}{total}",
        loss,
        "—" if left is None else format_duration(left),
    )
