"""A file of any bytes in, its lines out: numbered, without their ends, never more than fits.

A line beyond ``MAX_LINE_BYTES`` is counted but not kept, so that a file without line breaks needs
no more memory than any other. Only a newline ends a line, as everywhere in JSONL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ethtune.core.errors import DataError

MAX_LINE_BYTES = 8 << 20
_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RawLine:
    """``content`` has neither byte order mark nor line end; None for a line that is too long."""

    number: int
    num_bytes: int
    content: bytes | None
    has_bom: bool = False
    has_carriage_return: bool = False


def read_lines(file: Path) -> Iterator[RawLine]:
    """Lines that hold something. Raises DataError for a file that cannot be read."""
    try:
        with file.open("rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    yield RawLine(number, len(raw) + _skip_line(stream, raw), None)
                elif (line := _raw_line(number, raw)).content:
                    yield line
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error


def count_lines(file: Path) -> int:
    """Line breaks in a file, to know how far one has come. 0 for one that cannot be read."""
    try:
        with file.open("rb") as stream:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""))
    except OSError:
        return 0


def _raw_line(number: int, raw: bytes) -> RawLine:
    content = raw.removesuffix(b"\n")
    has_carriage_return = content.endswith(b"\r")
    has_bom = number == 1 and content.startswith(_BOM)
    content = content[len(_BOM) if has_bom else 0 :].strip()
    return RawLine(number, len(raw), content, has_bom, has_carriage_return)


def _skip_line(stream: BinaryIO, read: bytes) -> int:
    """Bytes up to the end of the line of which ``read`` is the beginning."""
    skipped = 0
    while read and not read.endswith(b"\n"):
        read = stream.readline(_CHUNK_BYTES)
        skipped += len(read)
    return skipped
