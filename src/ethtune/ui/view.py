"""What the user looks at: a view and a key in, the next view out, and what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rich.text import Text

from ethtune.services.snapshot import Snapshot
from ethtune.ui.axes import ZOOM_MAX
from ethtune.ui.losscurve import Scale
from ethtune.ui.terminal import clean

Action = Literal["quit", "stop"]
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}


@dataclass(frozen=True, slots=True)
class View:
    """``selected`` is the run with the cursor, shown alone where ``is_open``."""

    selected: Path | None = None
    is_open: bool = False
    scale: Scale = field(default_factory=Scale)
    asks_to_stop: bool = False
    note: str = ""

    def over(self, snapshots: Sequence[Snapshot]) -> View:
        """The view of these runs: a single one is open, a selected one may be gone."""
        paths = [snapshot.path for snapshot in snapshots]
        if len(paths) == 1 and self.selected is None:
            return replace(self, selected=paths[0], is_open=True)
        if self.selected in paths:
            return self
        return replace(self, selected=paths[0], is_open=False, asks_to_stop=False)

    def shown(self, snapshots: Sequence[Snapshot]) -> Snapshot | None:
        """The run that fills the screen; None for the list."""
        return next((s for s in snapshots if self.is_open and s.path == self.selected), None)


def pressed(view: View, key: str, snapshots: Sequence[Snapshot]) -> tuple[View, Action | None]:
    """The view after ``key``."""
    if view.asks_to_stop:
        return replace(view, asks_to_stop=False), "stop" if key in ("y", "Y") else None
    view = replace(view, note="")
    if key == "q":
        return view, "quit"
    if key == "s":
        return _asking(view, snapshots), None
    if key == "tab":
        return _moved(view, snapshots, 1), None
    if not view.is_open:
        return _in_list(view, key, snapshots), None
    return _on_run(view, key, is_single=len(snapshots) == 1), None


def _asking(view: View, snapshots: Sequence[Snapshot]) -> View:
    run = next((each for each in snapshots if each.path == view.selected), None)
    if run is None or run.state.ended or run.around.is_alive is not True:
        return replace(view, note="no process of this machine trains there")
    return replace(view, asks_to_stop=True)


def _in_list(view: View, key: str, snapshots: Sequence[Snapshot]) -> View:
    if key in ("enter", "right"):
        return replace(view, is_open=True)
    return _moved(view, snapshots, _STEPS[key]) if key in _STEPS else view


def _on_run(view: View, key: str, *, is_single: bool) -> View:
    zoom, is_log = view.scale.zoom, view.scale.is_log
    if key in ("left", "escape", "backspace"):
        return view if is_single else replace(view, is_open=False)
    if key in ("+", "=", "-", "0"):
        zoom = 0 if key == "0" else zoom + (-1 if key == "-" else 1)
        return replace(view, scale=Scale(min(max(zoom, 0), ZOOM_MAX), is_log))
    return replace(view, scale=Scale(zoom, not is_log)) if key == "l" else view


def _moved(view: View, snapshots: Sequence[Snapshot], by: int) -> View:
    paths = [snapshot.path for snapshot in snapshots]
    place = paths.index(view.selected) if view.selected in paths else 0
    return replace(view, selected=paths[(place + by) % len(paths)])


def hint(view: View, *, is_single: bool) -> Text:
    """The last line of the screen: what may be pressed, or what is asked or was done."""
    name = clean(view.selected.resolve().name) if view.selected else ""
    if view.asks_to_stop:
        ask = f"Stop {name} after the step in hand, with a checkpoint?"
        return Text.assemble((ask, "bold yellow"), "  y yes   any other key no")
    if view.note:
        return Text(view.note, style="yellow")
    if not view.is_open:
        return Text("↑↓ choose   enter open   s stop   q quit", style="dim")
    back = "" if is_single else "   tab next run   ← list"
    return Text(f"+ − zoom   0 all   l logarithmic{back}   s stop   q quit", style="dim")
