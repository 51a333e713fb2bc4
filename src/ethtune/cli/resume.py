"""``ethtune resume``: a run goes on from its newest complete checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ethtune.cli.options import Assignments, JsonFlag, command_line, overrides
from ethtune.cli.processes import follows, launched_processes, run_in_processes
from ethtune.core.errors import UsageError


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--from", help="checkpoint-N of the run; default: the newest that verifies."),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show the run's checkpoints, each verified, and end.")
    ] = False,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-change",
            help="Go on although KEY differs: a config key, rows, base_model, template, "
            "prompt_versions, versions; repeatable.",
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, help="As in train; default: as many as the run had."),
    ] = None,
    assignments: Assignments = None,
    as_json: JsonFlag = False,
) -> None:
    """Continue a run as if it had not stopped.

    --set may raise training.max_steps or training.num_train_epochs, and change logging,
    training.on_divergence, data.dataloader_num_workers and folders. Any other difference is refused
    with what it would do, unless --allow-change names it.
    """
    if list_only:
        if checkpoint or allow_change or assignments:
            raise UsageError("--list shows checkpoints and takes no other option but --json")
        from ethtune.services.checkpointlist import list_checkpoints
        from ethtune.ui.checkpoints import show_checkpoints

        show_checkpoints(list_checkpoints(run), as_json=as_json)
        return
    continue_run(
        run,
        overrides(assignments, {"--gpus": ("training.num_processes", gpus)}),
        checkpoint=checkpoint,
        allowed=tuple(allow_change or ()),
        as_json=as_json,
    )


def continue_run(
    run: Path,
    chosen: dict[str, tuple[Any, str]],
    *,
    checkpoint: Path | None,
    allowed: tuple[str, ...] = (),
    as_json: bool,
) -> None:
    """Resume and show, for this command and for ``train --resume-from-checkpoint``."""
    if follows():
        return
    launched = launched_processes()
    from ethtune.services.training import ResumeRequest, training_of
    from ethtune.services.training import resume as resume_run
    from ethtune.ui.live import live_view
    from ethtune.ui.training import show_training

    before = training_of(run, chosen)
    for key, (value, origin) in launched.items():
        if getattr(before, key.partition(".")[2]) != value:
            chosen = chosen | {key: (value, origin)}
    run_in_processes(before.num_processes)
    request = ResumeRequest(run, chosen, checkpoint=checkpoint, allowed=allowed)
    with live_view(run) as events:
        report = resume_run(request, command=command_line(), events=events)
    show_training(report, as_json=as_json)
