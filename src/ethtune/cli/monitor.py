"""``ethtune monitor``: a run from a second terminal, while it trains or long after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag
from ethtune.core.errors import UsageError


def monitor(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of several.")],
    once: Annotated[
        bool, typer.Option("--once", help="One look; exit 1 if a run failed, died or stalled.")
    ] = False,
    as_json: JsonFlag = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="A JSON line a run and look, until the runs end.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks.", metavar="SECONDS")
    ] = 1.0,
    export: Annotated[
        Path | None, typer.Option(help="Draw the loss curve to a .svg or .png, and end.")
    ] = None,
) -> None:
    """Watch a run from another terminal; Ctrl-C leaves it undisturbed.

    A run that is not there yet is waited for, unless --once, --json or --export asks for one look.
    """
    from ethtune.services.monitoring import watch
    from ethtune.ui.following import follow_run, show_once
    from ethtune.ui.terminal import say

    if follow and (once or export):
        raise UsageError("--follow goes on until the end: leave out --once and --export")
    watched = watch(run)
    if export is not None:
        from ethtune.ui.curvefile import write_curve

        write_curve(watched.poll(), export)
        say(f"{export} written")
        return
    if once or (as_json and not follow):
        snapshots = show_once(watched, as_json=as_json)
    else:
        snapshots = follow_run(watched, interval=interval, as_json=follow)
    if not all(snapshot.is_well for snapshot in snapshots):
        raise typer.Exit(1)
