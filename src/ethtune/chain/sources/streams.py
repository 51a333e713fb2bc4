"""A path in, decompressed text out; and which files a path means when it is a folder or a glob.

gzip and Zstandard are told from their first bytes, never from the file's name.
"""

from __future__ import annotations

import glob
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ethtune.chain.sources.records import Rejected
from ethtune.core.errors import DataError

BROKEN_STREAM = (EOFError, zlib.error, OSError)  # what a damaged or torn compressed file raises

_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_CHUNK_CHARACTERS = 1 << 20
_LONGEST_CHUNK_CHARACTERS = 1 << 25


def expand(path: Path) -> list[Path]:
    """The path itself, or in order of name what it matches when it is a pattern such as x/*.csv.

    Raises DataError when there is nothing.
    """
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        if found := sorted(map(Path, glob.glob(str(path), recursive=True))):
            return found
        raise DataError(
            f"{path}: no file matches", hint="* stands for any name, ** for any folders"
        )
    raise DataError(f"{path}: no such file or folder")


def files_of(path: Path) -> Iterator[Path]:
    """Every file a path means, folders opened all the way down, hidden files left out."""
    for item in expand(path):
        if not item.is_dir():
            yield item
            continue
        for file in sorted(item.rglob("*")):
            names = file.relative_to(item).parts
            if file.is_file() and not any(name.startswith(".") for name in names):
                yield file


def first_bytes(path: Path) -> bytes:
    """Enough of a file, as it lies on disk, to tell what wrote it."""
    try:
        with path.open("rb") as raw:
            return raw.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def open_text(path: Path) -> TextIO:
    """Decompressed text of ``path``; a byte order mark decides between UTF-8 and UTF-16."""
    start = first_bytes(path)
    if start == _ZIP:
        raise DataError(f"{path}: a zip archive", hint="unpack it and give what is in it")
    name = "gzip" if start.startswith(_GZIP) else "Zstandard" if start == _ZSTD else ""
    try:
        stream = _decompressed(path, name)
        mark = stream.peek(2)[:2]
    except (*BROKEN_STREAM, UnicodeEncodeError) as error:  # the last: of its name
        raise DataError(
            f"{path}: not a readable {name or 'text'} file ({error})",
            hint="the file is damaged; download or export it again",
        ) from None
    utf16 = mark in (b"\xff\xfe", b"\xfe\xff")
    return io.TextIOWrapper(stream, encoding="utf-16" if utf16 else "utf-8-sig", errors="replace")


def _decompressed(path: Path, name: str) -> Any:
    if name == "gzip":
        return gzip.open(path)
    if name == "Zstandard":
        import pyarrow

        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def numbered_lines(stream: TextIO, path: Path) -> Iterator[tuple[int, str | Rejected]]:
    """Lines from 1 on; when the compressed stream breaks off, a last ``Rejected``."""
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            yield number, line
    except BROKEN_STREAM as error:
        reason = f"the file breaks off here, what follows is lost ({error})"
        yield number + 1, Rejected.of(f"{path}:{number + 1}", reason, loses_more=True)


def chunks(stream: TextIO, path: Path) -> Iterator[str | Rejected]:
    """Chunks that double, so that a long element is parsed from its start only a few times."""
    size = _CHUNK_CHARACTERS
    try:
        while chunk := stream.read(size):
            yield chunk
            size = min(size * 2, _LONGEST_CHUNK_CHARACTERS)
    except BROKEN_STREAM as error:
        reason = f"the file breaks off, what follows is lost ({error})"
        yield Rejected.of(str(path), reason, loses_more=True)
