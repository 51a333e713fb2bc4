"""Screens that move: train's own view of its run, and monitor's of any; and the last word."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Group
from rich.live import Live

from ethtune.core.eventlog import EventReader, LoggedEvent
from ethtune.core.events import Emit, Event, RunStarted
from ethtune.core.runfolder import RunFolder
from ethtune.core.runstate import RunState, fold, fold_all
from ethtune.services.monitoring import GpuPoll, Snapshot, Watcher
from ethtune.ui.dashboard import overview, render
from ethtune.ui.plain import plain_lines
from ethtune.ui.terminal import show, stderr, stdout

_FRAMES_PER_SECOND = 4  # about 4 % of a core
_INLINE_LINES = 30  # train's view leaves the rest of the terminal to what was there before


@contextlib.contextmanager
def live_view(run: Path) -> Iterator[Emit]:
    """A sink for the events of a training in this process, shown on stderr until it ends.

    On a terminal a screen with a thread of its own; elsewhere a plain line an event. Library
    prints meanwhile appear above the screen.
    """
    if not sys.stderr.isatty() or stderr.is_dumb_terminal:
        yield plain_lines(sys.stderr)
        return
    view = _OwnRun(run)
    with Live(
        get_renderable=view.frame,
        console=stderr,
        refresh_per_second=_FRAMES_PER_SECOND,
        vertical_overflow="crop",
    ):
        yield view.take


class _OwnRun:
    """The state of the run, replaced by the training's thread and drawn by the screen's."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._state = RunState()
        self._gpus = GpuPoll()

    def take(self, event: Event) -> None:
        if isinstance(event, RunStarted) and event.first_step:  # resumed: go on with its curve
            before = fold_all(EventReader(RunFolder(self._run).events).poll())
            self._state = replace(before, messages=self._state.messages)
        self._state = fold(self._state, LoggedEvent(0, time.time(), event))

    def frame(self) -> Group:
        snapshot = Snapshot(
            path=self._run,
            state=self._state,
            now=time.time(),
            readings=self._gpus(),
            alive=True,
        )
        height = min(stderr.height - 1, _INLINE_LINES)
        return render(snapshot, width=stderr.width, height=height)


def follow_screen(watchers: Sequence[Watcher], *, interval: float) -> list[Snapshot]:
    """Fill the terminal until nothing more will come or Ctrl-C; the last frame stays behind."""
    snapshots: list[Snapshot] = []
    with (
        Live(console=stdout, screen=True, auto_refresh=False) as live,
        contextlib.suppress(KeyboardInterrupt),
    ):
        while not snapshots or not all(snapshot.is_over for snapshot in snapshots):
            if snapshots:
                time.sleep(interval)
            snapshots = [watcher.poll() for watcher in watchers]
            live.update(_frame(snapshots, stdout.height), refresh=True)
    show_frame(snapshots)
    return snapshots


def show_frame(snapshots: Sequence[Snapshot]) -> None:
    """One frame on stdout, small enough to stay above the prompt."""
    if snapshots:
        show(_frame(snapshots, stdout.height - 1 if stdout.is_terminal else None))


def _frame(snapshots: Sequence[Snapshot], height: int | None) -> Group:
    if len(snapshots) == 1:
        return render(snapshots[0], width=stdout.width, height=height)
    return overview(snapshots, width=stdout.width, height=height)
