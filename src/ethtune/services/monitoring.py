"""Runs seen from outside: polls of their event logs, their locks and the machine; never a write.

``watch(path)`` gives a Watch over the run at ``path`` or over all runs in it; each ``poll`` is a
Snapshot of each. It works on runs that train, have ended, were killed, or have yet to begin.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ethtune.core.errors import RunError
from ethtune.core.eventlog import EventReader, LoggedEvent
from ethtune.core.runfolder import RunFolder, open_run
from ethtune.core.runlock import Holder, is_alive, read_holder
from ethtune.core.runstate import RunState, fold
from ethtune.services.observing import Machine, Observer, Rarely
from ethtune.services.snapshot import Snapshot

Tell = Callable[[Path, LoggedEvent], None]
_FOLDER_SECONDS = 2.0  # how soon a new run in the folder is seen


def _tell_nobody(path: Path, logged: LoggedEvent) -> None:
    pass


class Watcher:
    """Follows one run."""

    def __init__(self, run: RunFolder, machine: Machine) -> None:
        self._run = run
        self._observer = Observer(run.path, machine)
        self._reader = EventReader(run.events)
        self._state = RunState()
        self._heard: tuple[float, float] | None = None  # silence so far, and when that was, here
        self._lost: Holder | None = None  # not found here at the last poll
        self._elsewhere: Holder | None = None  # and spoke since: on another machine, say

    def poll(self, tell: Tell = _tell_nobody, *, seconds: float | None = None) -> Snapshot:
        """What the run looks like now; ``tell`` is told each new event.

        Given ``seconds`` it reads a long log for no longer than that, and goes on at the next poll.
        Raises RunError when the run's folder is gone.
        """
        if not self._run.path.is_dir():
            raise RunError(f"{self._run.path} is gone: it was moved or deleted")
        holder = read_holder(self._run.lock)
        is_here = holder is not None and is_alive(holder)  # asked before reading: its last words
        has_news = self._read(tell, seconds)
        unread_share = self._reader.unread_share
        snapshot = self._observer.look(
            self._state,
            is_alive=self._liveness(holder, is_here=is_here, has_news=has_news),
            holder=holder,
            silent_seconds=None if unread_share else self._silence(has_news),
        )
        return replace(snapshot, unread_share=unread_share, num_unknown=self._reader.skipped)

    def _read(self, tell: Tell, seconds: float | None) -> bool:
        """Fold what is new; whether there was any."""
        restarts, has_news = self._reader.restarts, False
        end = None if seconds is None else time.monotonic() + seconds
        for logged in self._reader.poll():
            if self._reader.restarts != restarts:
                restarts, self._state = self._reader.restarts, RunState()
            self._state, has_news = fold(self._state, logged), True
            tell(self._run.path, logged)
            if end is not None and time.monotonic() > end:
                break
        if self._reader.restarts != restarts:  # and nothing in it yet
            self._state = RunState()
        return has_news

    def _silence(self, has_news: bool) -> float | None:
        """Time since the last event, by this machine's steady clock from the first poll on.

        The log's own times, of a clock that may be set or of another machine, count only then.
        """
        if self._state.last_time is None:
            return None
        now = time.monotonic()
        if self._heard is None:
            self._heard = (max(time.time() - self._state.last_time, 0.0), now)
        elif has_news:
            self._heard = (0.0, now)
        silent, then = self._heard
        return silent + now - then

    def _liveness(self, holder: Holder | None, *, is_here: bool, has_news: bool) -> bool | None:
        if holder is None:  # released, or never held
            return False if self._run.lock.is_file() else None
        if is_here:
            return True
        if holder == self._lost and has_news:
            self._elsewhere = holder
        self._lost = holder
        return None if holder == self._elsewhere else False


class Watch:
    """One run, or all of a folder: new ones come in, deleted ones drop out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._machine = Machine()
        self._folders = Rarely(lambda: _runs_in(path), _FOLDER_SECONDS)
        self._watchers: dict[Path, Watcher] = {}

    @property
    def is_single(self) -> bool:
        """Whether the path is a run itself."""
        return RunFolder(self.path).manifest.is_file()

    @property
    def has_runs(self) -> bool:
        """Whether there is anything to look at."""
        return self.is_single or bool(_runs_in(self.path))

    def wait(self, seconds: float) -> None:
        """Until there is a run, looking every ``seconds``."""
        while not self.has_runs:
            time.sleep(seconds)

    def poll(
        self, tell: Tell = _tell_nobody, *, seconds: float | None = None
    ) -> tuple[Snapshot, ...]:
        """A snapshot of each run, the newest first as they were at the first poll; see Watcher.

        Raises RunError when there is no run.
        """
        if self.is_single or self.path in self._watchers:
            watcher = self._watchers.get(self.path) or self._watch(open_run(self.path))
            return (watcher.poll(tell, seconds=seconds),)
        found = self._folders()
        for run in found:
            if run.path not in self._watchers:
                self._watchers = {run.path: self._watch(run)} | self._watchers
        snapshots = [*self._polled(tell, seconds)]
        if not snapshots:
            open_run(self.path)  # says what is wrong with the path
            raise RunError(f"no run in {self.path}")
        return tuple(snapshots)

    def _watch(self, run: RunFolder) -> Watcher:
        watcher = self._watchers[run.path] = Watcher(run, self._machine)
        return watcher

    def _polled(self, tell: Tell, seconds: float | None) -> Iterator[Snapshot]:
        for path, watcher in list(self._watchers.items()):
            if path.is_dir():
                with contextlib.suppress(RunError):  # deleted since
                    yield watcher.poll(tell, seconds=seconds)
            else:
                del self._watchers[path]


def watch(path: Path) -> Watch:
    """The run at ``path``, or every run in the folder ``path``."""
    return Watch(path)


def _runs_in(path: Path) -> list[RunFolder]:
    """The newest last."""
    with contextlib.suppress(OSError):
        runs = [RunFolder(item) for item in path.iterdir()]
        return sorted((run for run in runs if run.manifest.is_file()), key=_last_change)
    return []


def _last_change(run: RunFolder) -> float:
    file = run.events if run.events.is_file() else run.manifest
    return file.stat().st_mtime
