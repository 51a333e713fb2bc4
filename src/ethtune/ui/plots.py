"""Curves as text: points in, lines of braille dots out, two dots wide and four high a character."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.text import Text

Point = tuple[float, float]
MARK, MARK_STYLE, CURVE_STYLE = "◆", "bold magenta", "cyan"

_BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by dot row, dot column
LABEL_WIDTH = 8
_OUTLIERS = 0.02  # share of the highest points that may leave the plot at its top
_MANY = 50  # points from which on such a share is meaningful


def curve(
    points: Sequence[Point], marks: Sequence[Point], *, width: int, height: int
) -> list[Text]:
    """A line through ``points`` and signs at ``marks``, with a scale: ``height`` + 1 lines.

    Empty when there are fewer than two points that are numbers.
    """
    points, marks = _finite(points), _finite(marks)
    if len(points) < 2 or width < 2 * LABEL_WIDTH or height < 2:
        return []
    columns = width - LABEL_WIDTH - 2
    left, right = points[0][0], max(points[-1][0], points[0][0] + 1)
    low, high = _range([y for _, y in points], [y for _, y in marks])

    def place(point: Point, num_x: int, num_y: int) -> tuple[int, int]:
        x = (point[0] - left) / (right - left) * (num_x - 1)
        y = (high - point[1]) / (high - low) * (num_y - 1)
        return _within(x, num_x), _within(y, num_y)

    dots = _joined(place(point, 2 * columns, 4 * height) for point in points)
    cells = [[_BLANK] * columns for _ in range(height)]
    for x, y in dots:
        cells[y // 4][x // 2] |= _BITS[y % 4][x % 2]
    signs = {place(mark, columns, height) for mark in marks}
    labelled = {0, height - 1} | ({height // 2} if height > 4 else set())
    lines = []
    for row, codes in enumerate(cells):
        label = f"{high - (high - low) * row / (height - 1):.3g}" if row in labelled else ""
        line = Text(label.rjust(LABEL_WIDTH) + (" ┤" if label else " │"), style="dim")
        for column, code in enumerate(codes):
            if (column, row) in signs:
                line.append(MARK, style=f"not dim {MARK_STYLE}")
            else:
                line.append(chr(code) if code != _BLANK else " ", style=f"not dim {CURVE_STYLE}")
        lines.append(line)
    lines.append(_scale(left, right, columns))
    return lines


def _scale(left: float, right: float, columns: int) -> Text:
    first, last = f"{left:.0f}", f"{right:.0f}"
    between = " " * max(columns - len(first) - len(last), 1)
    return Text(" " * (LABEL_WIDTH + 2) + first + between + last, style="dim")


def _finite(points: Iterable[Point]) -> list[Point]:
    return sorted(p for p in points if math.isfinite(p[0]) and math.isfinite(p[1]))


def _range(values: list[float], others: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    high = ordered[-1 - int(_OUTLIERS * len(ordered))] if len(ordered) >= _MANY else ordered[-1]
    low, high = min([ordered[0], *others]), max([high, *others])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _within(value: float, count: int) -> int:
    return min(max(round(value), 0), count - 1)


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
