"""ethtune evaluate: how well a run's model reads transactions it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ethtune.cli.options import JsonFlag
from ethtune.scoring.decoding import DEFAULT_BATCH_SIZE, DEFAULT_MAX_NEW_TOKENS


def evaluate(  # one parameter a flag
    run: Annotated[Path, typer.Argument(help="Folder of the run, or one of its checkpoints.")],
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Rows to answer.")
    ] = "test",
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", "-d", help="Prepared folder; default: the run's own."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many rows, evenly over the split.")
    ] = None,
    base: Annotated[
        bool, typer.Option("--base", help="Also evaluate the untouched base model.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Rows generated at a time.")
    ] = DEFAULT_BATCH_SIZE,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="An answer longer than this counts as not finished.")
    ] = DEFAULT_MAX_NEW_TOKENS,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the report; default: RUN/evaluation/SPLIT."),
    ] = None,
    no_save: Annotated[bool, typer.Option("--no-save", help="Write no report.")] = False,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Exit 1 when the exact match, in percent, is below."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare a run's answers with the references, field by field.

    Generation is greedy; a row counts as an exact match when every field of the intent is right.
    """
    from ethtune.core.errors import UsageError
    from ethtune.services import evaluation
    from ethtune.ui.evaluation import render
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show, show_json

    if no_save and output is not None:
        raise UsageError("--no-save and --output contradict each other")
    request = evaluation.EvaluationRequest(
        run=run,
        split=split,
        dataset=dataset,
        limit=limit,
        compare_base=base,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        output=output,
        save=not no_save,
    )
    with ProgressBar() as bar:
        report = evaluation.evaluate(request, events=bar.emit)
    if as_json:
        show_json(report.as_dict())
    else:
        for part in render(report):
            show(part)
    exact = 100 * (report.tuned.value("exact_match") or 0.0)
    if fail_under is not None and exact < fail_under:
        say(f"exact match {exact:.1f} % is below --fail-under {fail_under:g}", style="red")
        raise typer.Exit(1)
