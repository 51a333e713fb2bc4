"""The two live screens on a terminal: train's of its own run, and monitor's of any."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Group
from rich.live import Live

from ethtune.core.errors import RunError
from ethtune.core.eventlog import EventReader, LoggedEvent
from ethtune.core.events import Emit, Event, RunStarted
from ethtune.core.runfolder import RunFolder
from ethtune.core.runstate import RunState, fold, fold_all
from ethtune.services.monitoring import Watch
from ethtune.services.observing import Machine, Observer
from ethtune.services.snapshot import Snapshot
from ethtune.services.stopping import ask_to_stop
from ethtune.ui.dashboard import fitted, render
from ethtune.ui.keys import Keyboard
from ethtune.ui.overview import overview
from ethtune.ui.plain import plain_lines
from ethtune.ui.terminal import clean, show, stderr, stdout
from ethtune.ui.view import View, hint, pressed

_FRAMES_PER_SECOND = 2  # about 2 % of a core
_INLINE_LINES = 30  # train's view leaves the rest of the terminal to what was there before
_READING_SECONDS = 0.3  # of a long log, before the screen says how far it is
_RESIZE_SECONDS = 0.25


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
        self._heard = time.monotonic()
        self._observer = Observer(run, Machine())

    def take(self, event: Event) -> None:
        if isinstance(event, RunStarted) and event.first_step:  # resumed: go on with its curve
            before = fold_all(EventReader(RunFolder(self._run).events).poll())
            self._state = replace(before, messages=self._state.messages)
        self._state = fold(self._state, LoggedEvent(0, time.time(), event))
        self._heard = time.monotonic()

    def frame(self) -> Group:
        silent = time.monotonic() - self._heard
        snapshot = self._observer.look(self._state, is_alive=True, silent_seconds=silent)
        height = min(stderr.height - 1, _INLINE_LINES)
        return render(snapshot, width=stderr.width, height=height)


def follow_screen(watch: Watch, *, interval: float) -> Sequence[Snapshot]:
    """Fill the terminal until ``q``, Ctrl-C, or the end of the run; the last frame stays behind.

    Runs that had ended before anybody looked stay until ``q``, and so does a folder of runs.
    """
    screen = _Screen(watch, interval)
    with (
        Keyboard() as keyboard,
        Live(console=stdout, screen=True, auto_refresh=False) as live,
        contextlib.suppress(KeyboardInterrupt),
    ):
        screen.run(keyboard, live)
    show_frame(screen.snapshots, screen.view)
    return screen.snapshots


class _Screen:
    """The loop between polls and keys."""

    def __init__(self, watch: Watch, interval: float) -> None:
        self._watch = watch
        self._interval = interval
        self.snapshots: Sequence[Snapshot] = ()
        self.view = View()

    def run(self, keyboard: Keyboard, live: Live) -> None:
        self._poll()
        stays = keyboard.is_there and (not self._watch.is_single or self._is_over)
        while True:
            is_reading = any(snapshot.unread_share for snapshot in self.snapshots)
            live.update(self._frame(), refresh=True)
            if self._is_over and not (stays and keyboard.is_there):
                return
            if not self._listen(keyboard, live, 0.0 if is_reading else self._interval):
                return
            self._poll()

    @property
    def _is_over(self) -> bool:
        return all(snapshot.is_over for snapshot in self.snapshots)

    def _poll(self) -> None:
        self.snapshots = self._watch.poll(seconds=_READING_SECONDS)
        self.view = self.view.over(self.snapshots)

    def _listen(self, keyboard: Keyboard, live: Live, seconds: float) -> bool:
        """Take keys, and draw anew after each and at another size; False to quit."""
        end, size = time.monotonic() + seconds, stdout.size
        while True:
            left = end - time.monotonic()
            key = keyboard.wait(min(left, _RESIZE_SECONDS))
            if key is not None:
                self.view, action = pressed(self.view, key, self.snapshots)
                if action == "quit":
                    return False
                if action == "stop":
                    self._stop()
            if key is not None or stdout.size != size:
                size = stdout.size
                live.update(self._frame(), refresh=True)
            elif left <= 0:
                return True

    def _stop(self) -> None:
        assert self.view.selected
        try:
            pid = ask_to_stop(self.view.selected)
            note = f"process {pid} was asked to stop: it ends after its step, with a checkpoint"
        except RunError as error:
            note = clean(error.message)
        self.view = replace(self.view, note=note)

    def _frame(self) -> Group:
        last = hint(self.view, is_single=len(self.snapshots) == 1)
        body = _body(self.snapshots, self.view, stdout.height - 2)
        filled = [fitted(last, stdout.width)]
        missing = stdout.height - 1 - len(body.renderables)
        blank = [fitted(last.blank_copy(), stdout.width)] * max(missing, 0)
        return Group(*body.renderables, *blank, *filled)


def show_frame(snapshots: Sequence[Snapshot], view: View | None = None) -> None:
    """One frame on stdout, small enough to stay above the prompt."""
    if snapshots:
        view = (view or View()).over(snapshots)
        if not view.is_open:
            view = replace(view, selected=None)
        show(_body(snapshots, view, stdout.height - 1 if stdout.is_terminal else None))


def _body(snapshots: Sequence[Snapshot], view: View, height: int | None) -> Group:
    run = view.shown(snapshots)
    if run is not None:
        return render(run, width=stdout.width, height=height, scale=view.scale)
    return overview(snapshots, width=stdout.width, height=height, selected=view.selected)
