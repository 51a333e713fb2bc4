"""``ethtune doctor``: can one train here, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import Assignments, ConfigFile, JsonFlag, Profile, overrides


def doctor(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run to look at as well: its settings, its checkpoints."),
    ] = None,
    config: ConfigFile = None,
    profile: Profile = None,
    base_model: Annotated[
        str | None, typer.Option("--base-model", "--model", help="Alias, hub id or folder.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Folder whose first rows are tried.")
    ] = None,
    assignments: Assignments = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what imports the libraries: below a second.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings as well.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every check, not only what is open.")
    ] = False,
    fix_script: Annotated[
        str | None,
        typer.Option("--fix-script", metavar="FILE", help="Write the fixes as a script; - shows."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Write a zip for a bug report, without secrets, here."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check GPU, libraries, memory, disk, base model and data; exit 1 when a check fails.

    Nothing is changed or installed. ethtune doctor --profile 12gb
    """
    from ethtune.core.atomic import write_text
    from ethtune.core.compose import compose
    from ethtune.core.runfolder import open_run
    from ethtune.services.bundle import refuse_existing, write_bundle
    from ethtune.services.diagnosis import diagnose
    from ethtune.services.fixscript import fix_script as script_of
    from ethtune.ui.doctor import show_doctor, show_script, waiting
    from ethtune.ui.terminal import say, show_json

    if bundle is not None:
        refuse_existing(bundle)
    if run is not None and config is None and profile is None:
        config = open_run(run).config
    flags = {
        "--base-model": ("model.base_model", base_model),
        "--dataset": ("data.dataset", None if dataset is None else str(dataset)),
    }
    composed = compose(config_file=config, profile=profile, overrides=overrides(assignments, flags))
    with waiting(is_quick=quick):
        report = diagnose(composed.config, quick=quick, run=run)
    if bundle is not None:
        names = write_bundle(bundle, report, config=composed.to_yaml(), run=run)
        say(f"wrote {bundle} with {', '.join(names)}; look through it before you share it")
    if fix_script == "-":
        show_script(script_of(report))
    elif as_json:
        show_json(report.as_dict())
    else:
        show_doctor(report, verbose=verbose)
    if fix_script not in (None, "-"):
        write_text(Path(str(fix_script)), script_of(report))
        say(f"wrote {fix_script}; read it, then run it")
    if not report.can_train or (strict and report.open_findings):
        raise typer.Exit(1)
