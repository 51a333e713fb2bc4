"""A few hashes in, a passing file of their rows out: for commands that keep nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ethtune.chain.rpc import Endpoint, Failure, Fetched, Node, fetch_transactions
from ethtune.chain.rpc.hashes import require_hashes
from ethtune.core.errors import DataError
from ethtune.core.events import Emit, Message


@contextmanager
def fetched_file(endpoint: Endpoint, hashes: Sequence[str], events: Emit) -> Iterator[Path]:
    """Rows in the order of their hashes; what is not to be had is told as a warning.

    Raises DataError when that is all of them.
    """
    asked = require_hashes(hashes)
    with Node(endpoint, events=events) as node:
        items = [item for items in fetch_transactions(node, asked) for item in items]
    for item in items:
        if isinstance(item, Failure):
            events(Message("warning", f"{item.name}: {item.reason}"))
    rows = {item.hash: item.line() for item in items if isinstance(item, Fetched)}
    if not rows:
        raise DataError(f"{endpoint.host} has none of the {len(asked)} transactions asked for")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fetched.jsonl")
        path.write_bytes(b"".join(rows[hash] for hash in asked if hash in rows))
        yield path
