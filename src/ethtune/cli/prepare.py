"""ethtune prepare: exports to a dataset folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag


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
        typer.Option("--input", "-i", help="Export file or folder of exports; repeatable."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Dataset folder to create.")],
    view: Annotated[
        ViewName, typer.Option(help="With status and logs, or as a wallet sees it before signing.")
    ] = ViewName.receipt,
    labels: Annotated[
        Path | None,
        typer.Option(help="Your own labels, JSON lines of hash and intent; they win over rules."),
    ] = None,
    tokens: Annotated[
        list[Path] | None,
        typer.Option(help="Token list (CSV or JSONL) beside the built-in one; repeatable."),
    ] = None,
    split: Annotated[
        tuple[float, float, float],
        typer.Option(metavar="TRAIN VALIDATION TEST", help="Shares of the rows."),
    ] = (0.7, 0.15, 0.15),
    split_by: Annotated[
        OrderName, typer.Option(help="Later blocks for testing, or a seeded shuffle.")
    ] = OrderName.time,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 42,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only the first so many records.")
    ] = None,
    max_per_class: Annotated[
        int | None, typer.Option(min=1, help="Keep at most so many rows of one action.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a dataset in the output folder.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Turn exports of transactions into train, validation and test rows.

    ethtune prepare --input export/ --output data
    """
    from ethtune.services.preparation import PrepareOptions
    from ethtune.services.preparation import prepare as write_dataset
    from ethtune.ui.preparation import next_step, render
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show, show_json

    options = PrepareOptions(
        view=view.value,
        split=split,
        order=split_by.value,
        seed=seed,
        limit=limit,
        max_per_class=max_per_class,
        labels=labels,
        tokens=tuple(tokens or ()),
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
