"""Runs shown once or followed: as a screen, as lines, as JSON, whichever the stream is for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ethtune.services.monitoring import Watch
from ethtune.services.snapshot import Snapshot
from ethtune.ui.live import follow_screen, show_frame
from ethtune.ui.plain import follow_json, follow_lines
from ethtune.ui.terminal import say, show_json


def show_once(watch: Watch, *, as_json: bool) -> Sequence[Snapshot]:
    """One look, on stdout."""
    snapshots = watch.poll()
    if as_json:
        plain = [snapshot.as_dict() for snapshot in snapshots]
        show_json(plain[0] if watch.is_single else {"runs": plain})
    else:
        show_frame(snapshots)
    return snapshots


def follow_run(watch: Watch, *, interval: float, as_json: bool) -> Sequence[Snapshot]:
    """Until the runs end or the user does; a run that is not there yet is waited for."""
    if not watch.has_runs and watch.path.absolute().parent.is_dir():
        say(f"no run at {watch.path} yet: waiting for it")
        watch.wait(interval)
    if as_json:
        return follow_json(watch, sys.stdout, interval=interval)
    if sys.stdout.isatty():
        return follow_screen(watch, interval=interval)
    return follow_lines(watch, sys.stdout, interval=interval)
