"""The loss curve as a picture file: SVG of our own, PNG where Pillow is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from ethtune.core.atomic import write_text
from ethtune.core.errors import MachineError, RunError, UsageError
from ethtune.services.snapshot import Snapshot
from ethtune.ui.losscurve import Scale, loss_plot
from ethtune.ui.plots import Plot, Point
from ethtune.ui.terminal import clean

SUFFIXES = (".svg", ".png")
_WIDTH, _HEIGHT = 960, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 48, 40
_PNG_SCALE = 2
_LEGEND = {"single": "training loss", "course": "its mean", "mark": "validation loss"}
_LEGEND_WIDTH, _SIGN_WIDTH = 124, 18
# light, then dark
_INK, _PAPER = ("#24292f", "#e6edf3"), ("#ffffff", "#0d1117")
_GRID, _SINGLE = ("#d8dee4", "#30363d"), ("#a8c7e6", "#2d4a66")
_COURSE, _MARK = ("#1f6fb2", "#6cb0f5"), ("#a626a4", "#d78ce0")
_PNG_LINES = {"grid": (_GRID[0], 1), "single": (_SINGLE[0], 1), "course": (_COURSE[0], 3)}
_STYLE = (
    "text{{font:13px system-ui,sans-serif;fill:{ink}}}.paper{{fill:{paper}}}"
    ".grid{{stroke:{grid}}}.single{{stroke:{single};fill:none}}"
    ".course{{stroke:{course};fill:none;stroke-width:2.5}}.mark{{fill:{mark}}}"
)


@dataclass(frozen=True, slots=True)
class _Label:
    place: Point
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class _Picture:
    """What is drawn, in pixels: ``lines`` with the name of their style, the first lowest."""

    lines: list[tuple[str, list[Point]]]
    marks: list[Point]
    labels: list[_Label]


def write_curve(snapshots: Sequence[Snapshot], path: Path) -> None:
    """Of the only run. Raises RunError when it has none yet, MachineError for want of Pillow."""
    if len(snapshots) != 1:
        raise UsageError("--export draws one run: name its folder, not the one above")
    snapshot = snapshots[0]
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--export {path}: a picture's name ends in {' or '.join(SUFFIXES)}")
    plot = loss_plot(snapshot.state, Scale())
    if plot is None:
        raise RunError(f"{snapshot.path} has logged fewer than two losses: there is no curve yet")
    title = _title(snapshot)
    picture = _picture(plot, title)
    if suffix == ".svg":
        write_text(path, _svg(picture, title))
    else:
        _write_png(picture, path)


def _title(snapshot: Snapshot) -> str:
    state = snapshot.state
    of = f" of {state.plan.total_steps:,}" if state.plan else ""
    return clean(f"{snapshot.name}: {snapshot.status}, step {state.step:,}{of}")


def _place(plot: Plot, point: Point) -> Point:
    x = _LEFT + plot.x.share(point[0]) * (_WIDTH - _LEFT - _RIGHT)
    y = _TOP + (1 - min(plot.y.share(point[1]), 1.0)) * (_HEIGHT - _TOP - _BOTTOM)
    return x, y


def _line(plot: Plot, points: Iterable[Point]) -> list[Point]:
    return [_place(plot, point) for point in points if plot.x.low <= point[0] <= plot.x.high]


def _picture(plot: Plot, title: str) -> _Picture:
    signs = {name: place for place, name in _legend(plot)}
    lines: list[tuple[str, list[Point]]] = []
    for tick in plot.y.ticks:
        (_, y) = _place(plot, (plot.x.low, tick))
        lines.append(("grid", [(_LEFT, y), (_WIDTH - _RIGHT, y)]))
    for name, points in (("single", plot.points), ("course", plot.course)):
        lines.append((name, _line(plot, points)))
        x, y = signs[name]
        lines.append((name, [(x, y), (x + _SIGN_WIDTH, y)]))
    marks = _line(plot, plot.marks)
    if "mark" in signs:
        marks.append((signs["mark"][0] + _SIGN_WIDTH / 2, signs["mark"][1]))
    return _Picture(lines, marks, [*_labels(plot, title)])


def _legend(plot: Plot) -> Iterator[tuple[Point, str]]:
    """Where the sign of each style stands, from the right."""
    names = [name for name in _LEGEND if name != "mark" or plot.marks]
    for i, name in enumerate(reversed(names), start=1):
        yield (_WIDTH - _RIGHT - i * _LEGEND_WIDTH, 18), name


def _labels(plot: Plot, title: str) -> Iterator[_Label]:
    yield _Label((_LEFT, 22), title, "start")
    for (x, y), name in _legend(plot):
        yield _Label((x + _SIGN_WIDTH + 6, y + 4), _LEGEND[name], "start")
    for tick in plot.y.ticks:
        (_, y) = _place(plot, (plot.x.low, tick))
        yield _Label((_LEFT - 8, y + 4), f"{tick:.4g}", "end")
    for tick in plot.x.ticks:
        (x, _) = _place(plot, (tick, plot.y.low))
        yield _Label((x, _HEIGHT - 22), f"{tick:,.0f}", "middle")
    yield _Label((_WIDTH / 2, _HEIGHT - 5), "step", "middle")


def _svg(picture: _Picture, title: str) -> str:
    themes = [
        _STYLE.format(ink=ink, paper=paper, grid=grid, single=single, course=course, mark=mark)
        for ink, paper, grid, single, course, mark in zip(
            _INK, _PAPER, _GRID, _SINGLE, _COURSE, _MARK, strict=True
        )
    ]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{themes[0]}@media(prefers-color-scheme:dark){{{themes[1]}}}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
    ]
    for name, points in picture.lines:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline class="{name}" points="{places}"/>')
    lines += [f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in picture.marks]
    lines += [
        f'<text x="{label.place[0]:.1f}" y="{label.place[1]:.1f}" text-anchor="{label.anchor}">'
        f"{escape(label.text)}</text>"
        for label in picture.labels
    ]
    return "\n".join([*lines, "</svg>", ""])


def _write_png(picture: _Picture, path: Path) -> None:
    """Drawn at twice the size, so that lines are smooth; light."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MachineError(
            "a PNG is drawn by Pillow, which is not installed",
            hint="pip install pillow, or --export with a name that ends in .svg",
        ) from None
    size = (_WIDTH * _PNG_SCALE, _HEIGHT * _PNG_SCALE)
    image = Image.new("RGB", size, _PAPER[0])
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13 * _PNG_SCALE)
    for name, points in picture.lines:
        colour, width = _PNG_LINES[name]
        for start, end in pairwise(points):
            draw.line([*_scaled(start), *_scaled(end)], fill=colour, width=width * _PNG_SCALE)
    for x, y in map(_scaled, picture.marks):
        radius = 4 * _PNG_SCALE
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_MARK[0])
    anchors: dict[str, Any] = {"start": "ls", "end": "rs", "middle": "ms"}
    for label in picture.labels:
        place, anchor = _scaled(label.place), anchors[label.anchor]
        draw.text(place, label.text, fill=_INK[0], font=font, anchor=anchor)
    try:
        image.save(path, "PNG", optimize=True)
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror or error}") from error


def _scaled(point: Point) -> Point:
    return point[0] * _PNG_SCALE, point[1] * _PNG_SCALE
