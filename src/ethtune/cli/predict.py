"""ethtune predict: what transactions mean, one JSON line each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import RpcUrl
from ethtune.scoring.decoding import DEFAULT_BATCH_SIZE, DEFAULT_MAX_NEW_TOKENS


def predict(  # one parameter a flag
    run: Annotated[Path, typer.Argument(help="Folder of the run, or one of its checkpoints.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", help="Export, folder of exports, prepared rows, or - for stdin."
        ),
    ] = None,
    hashes: Annotated[
        list[str] | None,
        typer.Option("--hash", help="Transaction to get from a node instead; repeatable."),
    ] = None,
    rpc_url: RpcUrl = None,
    tokens: Annotated[
        list[Path] | None,
        typer.Option(help="Token list (CSV or JSONL) beside the built-in one; repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Rows generated at a time.")
    ] = DEFAULT_BATCH_SIZE,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="An answer longer than this is cut off.")
    ] = DEFAULT_MAX_NEW_TOKENS,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines even on a terminal, which else gets cards.")
    ] = False,
) -> None:
    """Read transactions with a run's model: JSON lines on stdout, the count on stderr.

    ethtune predict runs/demo --input transactions.jsonl > intents.jsonl
    """
    from ethtune.chain.rpc import Endpoint
    from ethtune.core.errors import UsageError
    from ethtune.services.prediction import PredictionRequest
    from ethtune.services.prediction import predict as answer
    from ethtune.ui.prediction import card, write_line
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show

    if (source is None) == (not hashes):
        raise UsageError("give --input or --hash, one of the two")
    request = PredictionRequest(
        run=run,
        source=None if source in (None, "-") else Path(source),
        hashes=tuple(hashes or ()),
        endpoint=Endpoint.of(rpc_url) if hashes else None,
        tokens=tuple(tokens or ()),
        limit=limit,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
    shows_cards = sys.stdout.isatty() and not as_json
    num_rows = num_valid = num_ungrounded = 0
    with ProgressBar(is_drawn=not shows_cards) as bar:
        for predicted in answer(request, events=bar.emit):
            record = predicted.as_dict()
            if shows_cards:
                show(card(record))
            else:
                write_line(record)
            num_rows += 1
            num_valid += predicted.is_valid
            num_ungrounded += bool(predicted.ungrounded)
    say(
        f"{num_rows:,} transactions, {num_valid:,} answers are intents, "
        f"{num_ungrounded:,} of them name something that is not in the transaction"
    )
    if num_valid == 0:
        raise typer.Exit(1)
