"""A file, folder or pattern in, records out: finds the exports and reads each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ethtune.chain.sources.fields import transaction_from
from ethtune.chain.sources.files import read_rows
from ethtune.chain.sources.join import joined_transactions
from ethtune.chain.sources.kinds import Export, identify
from ethtune.chain.sources.labels import labelled_from
from ethtune.chain.sources.names import COOKBOOK, JSON_RPC, PLAIN
from ethtune.chain.sources.records import Numbered, Rejected, SourceRecord
from ethtune.chain.sources.refusals import FORMATS_HINT
from ethtune.chain.sources.responses import LISTING_REASON, paired
from ethtune.chain.sources.streams import files_of
from ethtune.core.errors import DataError
from ethtune.core.transaction import InvalidTransaction, Transaction

_WITH_TRANSACTIONS = ("transactions", "labelled", "pairs", "responses")


def read_transactions(path: Path) -> Iterator[SourceRecord]:
    """Stream every transaction of a file, of a folder and below it, or of what a pattern matches.

    Raises DataError at once, before the first record, when there is nothing to read.
    """
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


def _records(exports: Iterable[Export]) -> Iterator[SourceRecord]:
    split: list[Export] = []
    for export in exports:
        if export.is_split or export.is_beside:
            split.append(export)
        elif export.kind in _READERS:
            yield from _READERS[export.kind](export)
        elif export.kind == "listing":
            reason = f"file not used: {LISTING_REASON}"
            yield Rejected.of(str(export.path), reason, loses_more=True)
        elif refusal := export.refusal:
            reason = f"file skipped: {refusal.reason}"
            yield Rejected.of(str(export.path), reason, loses_more=refusal.is_export)
    if split:
        yield from joined_transactions(split)


def _whole_transactions(export: Export) -> Iterator[Transaction | Rejected]:
    """Rows that carry their own receipt and logs."""
    names = export.fields
    for row in _rows(export):
        if isinstance(row, Rejected):
            yield row
            continue
        if names.hash not in row.fields:
            names = COOKBOOK if "tx_hash" in row.fields else PLAIN
        try:
            yield transaction_from(row.fields, names)
        except InvalidTransaction as error:
            yield Rejected.of(row.where, error, row.fields)


def _pairs(export: Export) -> Iterator[Transaction | Rejected]:
    """Rows of a transaction and its receipt, as nodes answer them."""
    for row in _rows(export):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            yield transaction_from(paired(row.fields), JSON_RPC)
        except InvalidTransaction as error:
            yield Rejected.of(row.where, error, row.fields)


def _labelled(export: Export) -> Iterator[SourceRecord]:
    for row in _rows(export):
        yield row if isinstance(row, Rejected) else labelled_from(row)


def _rows(export: Export) -> Iterator[Numbered | Rejected]:
    assert export.syntax
    return read_rows(export.path, export.syntax)


_READERS: Mapping[str | None, Callable[[Export], Iterator[SourceRecord]]] = {
    "transactions": _whole_transactions, "pairs": _pairs, "labelled": _labelled,
}  # fmt: skip
