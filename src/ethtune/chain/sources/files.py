"""Bytes of an export in, numbered rows out: CSV, JSON in three layouts, Parquet.

The syntax is told from the content. In text one physical line is one row, so a stray quote or a
torn line costs that row alone: none of the known exports has line breaks inside a field. Damage
that hides the rest of a file (a truncated gzip) ends it with one ``Rejected``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

from ethtune.chain.sources.jsonrows import json_elements, json_lines, parsed, spans_lines
from ethtune.chain.sources.parquetrows import MAGIC as PARQUET_MAGIC
from ethtune.chain.sources.parquetrows import parquet_names, parquet_rows
from ethtune.chain.sources.records import Line, Numbered, Rejected
from ethtune.chain.sources.streams import first_bytes, numbered_lines, open_text

Syntax = Literal["csv", "json lines", "json array", "json documents", "parquet"]

csv.field_size_limit(2**31 - 1)  # calldata and log data exceed the default of 128 KiB


def syntax_of(path: Path) -> Syntax | None:
    """Told from the first character that is no white space; None for an empty file.

    Raises DataError when the file cannot be opened or decompressed.
    """
    if first_bytes(path) == PARQUET_MAGIC:
        return "parquet"
    start = _first_character(path)
    if start == "{":
        with open_text(path) as stream:
            return "json documents" if spans_lines(stream, path) else "json lines"
    if start == "[":
        return "json array"
    return "csv" if start else None


def _first_character(path: Path) -> str:
    with open_text(path) as stream:
        for _, line in numbered_lines(stream, path):
            if isinstance(line, str) and (start := line.lstrip("\x00 \t\r\n")[:1]):
                return start
    return ""


def read_rows(path: Path, syntax: Syntax) -> Iterator[Numbered | Rejected]:
    """Every row of a file in its order, broken ones as ``Rejected``."""
    for row in unparsed_rows(path, syntax):
        yield parsed(*row) if isinstance(row, Line) else row


def unparsed_rows(path: Path, syntax: Syntax) -> Iterator[Line | Numbered | Rejected]:
    """The same with lines of JSON as they stand; ``parsed`` makes rows of them."""
    if syntax == "parquet":
        yield from parquet_rows(path)
        return
    with open_text(path) as stream:
        if syntax == "csv":
            yield from _csv_rows(stream, path)
        elif syntax == "json lines":
            yield from json_lines(stream, path)
        else:
            yield from json_elements(stream, path, is_array=syntax == "json array")


def first_rows(path: Path, syntax: Syntax, count: int) -> list[Numbered | Rejected]:
    """The beginning of a file; of CSV and Parquet only the names, with no values."""
    if syntax == "parquet":
        return [Numbered(str(path), dict.fromkeys(parquet_names(path)))]
    if syntax == "csv":
        with open_text(path) as stream:
            line = next((line for _, line in numbered_lines(stream, path)), "")
        return [Numbered(str(path), dict.fromkeys(_header(line)))]
    return list(islice(read_rows(path, syntax), count))


def _header(line: str | Rejected) -> list[str]:
    if isinstance(line, Rejected):
        return []
    try:
        return [name.strip() for name in next(csv.reader([line.rstrip("\n")]), [])]
    except csv.Error:  # up to Python 3.10 a NUL
        return []


def _csv_rows(stream: TextIO, path: Path) -> Iterator[Numbered | Rejected]:
    lines = numbered_lines(stream, path)
    header = _header(next(lines, (1, ""))[1])
    width = len(header)
    for number, line in lines:
        if isinstance(line, Rejected):
            yield line
            continue
        try:
            fields = next(csv.reader((line.rstrip("\n"),), strict=True), [])
        except csv.Error as error:
            yield Rejected.of(f"{path}:{number}", f"not CSV: {error}", line.rstrip("\n"))
            continue
        if len(fields) == width:
            yield Numbered(f"{path}:{number}", dict(zip(header, fields, strict=True)))
        elif any(fields):
            reason = f"{len(fields)} fields, the header has {width}"
            yield Rejected.of(f"{path}:{number}", reason, line.rstrip("\n"))
