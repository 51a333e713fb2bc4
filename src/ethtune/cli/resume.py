"""``ethtune resume``: a run goes on from its newest complete checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ethtune.cli.options import Assignments, JsonFlag, command_line, overrides


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    checkpoint: Annotated[
        Path | None, typer.Option("--from", help="A checkpoint of the run; default: the newest.")
    ] = None,
    assignments: Assignments = None,
    as_json: JsonFlag = False,
) -> None:
    """Continue a run as if it had not stopped. --set may raise max_steps or change logging."""
    continue_run(run, overrides(assignments), checkpoint=checkpoint, as_json=as_json)


def continue_run(
    run: Path, chosen: dict[str, tuple[Any, str]], *, checkpoint: Path | None, as_json: bool
) -> None:
    """Resume and show, for this command and for ``train --resume-from-checkpoint``."""
    from ethtune.services import training
    from ethtune.ui.live import live_view
    from ethtune.ui.training import show_training

    with live_view(run) as events:
        report = training.resume(
            run, overrides=chosen, checkpoint=checkpoint, command=command_line(), events=events
        )
    show_training(report, as_json=as_json)
