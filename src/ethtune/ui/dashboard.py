"""A run on one screen: a snapshot in, lines of exactly the given width and height out.

Nothing here asks the clock, the disk or the terminal. Every state is said in words as well as in
colour, so that the screen reads the same without. What comes and goes, diagnoses and messages,
stands below the curve, which gives way to it: nothing above moves.
"""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells
from rich.console import Group
from rich.text import Text

from ethtune.core.diagnosis import Diagnosis
from ethtune.core.events import Message
from ethtune.core.runstate import RunState
from ethtune.core.units import format_bytes, format_duration
from ethtune.services.snapshot import Snapshot, Status
from ethtune.ui.figures import figure, figures, gpus
from ethtune.ui.losscurve import Scale, loss_plot
from ethtune.ui.plots import CURVE_STYLE, LABEL_WIDTH, MARK, MARK_STYLE, curve
from ethtune.ui.terminal import clean

STATUS_STYLES: dict[Status, str] = {
    "paused": "yellow", "stalled": "bold yellow", "interrupted": "yellow",
    "dead": "bold red", "failed": "bold red", "finished": "bold green", "training": "green",
}  # fmt: skip
_DOING = {
    "waiting": "waiting for the first word of the run",
    "reading": "reading the log",
    "starting": "starting",
    "preflight": "checking machine, data and settings",
    "loading": "loading the model",
    "tokenizing": "turning rows into tokens",
    "training": "waiting for the first logged step",
    "evaluating": "evaluating",
    "saving": "saving",
    "finishing": "writing the model",
}
_SIGNS = {"info": ("·", "dim"), "warning": ("!", "yellow"), "error": ("✗", "red")}
_IN_HEADER = ("dead", "stalled", "paused")
_MARGIN = " "
_VERDICT_LINES = 3
_NATURAL_LINES = 40
_CHART_LINES = (5, 18)  # least that tells anything, most that is calm


def render(
    snapshot: Snapshot,
    *,
    width: int,
    height: int | None = None,
    scale: Scale = Scale(),  # noqa: B008  # frozen
) -> Group:
    """The screen of one run, no line wider than ``width``, no more lines than ``height``."""
    room = height if height is not None else _NATURAL_LINES
    header = [*_header(snapshot, width)]
    numbers = [*figures(snapshot, width - len(_MARGIN))]
    footer = [*_checkpoints(snapshot.state), *_troubles(snapshot, width, 6 if room >= 28 else 4)]
    footer += _messages(snapshot, width, 4 if room >= 28 else 2)
    free = room - len(header) - len(numbers) - len(footer) - 3  # blank lines between
    numbers += gpus(snapshot, limit=max(1, free - _CHART_LINES[0]))
    free = room - len(header) - len(numbers) - len(footer) - 3
    chart = _chart(snapshot.state, scale, width, min(free, _CHART_LINES[1]))
    sections = filter(None, (header, numbers, chart, footer))
    lines = [line for section in sections for line in (Text(), *section)][1:]
    return Group(*(fitted(line, width) for line in lines[:room]))


def fitted(line: Text, width: int) -> Text:
    """With a margin, and cut where it is wider than the screen."""
    line = Text.assemble(_MARGIN, line, no_wrap=True, overflow="ellipsis", end="\n")
    line.rstrip()
    line.truncate(width - 1, overflow="ellipsis")
    return line


def _header(snapshot: Snapshot, width: int) -> Iterator[Text]:
    state, status = snapshot.state, snapshot.status
    title = Text(clean(snapshot.name), style="bold")
    title.truncate(max(width - len(status) - 8, 8), overflow="ellipsis")
    title.append(f"  {status}", style=STATUS_STYLES.get(status, "cyan"))
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
    if snapshot.unread_share:
        yield _bar(round(100 * (1 - snapshot.unread_share)), 100, width)
        yield Text(_DOING["reading"])
    elif state.progress and not state.ended:
        progress = state.progress
        yield _bar(progress.done, progress.total, width)
        total = f" of {progress.total:,}" if progress.total else ""
        yield Text(f"{_DOING.get(progress.phase, progress.phase)}: {progress.done:,}{total}")
    elif state.plan:
        yield _bar(state.step, state.plan.total_steps, width)
        yield Text(_position(snapshot, width - len(_MARGIN) - 1))
    else:
        doing = [_DOING.get(snapshot.status, "")]
        if snapshot.running_seconds is not None:
            doing.append(_duration(snapshot, snapshot.running_seconds))
        yield Text(" · ".join(filter(None, doing)), style="dim")


def _position(snapshot: Snapshot, room: int) -> str:
    """Where it is; what does not fit is left out, the time left last of all."""
    state = snapshot.state
    assert state.plan
    epochs = f"of {round(state.plan.num_train_epochs, 2):g}"
    running, left = snapshot.running_seconds, snapshot.remaining_seconds
    parts = {
        "step": f"step {state.step:,} of {state.plan.total_steps:,}",
        "epoch": f"epoch {state.steps[-1].epoch:.2f} {epochs}" if state.steps else "",
        "doing": _DOING["training"] if snapshot.status == "training" and not state.steps else "",
        "running": "" if running is None else _duration(snapshot, running),
        "left": "" if left is None else f"about {format_duration(left)} left",
    }
    for spare in ("", "running", "epoch", "doing"):
        parts.pop(spare, None)
        line = " · ".join(filter(None, parts.values()))
        if len(line) <= room:
            break
    return line


def _duration(snapshot: Snapshot, seconds: float) -> str:
    return f"{format_duration(seconds)} {'in all' if snapshot.state.ended else 'so far'}"


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
    if status in _IN_HEADER:
        found = next(each for each in snapshot.diagnoses if each.kind == status)
        yield Text(found.evidence, style="red" if status == "dead" else "yellow")
        yield from _command(found.advice, found.command or "", width)
    elif status == "finished":
        yield from _command("measure it with", f"ethtune evaluate {folder}", width)
    elif state.ended:
        for line in textwrap.wrap(clean(state.ended.text), max(width - 2, 20))[:_VERDICT_LINES]:
            yield Text(line, style=STATUS_STYLES[status])
        yield from _command("continue with", f"ethtune resume {folder}", width)


def _command(words: str, command: str, width: int) -> Iterator[Text]:
    """Whole even where it is wider than the screen: somebody is to type it."""
    command, room = clean(command), width - len(_MARGIN) - 1
    if len(words) + 2 + cell_len(command) <= room:
        yield Text.assemble((f"{words}  ", "dim"), (command, "bold"))
        return
    yield Text(f"{words}", style="dim")
    for line in chop_cells(command, room):
        yield Text(line, style="bold")


def _chart(state: RunState, scale: Scale, width: int, room: int) -> list[Text]:
    plot = loss_plot(state, scale) if room >= _CHART_LINES[0] else None
    lines = curve(plot, width=width - len(_MARGIN) - 2, height=room - 2) if plot else []
    if not plot or not lines:
        return []
    legend = Text(" " * (LABEL_WIDTH + 2))
    legend.append("━ ", CURVE_STYLE).append("training loss", "dim")
    if plot.marks:
        legend.append(f"   {MARK} ", style=MARK_STYLE).append("validation loss", style="dim")
    if scale.is_log:
        legend.append("   logarithmic", style="dim")
    if scale.zoom:
        legend.append(f"   last 1/{2**scale.zoom}", style="dim")
    return [legend, *lines]


def _checkpoints(state: RunState) -> Iterator[Text]:
    if state.checkpoints:
        last = state.checkpoints[-1]
        size = format_bytes(last.size_bytes)
        note = f"step {last.step:,}, {size}, {state.num_checkpoints} saved so far"
        yield figure("last checkpoint", clean(last.path).rpartition("/")[2], note)


def _troubles(snapshot: Snapshot, width: int, limit: int) -> Iterator[Text]:
    """Each diagnosis in a line or two and what to do in one more; the gravest of them."""
    room = max(width - len(_MARGIN) - 3, 20)
    for found in snapshot.diagnoses:
        lines = [] if found.kind in _IN_HEADER else [*_diagnosis(found, room)]
        if len(lines) > limit:
            return
        limit -= len(lines)
        yield from lines


def _diagnosis(found: Diagnosis, room: int) -> Iterator[Text]:
    sign, style = _SIGNS[found.level]
    first, *others = textwrap.wrap(f"{found.title}: {found.evidence}", room)
    title, rest = first[: len(found.title)], first[len(found.title) :]
    yield Text.assemble((f"{sign} ", style), (title, f"bold {style}"), rest)
    yield from (Text(f"  {line}") for line in others)
    yield from (Text(f"  {line}", style="dim") for line in textwrap.wrap(found.advice, room))


def _messages(snapshot: Snapshot, width: int, limit: int) -> Iterator[Text]:
    if snapshot.num_unknown:
        text = f"{snapshot.num_unknown:,} lines of the log are damaged or of another version"
        yield Text.assemble(("! ", "yellow"), text)
    written: list[Text] = []
    for message in reversed(snapshot.state.messages):
        lines = [*_message(message, max(width - len(_MARGIN) - 3, 20))]
        if len(written) + len(lines) > limit:
            break
        written = lines + written
    yield from written


def _message(message: Message, room: int) -> Iterator[Text]:
    """Two lines at most."""
    sign, style = _SIGNS[message.level]
    first, *others = textwrap.wrap(clean(message.text), room) or [""]
    yield Text.assemble((f"{sign} ", style), first)
    if others:
        yield Text(f"  {' '.join(others)}")


def _count(number: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
