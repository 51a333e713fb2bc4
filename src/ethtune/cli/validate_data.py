"""ethtune validate-data: everything that is wrong with a dataset, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag


def validate_data(
    path: Annotated[
        Path | None, typer.Argument(help="Dataset folder, or one JSONL file.", show_default=False)
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", help="Count tokens with this model's tokenizer."),
    ] = None,
    max_seq_length: Annotated[
        int, typer.Option(min=8, help="Tokens that a row may have, with --base-model.")
    ] = 2048,
    any_task: Annotated[
        bool, typer.Option("--any-task", help="Outputs need not be intents.")
    ] = False,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", help="Write a repaired copy without the faulty rows here."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings as well.")] = False,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write the findings as SARIF 2.1.0 here.")
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", help="Show the page of a finding, E203 say.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a dataset before training on it; exit 1 when there is an error.

    ethtune validate-data data
    """
    from ethtune.core.errors import UsageError
    from ethtune.services.validation import open_tokenizer
    from ethtune.services.validation import validate_data as check
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show
    from ethtune.ui.validation import next_step, render, rule_page, write_json

    if explain is not None:
        show(rule_page(explain))
        return
    if path is None:
        raise UsageError("no dataset is named", hint="ethtune validate-data FOLDER")
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
    if sarif is not None:
        from ethtune.services.sarif import write_sarif

        write_sarif(report, sarif)
    if as_json:
        write_json(report)
    else:
        show(render(report))
        say(next_step(report))
    if report.num_errors or (strict and report.findings):
        raise typer.Exit(1)
