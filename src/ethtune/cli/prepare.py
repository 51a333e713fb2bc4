"""ethtune prepare: exports to a dataset folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag

_INPUT, _BALANCE, _OUTPUT = "Input", "Balance", "Output"


class ViewName(str, Enum):
    """What the model gets to see."""

    receipt = "receipt"
    signing = "signing"


class OrderName(str, Enum):
    """How rows are laid out before they are split."""

    time = "time"
    random = "random"


def prepare(  # one parameter a flag
    sources: Annotated[
        list[Path],
        typer.Option(
            "--input",
            "-i",
            help="Export file, folder or pattern; repeatable.",
            rich_help_panel=_INPUT,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Dataset folder to create.", rich_help_panel=_OUTPUT),
    ],
    view: Annotated[
        ViewName,
        typer.Option(
            help="With status and logs, or as a wallet sees it before signing.",
            rich_help_panel=_INPUT,
        ),
    ] = ViewName.receipt,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Your own labels, JSON lines of hash and intent; they win over rules.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    tokens: Annotated[
        list[Path] | None,
        typer.Option(
            help="Token list (CSV or JSONL) beside the built-in one; repeatable.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Read only the first so many records.", rich_help_panel=_INPUT),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that decode; default: one a core, at most 8.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    max_contract_share: Annotated[
        float,
        typer.Option(
            help="Largest share of an action's rows that call one contract.",
            rich_help_panel=_BALANCE,
        ),
    ] = 0.3,
    max_alike: Annotated[
        int,
        typer.Option(
            min=1, help="Keep at most so many near-identical rows.", rich_help_panel=_BALANCE
        ),
    ] = 20,
    max_per_class: Annotated[
        int | None,
        typer.Option(
            min=1, help="Keep at most so many rows of one action.", rich_help_panel=_BALANCE
        ),
    ] = None,
    min_per_class: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Leave out actions with fewer rows; with --augment fill them up.",
            rich_help_panel=_BALANCE,
        ),
    ] = None,
    augment: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="Make so many augmented rows of a training row, 0 to 20.",
            rich_help_panel=_BALANCE,
        ),
    ] = None,
    split: Annotated[
        tuple[float, float, float],
        typer.Option(
            metavar="TRAIN VALIDATION TEST", help="Shares of the rows.", rich_help_panel=_OUTPUT
        ),
    ] = (0.7, 0.15, 0.15),
    split_by: Annotated[
        OrderName,
        typer.Option(
            help="Later blocks for testing, or a seeded shuffle.", rich_help_panel=_OUTPUT
        ),
    ] = OrderName.time,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same bytes.", rich_help_panel=_OUTPUT)
    ] = 42,
    base_model: Annotated[
        str | None,
        typer.Option(
            help="Count lengths in this model's tokens for the dataset card.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a dataset in the output folder.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Turn exports of transactions into train, validation and test rows.

    ethtune prepare --input export/ --output data
    """
    from ethtune.services.preparation import prepare as write_dataset
    from ethtune.services.prepareoptions import PrepareOptions
    from ethtune.services.workers import available_workers
    from ethtune.ui.preparation import next_step, render
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show, show_json

    options = PrepareOptions(
        view=view.value,
        split=split,
        order=split_by.value,
        seed=seed,
        limit=limit,
        max_contract_share=max_contract_share,
        max_alike=max_alike,
        max_per_class=max_per_class,
        min_per_class=min_per_class,
        augment=augment,
        labels=labels,
        tokens=tuple(tokens or ()),
        base_model=base_model,
        workers=workers or available_workers(),
        overwrite=overwrite,
    )
    with ProgressBar() as bar:
        report = write_dataset(sources, output, options=options, events=bar.emit)
    if as_json:
        show_json(report.as_dict())
    else:
        show(*render(report))
        say(next_step(report))
    if not report.is_usable:
        raise typer.Exit(1)
