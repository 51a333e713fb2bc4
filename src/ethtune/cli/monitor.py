"""``ethtune monitor``: a run from a second terminal, while it trains or long after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag


def monitor(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of several.")],
    once: Annotated[
        bool, typer.Option("--once", help="One look; exit 1 if a run failed, died or stalled.")
    ] = False,
    as_json: JsonFlag = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks.", metavar="SECONDS")
    ] = 1.0,
) -> None:
    """Watch a run from another terminal; Ctrl-C leaves it undisturbed."""
    from ethtune.services.monitoring import watch
    from ethtune.ui.live import follow_screen, show_frame
    from ethtune.ui.plain import follow_lines
    from ethtune.ui.terminal import show_json

    watchers = watch(run)
    if as_json:
        snapshots = [watcher.poll() for watcher in watchers]
        plain = [snapshot.as_dict() for snapshot in snapshots]
        show_json(plain[0] if snapshots[0].path == run else {"runs": plain})
    elif once:
        snapshots = [watcher.poll() for watcher in watchers]
        show_frame(snapshots)
    elif sys.stdout.isatty():
        snapshots = follow_screen(watchers, interval=interval)
    else:
        snapshots = follow_lines(watchers, sys.stdout, interval=interval)
    if not all(snapshot.is_well for snapshot in snapshots):
        raise typer.Exit(1)
