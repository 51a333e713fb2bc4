"""ethtune sample-data: something to prepare and train on before one has data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag


def sample_data(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to create; it must not hold anything.")
    ],
    transactions: Annotated[int, typer.Option(min=1, help="How many to make up.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    as_json: JsonFlag = False,
) -> None:
    """Write made-up mainnet-like transactions as ethereum-etl CSV files.

    Contracts, calls and events are those of mainnet; accounts and amounts are invented.
    """
    from ethtune.services.sampling import make_sample_data
    from ethtune.ui.sampling import render
    from ethtune.ui.terminal import say, show, show_json

    report = make_sample_data(output, transactions=transactions, seed=seed)
    if as_json:
        show_json(report.as_dict())
    else:
        show(*render(report))
        say(f"next: ethtune prepare --input {output} --output data")
