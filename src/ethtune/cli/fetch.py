"""ethtune fetch: transactions from a node, by hash or by block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag, RpcUrl


def fetch(  # one parameter a flag
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of JSON lines; rows in it are kept.")
    ],
    hashes: Annotated[
        list[str] | None, typer.Argument(help="Transaction hashes.", show_default=False)
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", "-i", help="Hashes, one a line or in a column of CSV or JSONL; - for stdin."
        ),
    ] = None,
    blocks: Annotated[
        str | None, typer.Option(help="All of these blocks: 17173049-17173060, or latest-10.")
    ] = None,
    rpc_url: RpcUrl = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1000, help="Calls in one request; fewer where refused.")
    ] = 50,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Requests under way at a time.")] = 4,
    rate_limit: Annotated[
        float | None,
        typer.Option(min=0.1, help="Calls a second at most; each call of a batch counts."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Get transactions and receipts from an Ethereum node, as prepare reads them.

    ETHTUNE_RPC_URL=https://… ethtune fetch --input hashes.txt --output transactions.jsonl
    """
    from ethtune.chain.rpc import Endpoint, NodeSettings
    from ethtune.services.fetching import FetchRequest
    from ethtune.services.fetching import fetch as fetch_to_file
    from ethtune.ui.fetching import notes, render
    from ethtune.ui.progress import ProgressBar
    from ethtune.ui.terminal import say, show, show_json

    request = FetchRequest(
        endpoint=Endpoint.of(rpc_url),
        output=output,
        hashes=tuple(hashes or ()),
        source=source,
        blocks=blocks,
        settings=NodeSettings(
            batch_size=batch_size, num_threads=threads, calls_per_second=rate_limit
        ),
    )
    with ProgressBar() as bar:
        report = fetch_to_file(request, events=bar.emit)
    if as_json:
        show_json(report.as_dict())
    else:
        show(*render(report))
        for note in notes(report):
            say(note)
    if not report.has_rows and report.failures:
        raise typer.Exit(1)
