"""``ethtune estimate``: memory, time and disk of a run, before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ethtune.cli.options import (
    Assignments,
    ConfigFile,
    JsonFlag,
    Profile,
    command_line,
    overrides,
)
from ethtune.core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from ethtune.core.config import Config
    from ethtune.device.target import Target
    from ethtune.services.estimation import Known

_NAMED = {"data.dataset"}  # which the tables of profiles heed


def estimate(
    config: ConfigFile = None,
    profile: Profile = None,
    base_model: Annotated[
        str | None, typer.Option("--base-model", "--model", help="Hub id, alias or folder.")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="Equal cards that train together.")
    ] = None,
    fsdp: Annotated[
        bool | None, typer.Option("--fsdp", help="The base model in parts over the cards.")
    ] = None,
    assignments: Assignments = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", help='A card by name: "RTX 3060"; repeatable with --compare.'),
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
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="Of a kilowatt hour, for electricity.")
    ] = None,
    all_profiles: Annotated[
        bool, typer.Option("--all-profiles", help="All built-in profiles side by side.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="A table of graphics cards and profiles.")
    ] = False,
    largest: Annotated[
        bool, typer.Option("--max", help="Largest sequence, micro batch and rank that fit.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Run 3 real steps here first; needs the dataset.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Trace a step of the real code, without its memory.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Predict memory by component, time and disk; exit 1 when the run does not fit."""
    _require_one_view(all_profiles=all_profiles, compare=compare, largest=largest, trace=trace)
    if dataset is not None and rows is not None:
        raise UsageError("--dataset and --rows both say how much there is: give one")
    flags = {
        "--dataset": ("data.dataset", None if dataset is None else str(dataset)),
        "--base-model": ("model.base_model", base_model),
        "--gpus": ("training.num_processes", gpus),
        "--fsdp": ("training.fsdp", fsdp),
    }
    given = overrides(assignments, flags)
    if (all_profiles or compare) and (config or profile or calibrate or given.keys() - _NAMED):
        flag = "--compare" if compare else "--all-profiles"
        raise UsageError(f"{flag} goes with --dataset, --rows, --gpu, --vram and --price alone")
    known = _known(rows, price)
    if compare:
        _show_comparison(gpu, vram, dataset, known, as_json=as_json)
        return
    target = _target(gpu, vram)
    if all_profiles:
        _show_profiles(target, dataset, known, as_json=as_json)
        return
    from ethtune.core.compose import compose as composed

    chosen = composed(config_file=config, profile=profile, overrides=given).config
    if calibrate:
        known = _calibrated(chosen, target, known)
    if largest:
        _show_largest(chosen, target, known, as_json=as_json)
    elif trace:
        _show_trace(chosen, target, known, as_json=as_json)
    else:
        _show_one(chosen, target, known, as_json=as_json)


def _require_one_view(**views: bool) -> None:
    if sum(views.values()) > 1:
        raise UsageError("--all-profiles, --compare, --max and --trace are four views: choose one")


def _target(gpu: list[str] | None, vram: float | None) -> Target | None:
    """The card that is named. Raises UsageError where name and memory are of different cards."""
    from ethtune.device.gpus import find_gpu
    from ethtune.device.target import named_target

    if gpu and len(gpu) > 1:
        raise UsageError("several --gpu are for --compare", hint="ethtune estimate --compare")
    name = gpu[0] if gpu else None
    if name is None or vram is None:
        return named_target(name, vram)
    try:
        return named_target(name, vram)
    except ConfigError as error:
        if "comes in several sizes" in error.message:
            known = error.hint
        else:
            known = f"{find_gpu(name).name} has {find_gpu(name).vram_bytes / 2**30:.0f} GiB"
        raise UsageError(f'--gpu "{name}" and --vram {vram:g} contradict', hint=known) from None


def _known(rows: int | None, price: float | None) -> Known:
    from ethtune.services.calibration import read_records, store
    from ethtune.services.estimation import Known
    from ethtune.services.trainingdata import rows_amount

    amount = None if rows is None else rows_amount(rows)
    return Known(amount, read_records(store()), price)


def _calibrated(config: Config, target: Target | None, known: Known) -> Known:
    """``known`` with what three steps here took. Prints how they go on stderr."""
    if target is not None:
        raise UsageError("--calibrate runs on this machine: it takes no --gpu or --vram")
    import dataclasses

    from ethtune.services.calibrating import calibrate
    from ethtune.services.calibration import read_records, store
    from ethtune.ui.progress import ProgressBar

    with ProgressBar() as bar:
        calibrate(config, command=command_line(), events=bar.emit)
    return dataclasses.replace(known, records=read_records(store()))


def _show_one(config: Config, target: Target | None, known: Known, *, as_json: bool) -> None:
    from ethtune.device.target import local_target
    from ethtune.services.estimation import estimate
    from ethtune.ui.estimate import show_estimate
    from ethtune.ui.terminal import show_json

    known = _with_rows(config, known)
    report = estimate(config, target=target or local_target(), known=known)
    if as_json:
        show_json(report.as_dict())
    else:
        show_estimate(report)
    if report.answer == "does not fit":
        raise typer.Exit(1)


def _with_rows(config: Config, known: Known) -> Known:
    """``known`` with the rows of the config's own dataset, where no number of them was given."""
    from ethtune.services.whatfits import known_for

    dataset = config.data.dataset if known.amount is None else None
    return known_for(config, Path(dataset) if dataset else None, known)


def _show_trace(config: Config, target: Target | None, known: Known, *, as_json: bool) -> None:
    from ethtune.device.target import local_target
    from ethtune.services.tracedstep import trace
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import show_json
    from ethtune.ui.tracedstep import show_trace

    with ProgressBar() as bar:
        report = trace(
            config,
            target=target or local_target(),
            known=_with_rows(config, known),
            events=bar.emit,
        )
    if as_json:
        show_json(report.as_dict())
    else:
        show_trace(report)
    if report.answer == "does not fit":
        raise typer.Exit(1)


def _show_largest(config: Config, target: Target | None, known: Known, *, as_json: bool) -> None:
    import dataclasses

    from ethtune.device.target import local_target
    from ethtune.services.whatfits import largest
    from ethtune.ui.estimatetables import show_largest
    from ethtune.ui.terminal import show_json

    target = target or local_target()
    found = largest(config, target=target, known=known)
    if as_json:
        show_json({"target": target.name, "largest": [dataclasses.asdict(item) for item in found]})
    else:
        show_largest(found, target.name)


def _show_profiles(
    target: Target | None, dataset: Path | None, known: Known, *, as_json: bool
) -> None:
    from ethtune.services.whatfits import estimate_profiles
    from ethtune.ui.estimatetables import show_profiles
    from ethtune.ui.terminal import show_json

    reports = estimate_profiles(target=target, dataset=dataset, known=known)
    if as_json:
        show_json({"profiles": [report.as_dict() for report in reports]})
    else:
        show_profiles(reports)


def _show_comparison(
    gpus: list[str] | None, vram: float | None, dataset: Path | None, known: Known, *, as_json: bool
) -> None:
    from ethtune.services.whatfits import COMPARED_GPUS, compare
    from ethtune.ui.estimatetables import show_comparison
    from ethtune.ui.terminal import show_json

    if vram is not None:
        raise UsageError("--compare is of cards by name: it takes --gpu, not --vram")
    found = compare(gpus or COMPARED_GPUS, dataset=dataset, known=known)
    if as_json:
        show_json(found.as_dict())
    else:
        show_comparison(found)
