"""Curves as text: points in, lines of braille dots out, two dots wide and four high a character.

The single losses stand dim behind their smoothed course, and signs over both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from ethtune.ui.axes import Axis

Point = tuple[float, float]
MARK, MARK_STYLE, CURVE_STYLE = "◆", "bold magenta", "cyan"
LABEL_WIDTH = 8

_BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by dot row, dot column


@dataclass(frozen=True, slots=True)
class Plot:
    """``points`` as they were measured, their smoothed ``course``, and single ``marks``."""

    points: Sequence[Point]
    course: Sequence[Point]
    marks: Sequence[Point]
    x: Axis
    y: Axis


def curve(plot: Plot, *, width: int, height: int) -> list[Text]:
    """The plot with its scales: ``height`` + 1 lines; none where there is no room for it."""
    if width < 2 * LABEL_WIDTH or height < 2:
        return []
    columns = width - LABEL_WIDTH - 2
    dim, bright = (
        _cells(_joined(_dots(plot, line, columns, height)), columns, height)
        for line in (plot.points, plot.course)
    )
    signs = {_place(plot, mark, columns, height) for mark in _shown(plot, plot.marks)}
    labels = {round((1 - plot.y.share(tick)) * (height - 1)): tick for tick in plot.y.ticks}
    lines = []
    for row in range(height):
        label = f"{labels[row]:.4g}" if row in labels else ""
        line = Text(label.rjust(LABEL_WIDTH) + (" ┤" if label else " │"), style="dim")
        for column in range(columns):
            if (column, row) in signs:
                line.append(MARK, style=f"not dim {MARK_STYLE}")
            elif bright[row][column] != _BLANK:
                line.append(chr(bright[row][column]), style=f"not dim {CURVE_STYLE}")
            else:
                line.append(chr(dim[row][column]).replace(chr(_BLANK), " "))
        lines.append(line)
    return [*lines, _scale(plot.x, columns)]


def _scale(axis: Axis, columns: int) -> Text:
    """Round steps under their places, as many as do not touch."""
    line = [" "] * columns
    for tick in axis.ticks:
        label = f"{tick:,.0f}"
        first = round(axis.share(tick) * (columns - 1)) - len(label) // 2
        first = min(max(first, 0), columns - len(label))
        around = line[max(first - 2, 0) : first + len(label) + 2]
        if first >= 0 and not "".join(around).strip():
            line[first : first + len(label)] = label
    return Text(" " * (LABEL_WIDTH + 2) + "".join(line).rstrip(), style="dim")


def _shown(plot: Plot, points: Iterable[Point]) -> list[Point]:
    """Those that are numbers and not left of the plot."""
    numbers = (p for p in points if math.isfinite(p[0]) and math.isfinite(p[1]))
    return sorted(p for p in numbers if plot.x.low <= p[0] <= plot.x.high)


def _place(plot: Plot, point: Point, num_x: int, num_y: int) -> tuple[int, int]:
    """Column and row, the nearest where the point lies beyond the plot."""
    x = plot.x.share(point[0]) * (num_x - 1)
    y = (1 - plot.y.share(point[1])) * (num_y - 1)
    return min(max(round(x), 0), num_x - 1), min(max(round(y), 0), num_y - 1)


def _dots(
    plot: Plot, points: Sequence[Point], columns: int, height: int
) -> Iterable[tuple[int, int]]:
    return (_place(plot, point, 2 * columns, 4 * height) for point in _shown(plot, points))


def _cells(dots: Iterable[tuple[int, int]], columns: int, height: int) -> list[list[int]]:
    cells = [[_BLANK] * columns for _ in range(height)]
    for x, y in dots:
        cells[y // 4][x // 2] |= _BITS[y % 4][x % 2]
    return cells


def _joined(dots: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """One dot a column, the mean of those that fall there, and the dots between neighbours."""
    columns: dict[int, list[int]] = {}
    for x, y in dots:
        columns.setdefault(x, []).append(y)
    means = [(x, round(sum(ys) / len(ys))) for x, ys in sorted(columns.items())]
    yield from means
    for (x0, y0), (x1, y1) in pairwise(means):
        count = max(x1 - x0, abs(y1 - y0))
        for i in range(1, count):
            yield round(x0 + (x1 - x0) * i / count), round(y0 + (y1 - y0) * i / count)
