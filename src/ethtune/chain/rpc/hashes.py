"""A list of transactions in, their hashes out: one a line, or a column of CSV or JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from ethtune.chain.rpc.records import HASH
from ethtune.chain.sources.files import first_rows, read_rows, syntax_of
from ethtune.chain.sources.records import Numbered, Rejected
from ethtune.chain.sources.streams import numbered_lines, open_text
from ethtune.core.errors import DataError, UsageError

_COLUMNS = ("hash", "tx_hash", "txhash", "transaction_hash", "transaction hash", "transactionhash")


def require_hashes(hashes: Iterable[str]) -> list[str]:
    """In lower case, each once. Raises UsageError for what is none."""
    lowered = list(dict.fromkeys(map(str.lower, hashes)))
    for hash in lowered:
        if not HASH(hash):
            raise UsageError(f"{hash[:80]!r} is no transaction hash: 0x and 64 hex digits")
    return lowered


def read_hashes(path: Path) -> Iterator[str | Rejected]:
    """Hashes in lower case, in order; what is none comes with its place.

    Raises DataError when the file is missing or cannot be decompressed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    syntax = syntax_of(path)
    if syntax is None:
        return
    first = first_rows(path, syntax, 1)
    names = first[0].fields if first and isinstance(first[0], Numbered) else {}
    if syntax == "csv" and _column(names) is None:
        yield from _lines(path)
        return
    for row in read_rows(path, syntax):
        if isinstance(row, Rejected):
            yield row
        elif (column := _column(row.fields)) is None:
            yield Rejected.of(row.where, "no column or key of hashes", list(row.fields))
        else:
            yield _checked(row.where, row.fields[column])


def _column(names: Iterable[str]) -> str | None:
    """The name, as the file spells it, under which the hash stands."""
    spelled = {name.strip().lower(): name for name in names}
    return next((spelled[column] for column in _COLUMNS if column in spelled), None)


def _lines(path: Path) -> Iterator[str | Rejected]:
    """The first field of each line; empty lines and those that begin with # say nothing."""
    with open_text(path) as stream:
        for number, line in numbered_lines(stream, path):
            if isinstance(line, Rejected):
                yield line
            elif line.strip() and not line.lstrip().startswith("#"):
                yield _checked(f"{path}:{number}", next(csv.reader([line.strip()]))[0])


def _checked(where: str, value: object) -> str | Rejected:
    hash = str(value).strip().lower()
    if HASH(hash):
        return hash
    return Rejected.of(where, f"{str(value)[:70]!r} is no hash: 0x and 64 hex digits", value)
