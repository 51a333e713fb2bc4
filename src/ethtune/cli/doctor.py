"""``ethtune doctor``: can one train here, and if not, what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from ethtune.cli.options import Assignments, ConfigFile, JsonFlag, Profile, overrides


def doctor(
    config: ConfigFile = None,
    profile: Profile = None,
    assignments: Assignments = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what imports the libraries: below a second.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check software, GPU, machine and base model; exit 1 when a check fails."""
    from ethtune.core.compose import compose
    from ethtune.services.diagnosis import diagnose
    from ethtune.ui.doctor import show_doctor
    from ethtune.ui.terminal import show_json

    composed = compose(config_file=config, profile=profile, overrides=overrides(assignments))
    report = diagnose(composed.config, quick=quick)
    if as_json:
        show_json(report.as_dict())
    else:
        show_doctor(report)
    if not report.can_train:
        raise typer.Exit(1)
