"""A file, folder or pattern in, records out: finds the exports and reads each in its own way.

    path ──unread_transactions──▶ Unread ──record_of──▶ Transaction | Labelled | Rejected

The second step, by far the longer one, takes one row at a time: other processes can do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ethtune.chain.sources.fields import transaction_from
from ethtune.chain.sources.files import unparsed_rows
from ethtune.chain.sources.join import joined_transactions
from ethtune.chain.sources.jsonrows import parsed
from ethtune.chain.sources.kinds import Export, Kind, identify
from ethtune.chain.sources.labels import labelled_from
from ethtune.chain.sources.names import COOKBOOK, JSON_RPC, PLAIN
from ethtune.chain.sources.records import Line, Numbered, Rejected, SourceRecord
from ethtune.chain.sources.refusals import FORMATS_HINT
from ethtune.chain.sources.responses import LISTING_REASON, paired
from ethtune.chain.sources.streams import files_of
from ethtune.core.errors import DataError
from ethtune.core.transaction import InvalidTransaction

_WITH_TRANSACTIONS = ("transactions", "labelled", "pairs", "responses")


class Unread(NamedTuple):
    """A line of JSON that tells of a transaction; cheap to send to another process."""

    where: str
    text: str
    kind: Kind


def read_transactions(path: Path) -> Iterator[SourceRecord]:
    """Stream every transaction of a file, of a folder and below it, or of what a pattern matches.

    Raises DataError at once, before the first record, when there is nothing to read.
    """
    return map(record_of, unread_transactions(path))


def unread_transactions(path: Path) -> Iterator[SourceRecord | Unread]:
    """The same, with lines of JSON as they came where a line is all of a transaction."""
    exports = [identify(file) for file in files_of(path)]
    if not any(export.kind in _WITH_TRANSACTIONS for export in exports):
        raise _nothing_to_read(path, exports)
    return _records(exports)


def token_files(path: Path) -> tuple[Path, ...]:
    """The files in a folder, or that a pattern matches, which list address, symbol, decimals."""
    if path.is_file():
        return ()
    return tuple(file for file in files_of(path) if identify(file).kind == "tokens")


def _nothing_to_read(path: Path, exports: list[Export]) -> DataError:
    if not exports:
        return DataError(f"{path}: the folder holds no files", hint=FORMATS_HINT)
    refused = sorted(exports, key=_usefulness)[0]
    if refused.refusal:
        return DataError(f"{refused.path}: {refused.refusal.reason}", hint=refused.refusal.hint)
    if refused.kind == "listing":
        return DataError(f"{refused.path}: {LISTING_REASON}", hint=FORMATS_HINT)
    return DataError(
        f"{path}: {refused.path.name} holds {refused.kind}, and no transactions are beside it",
        hint="give the folder that holds the transactions with their receipts and logs",
    )


def _usefulness(export: Export) -> int:
    """The most telling first: a faulty export, rows of no transaction, other files, empty ones."""
    if export.refusal is None:
        return 2 if export.kind in ("tokens", "companion") else 1
    return 0 if export.refusal.is_export else 3 if export.syntax else 4


def record_of(item: SourceRecord | Unread) -> SourceRecord:
    """What the line tells, or why it cannot be used."""
    if isinstance(item, Unread):
        return _record(parsed(item.where, item.text), item.kind)
    return item


def _records(exports: Iterable[Export]) -> Iterator[SourceRecord | Unread]:
    split: list[Export] = []
    for export in exports:
        if export.is_split or export.is_beside:
            split.append(export)
        elif export.kind in _READERS:
            yield from _unread(export)
        elif export.kind == "listing":
            reason = f"file not used: {LISTING_REASON}"
            yield Rejected.of(str(export.path), reason, loses_more=True)
        elif refusal := export.refusal:
            reason = f"file skipped: {refusal.reason}"
            yield Rejected.of(str(export.path), reason, loses_more=refusal.is_export)
    if split:
        yield from joined_transactions(split)


def _unread(export: Export) -> Iterator[SourceRecord | Unread]:
    assert export.syntax
    assert export.kind
    for row in unparsed_rows(export.path, export.syntax):
        yield Unread(*row, export.kind) if isinstance(row, Line) else _record(row, export.kind)


def _record(row: Numbered | Rejected, kind: Kind) -> SourceRecord:
    if isinstance(row, Rejected):
        return row
    try:
        return _READERS[kind](row)
    except InvalidTransaction as error:
        return Rejected.of(row.where, error, row.fields)


def _whole(row: Numbered) -> SourceRecord:
    """A row that carries its own receipt and logs."""
    return transaction_from(row.fields, COOKBOOK if COOKBOOK.hash in row.fields else PLAIN)


def _pair(row: Numbered) -> SourceRecord:
    """A transaction and its receipt, as nodes answer them."""
    return transaction_from(paired(row.fields), JSON_RPC)


_READERS: Mapping[Kind | None, Callable[[Numbered], SourceRecord]] = {
    "transactions": _whole, "pairs": _pair, "labelled": labelled_from,
}  # fmt: skip
