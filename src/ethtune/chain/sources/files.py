"""Bytes of an export in, numbered rows out: CSV, JSON lines or a JSON array, gzipped or not.

The syntax is told from the content. One physical line is one row, so a stray quote or a torn line
costs that row alone: none of the known exports has line breaks inside a field. Damage that hides
the rest of a file (a truncated gzip, a broken array) ends it with one ``Rejected``.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TextIO

from ethtune.chain.sources.records import Rejected
from ethtune.core.errors import DataError

Syntax = Literal["csv", "json lines", "json array"]
Row = dict[str, Any]

_CHUNK_CHARACTERS = 1 << 20
_MAX_ELEMENT_CHARACTERS = 1 << 28  # an array element beyond this is a broken array
_WHITESPACE = " \t\r\n"

# Fractions keep the digits they were written with: a float would change them.
_DECODER = json.JSONDecoder(parse_float=Decimal)

csv.field_size_limit(2**31 - 1)  # calldata and log data exceed the default of 128 KiB


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row and where it stands."""

    where: str
    fields: Row


def open_text(path: Path) -> TextIO:
    """Decompressed text of ``path``; a byte order mark decides between UTF-8 and UTF-16."""
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    stream: Any = gzip.open(path) if is_gzip else path.open("rb")  # noqa: SIM115  # handed on
    try:
        start = stream.peek(2)[:2]
    except (OSError, EOFError, zlib.error) as error:
        stream.close()
        raise DataError(f"{path}: not a readable gzip file ({error})") from None
    utf16 = start in (b"\xff\xfe", b"\xfe\xff")
    return io.TextIOWrapper(stream, encoding="utf-16" if utf16 else "utf-8-sig", errors="replace")


def syntax_of(path: Path) -> Syntax | None:
    """Told from the first character that is no white space; None for an empty file."""
    with open_text(path) as stream:
        for _, line in _numbered_lines(stream, path):
            if isinstance(line, str) and (start := line.lstrip("\x00" + _WHITESPACE)[:1]):
                return {"{": "json lines", "[": "json array"}.get(start, "csv")  # type: ignore[return-value]
    return None


def read_rows(path: Path, syntax: Syntax) -> Iterator[Numbered | Rejected]:
    """Every row of a file in its order, broken ones as ``Rejected``."""
    reader = {"csv": _csv_rows, "json lines": _json_lines, "json array": _json_array}[syntax]
    with open_text(path) as stream:
        yield from reader(stream, path)


def csv_header(path: Path) -> list[str]:
    """Column names of a CSV file, without surrounding blanks."""
    with open_text(path) as stream:
        return _header(next((line for _, line in _numbered_lines(stream, path)), ""))


def _header(line: str | Rejected) -> list[str]:
    if isinstance(line, Rejected):
        return []
    try:
        return [name.strip() for name in next(csv.reader([line.rstrip("\n")]), [])]
    except csv.Error:  # up to Python 3.10 a NUL
        return []


def _numbered_lines(stream: TextIO, path: Path) -> Iterator[tuple[int, str | Rejected]]:
    """Lines from 1 on; when the compressed stream breaks off, a last ``Rejected``."""
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            yield number, line
    except (EOFError, zlib.error, OSError) as error:
        reason = f"the file breaks off here, what follows is lost ({error})"
        yield number + 1, Rejected.of(f"{path}:{number + 1}", reason)


def _csv_rows(stream: TextIO, path: Path) -> Iterator[Numbered | Rejected]:
    lines = _numbered_lines(stream, path)
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


def _json_lines(stream: TextIO, path: Path) -> Iterator[Numbered | Rejected]:
    decode = _DECODER.decode
    for number, line in _numbered_lines(stream, path):
        if isinstance(line, Rejected):
            yield line
            continue
        if line.isspace():
            continue
        try:
            fields = decode(line)
        except (ValueError, RecursionError) as error:
            yield Rejected.of(f"{path}:{number}", f"not JSON: {error}", line.strip())
            continue
        yield _object(f"{path}:{number}", fields)


def _object(where: str, fields: object) -> Numbered | Rejected:
    if isinstance(fields, dict):
        return Numbered(where, fields)
    return Rejected.of(where, f"expected a JSON object, found {type(fields).__name__}", fields)


def _json_array(stream: TextIO, path: Path) -> Iterator[Numbered | Rejected]:
    """Elements one by one, holding no more text than the longest of them and a chunk."""
    chunks = _chunks(stream, path)
    text, index = "", 0
    for chunk in chunks:
        if isinstance(chunk, Rejected):
            yield chunk
            return
        text += chunk
        position = 0
        while True:
            start = _skip(text, position, _WHITESPACE + ("," if index else "["))
            if text[start : start + 1] == "]":
                return
            try:
                fields, position = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError):
                break  # most likely the element goes on in the next chunk
            yield _object(f"{path}[{index}]", fields)
            index += 1
        text = text[position:]
        if len(text) > _MAX_ELEMENT_CHARACTERS:
            break
    reason = "the JSON array is broken or ends here; nothing after this point can be read"
    yield Rejected.of(f"{path}[{index}]", reason, text.strip(_WHITESPACE + ","))


def _chunks(stream: TextIO, path: Path) -> Iterable[str | Rejected]:
    """Chunks that double, so that a long element is parsed from its start only a few times."""
    size = _CHUNK_CHARACTERS
    try:
        while chunk := stream.read(size):
            yield chunk
            size = min(size * 2, 1 << 25)
    except (EOFError, zlib.error, OSError) as error:
        yield Rejected.of(str(path), f"the file breaks off, what follows is lost ({error})")


def _skip(text: str, position: int, characters: str) -> int:
    while text[position : position + 1] and text[position] in characters:
        position += 1
    return position
