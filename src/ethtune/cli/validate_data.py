"""ethtune validate-data: everything that is wrong with a dataset, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag


def validate_data(
    path: Annotated[Path, typer.Argument(help="Dataset folder, or one JSONL file.")],
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", help="Check lengths with this model's tokenizer."),
    ] = None,
    max_seq_length: Annotated[
        int, typer.Option(min=8, help="Tokens that a row may have, with --base-model.")
    ] = 2048,
    any_task: Annotated[
        bool, typer.Option("--any-task", help="Outputs need not be intents.")
    ] = False,
    fix: Annotated[
        Path | None, typer.Option("--fix", help="Write a copy without the faulty rows here.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a dataset before training on it; exit 1 when there is an error.

    ethtune validate-data data
    """
    from ethtune.services.validation import open_tokenizer
    from ethtune.services.validation import validate_data as check
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show, show_json
    from ethtune.ui.validation import next_step, render

    with ProgressBar() as bar:
        tokenizer = open_tokenizer(base_model, events=bar.emit) if base_model else None
        report = check(
            path,
            tokenizer=tokenizer,
            max_seq_length=max_seq_length,
            any_task=any_task,
            fix=fix,
            events=bar.emit,
        )
    if as_json:
        show_json(report.as_dict())
    else:
        show(*render(report))
        say(next_step(report))
    if report.has_errors:
        raise typer.Exit(1)
