"""``ethtune estimate``: memory and time of a run, before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ethtune.cli.options import Assignments, ConfigFile, JsonFlag, Profile, overrides
from ethtune.core.errors import UsageError

if TYPE_CHECKING:
    from ethtune.services.estimation import Amount


def estimate(
    config: ConfigFile = None,
    profile: Profile = None,
    assignments: Assignments = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help='A card by name: "RTX 3060"; default: this machine.')
    ] = None,
    vram: Annotated[
        float | None, typer.Option("--vram", help="Graphics memory in GiB, of any card.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", "-d", help="Prepared folder: how much to train on.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Number of training rows, for the duration.")
    ] = None,
    all_profiles: Annotated[
        bool, typer.Option("--all-profiles", help="All built-in profiles side by side.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Predict memory by component, and time; exit 1 when the run does not fit."""
    from ethtune.core.compose import compose
    from ethtune.device.target import local_target, named_target
    from ethtune.services import estimation
    from ethtune.ui.estimate import show_estimate, show_profiles
    from ethtune.ui.terminal import show_json

    target = named_target(gpu, vram)
    amount = _amount(dataset, rows)
    if all_profiles:
        if config or profile or assignments:
            raise UsageError("--all-profiles takes no --config, --profile or --set")
        reports = estimation.estimate_profiles(target=target, amount=amount)
        if as_json:
            show_json({"profiles": [report.as_dict() for report in reports]})
        else:
            show_profiles(reports)
        return
    composed = compose(config_file=config, profile=profile, overrides=overrides(assignments))
    if dataset is None and rows is None and composed.config.data.dataset:
        amount = estimation.dataset_amount(Path(composed.config.data.dataset))
    report = estimation.estimate(composed.config, target=target or local_target(), amount=amount)
    if as_json:
        show_json(report.as_dict())
    else:
        show_estimate(report)
    if report.answer == "does not fit":
        raise typer.Exit(1)


def _amount(dataset: Path | None, rows: int | None) -> Amount | None:
    from ethtune.services.estimation import dataset_amount, rows_amount

    if dataset is not None and rows is not None:
        raise UsageError("--dataset and --rows both say how much there is: give one")
    if dataset is not None:
        return dataset_amount(dataset)
    return None if rows is None else rows_amount(rows)
