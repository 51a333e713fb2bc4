"""Several runs, a line each: snapshots in, a table of exactly the given width and height out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from ethtune.core.units import format_duration
from ethtune.services.snapshot import Snapshot
from ethtune.ui.dashboard import STATUS_STYLES, fitted
from ethtune.ui.terminal import clean

_TITLES = ("run", "state", "step", "loss", "validation", "left", "trouble")
_STATE, _FIRST_NUMBER, _TROUBLE = 1, 2, 6
_NOTHING = "—"
_WIDE = 90  # columns from which troubles are named


def overview(
    snapshots: Sequence[Snapshot],
    *,
    width: int,
    height: int | None = None,
    selected: Path | None = None,
) -> Group:
    """In the given order; of more than fit, those around the ``selected`` one."""
    shown = _window(snapshots, None if height is None else max(height - 1, 1), selected)
    rows = [_TITLES, *(_row(snapshot) for snapshot in shown)]
    if width < _WIDE:
        rows = [row[:_TROUBLE] for row in rows]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    taken = sum(widths[1:]) + 2 * len(widths) + 2
    widths[0] = min(widths[0], max(width - taken, 8))
    lines = [Text("  ").append_text(_line(rows[0], widths))]
    lines[0].stylize("dim")
    for snapshot, row in zip(shown, rows[1:], strict=True):
        sign = "› " if snapshot.path == selected else "  "
        lines.append(Text(sign, style="bold").append_text(_line(row, widths)))
    return Group(*(fitted(line, width) for line in lines))


def _window(
    snapshots: Sequence[Snapshot], room: int | None, selected: Path | None
) -> Sequence[Snapshot]:
    if room is None or len(snapshots) <= room:
        return snapshots
    place = next((i for i, each in enumerate(snapshots) if each.path == selected), 0)
    first = min(max(place - room // 2, 0), len(snapshots) - room)
    return snapshots[first : first + room]


def _line(row: Sequence[str], widths: Sequence[int]) -> Text:
    line = Text()
    for i, (value, room) in enumerate(zip(row, widths, strict=True)):
        style = STATUS_STYLES.get(value, "") if i == _STATE else ""  # type: ignore[call-overload]
        cell = Text(value, style="yellow" if i == _TROUBLE else style)
        cell.truncate(room, overflow="ellipsis")
        padding = " " * (room - cell.cell_len)
        is_number = _FIRST_NUMBER <= i < _TROUBLE
        line.append_text(Text.assemble(padding, cell) if is_number else cell.append(padding))
        line.append("  ")
    line.rstrip()
    return line


def _row(snapshot: Snapshot) -> tuple[str, ...]:
    state = snapshot.state
    total = f"/{state.plan.total_steps:,}" if state.plan else ""
    best, left = state.best_evaluation, snapshot.remaining_seconds
    troubles = [found.title for found in snapshot.diagnoses if found.kind != snapshot.status]
    return (
        clean(snapshot.name),
        snapshot.status,
        f"{state.step:,}{total}",
        _NOTHING if state.smoothed_loss is None else f"{state.smoothed_loss:.4f}",
        _NOTHING if best is None else f"{best.eval_loss:.4f}",
        _NOTHING if left is None else format_duration(left),
        ", ".join(troubles),
    )
