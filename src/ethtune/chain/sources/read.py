"""A file or folder in, records out: finds the exports in it and reads each in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ethtune.chain.sources.etl import joined_transactions
from ethtune.chain.sources.fields import field_names, transaction_from
from ethtune.chain.sources.files import read_rows
from ethtune.chain.sources.kinds import FORMATS, Export, identify
from ethtune.chain.sources.labels import labelled_from
from ethtune.chain.sources.records import Rejected, SourceRecord
from ethtune.core.errors import DataError
from ethtune.core.transaction import InvalidTransaction, Transaction

_FORMATS_HINT = f"ethtune reads {FORMATS}"
_CALLDATA_HINT = (
    "an explorer's CSV download has no calldata; export with "
    "`ethereumetl export_blocks_and_transactions` and `export_receipts_and_logs`, or fetch the "
    "transactions by hash from a node"
)


def read_transactions(path: Path) -> Iterator[SourceRecord]:
    """Stream every transaction of a file, or of all exports in a folder and below it.

    Raises DataError at once, before the first record, when there is nothing to read.
    """
    exports = _exports(path)
    if not any(export.kind in ("transactions", "labelled") for export in exports):
        raise _nothing_to_read(path, exports)
    return _records(exports)


def token_files(path: Path) -> tuple[Path, ...]:
    """The files in a folder that list tokens: address, symbol, decimals."""
    if not path.is_dir():
        return ()
    return tuple(export.path for export in _exports(path) if export.kind == "tokens")


def _exports(path: Path) -> list[Export]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return [identify(file) for file in files if not file.name.startswith(".")]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    return [identify(path)]


def _nothing_to_read(path: Path, exports: list[Export]) -> DataError:
    without_calldata = next((export for export in exports if export.lacks_calldata), None)
    if without_calldata:
        return DataError(
            f"{without_calldata.path}: transactions without calldata: no column or key "
            f'"input" ({without_calldata.found})',
            hint=_CALLDATA_HINT,
        )
    if not exports:
        return DataError(f"{path}: the folder holds no files", hint=_FORMATS_HINT)
    first = next((export for export in exports if export.syntax), exports[0])
    if first.syntax is None:
        return DataError(f"{first.path}: the file is empty", hint=_FORMATS_HINT)
    if first.kind:
        return DataError(
            f"{path}: {first.path.name} holds {first.kind}, and no transactions are beside it",
            hint="give the folder that holds transactions.csv with receipts.csv and logs.csv",
        )
    return DataError(f"{first.path}: not an export we know: {first.found}", hint=_FORMATS_HINT)


def _records(exports: Iterable[Export]) -> Iterator[SourceRecord]:
    etl: list[Export] = []
    for export in exports:
        if export.is_etl or export.kind in ("receipts", "logs"):
            etl.append(export)
        elif export.kind == "transactions":
            yield from _whole_transactions(export)
        elif export.kind == "labelled":
            yield from _labelled(export)
        elif export.kind is None:
            yield Rejected.of(str(export.path), f"file skipped: {export.found}")
    if any(export.is_etl for export in etl):
        yield from joined_transactions(etl)


def _whole_transactions(export: Export) -> Iterator[Transaction | Rejected]:
    """Rows that carry their own receipt and logs."""
    assert export.syntax
    names, known_as = field_names(dict.fromkeys(export.names)), "tx_hash" in export.names
    for row in read_rows(export.path, export.syntax):
        if isinstance(row, Rejected):
            yield row
            continue
        if ("tx_hash" in row.fields) is not known_as:
            names, known_as = field_names(row.fields), not known_as
        try:
            yield transaction_from(row.fields, names)
        except InvalidTransaction as error:
            yield Rejected.of(row.where, error, row.fields)


def _labelled(export: Export) -> Iterator[SourceRecord]:
    assert export.syntax
    for row in read_rows(export.path, export.syntax):
        yield row if isinstance(row, Rejected) else labelled_from(row)
