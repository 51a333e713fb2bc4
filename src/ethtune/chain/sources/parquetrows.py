"""A Parquet file in, numbered rows of plain Python values out, a batch at a time.

Bytes stay bytes, times become seconds since 1970, whole decimals integers. A damaged row group
costs its own rows and is named with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethtune.chain.sources.records import Numbered, Rejected
from ethtune.core.errors import DataError

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch
    from pyarrow.parquet import ParquetFile

MAGIC = b"PAR1"

_ROWS_PER_BATCH = 1024


def parquet_names(path: Path) -> list[str]:
    """Column names. Raises DataError for a file that cannot be opened."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def parquet_rows(path: Path) -> Iterator[Numbered | Rejected]:
    """Every row in its order, a ``Rejected`` in the place of each damaged row group."""
    with _opened(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            yield from _group_rows(file, group, start, path)
            start += file.metadata.row_group(group).num_rows


def _opened(path: Path) -> ParquetFile:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(str(path), page_checksum_verification=True)
    except (ArrowException, OSError, ValueError) as error:  # the last: names that are no UTF-8
        raise DataError(
            f"{path}: not a readable Parquet file ({_first_line(error)})",
            hint="the file is damaged; download or export it again",
        ) from None


def _group_rows(
    file: ParquetFile, group: int, start: int, path: Path
) -> Iterator[Numbered | Rejected]:
    from pyarrow import ArrowException

    end = start + file.metadata.row_group(group).num_rows
    # no threads: a process that reads may fork, and a fork with threads can hang
    batches = file.iter_batches(_ROWS_PER_BATCH, row_groups=[group], use_threads=False)
    number = start
    try:
        for batch in batches:
            for fields in _rows(batch):
                yield Numbered(f"{path}[{number}]", fields)
                number += 1
    except (ArrowException, OSError, ValueError) as error:
        reason = f"rows {number} to {end - 1} are damaged and lost ({_first_line(error)})"
        yield Rejected.of(f"{path}[{number}]", reason, loses_more=True)


def _rows(batch: RecordBatch) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: Array) -> list[Any]:
    """Python values of a column."""
    import pyarrow as arrow

    kind = column.type
    if arrow.types.is_timestamp(kind):
        seconds = column.cast(arrow.timestamp("s", kind.tz), safe=False)
        values: list[Any] = seconds.cast(arrow.int64()).to_pylist()
        return values
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        raw = column.cast(arrow.large_binary()).to_pylist()
        return [None if item is None else item.decode("utf-8", "replace") for item in raw]
    if arrow.types.is_decimal(kind):
        return [int(item) if item is not None and item == int(item) else item for item in values]
    if arrow.types.is_floating(kind):  # a missing number, after a detour through pandas
        return [None if item != item else item for item in values]  # noqa: PLR0124
    return values


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
