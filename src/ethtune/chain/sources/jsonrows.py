"""JSON text in, numbered objects out: a line each, the elements of an array, or whole documents.

Elements are read one by one, so memory holds the longest of them and a chunk. A broken element
costs itself alone: reading goes on where the next one opens with the same key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from ethtune.chain.sources.records import Line, Numbered, Rejected
from ethtune.chain.sources.streams import chunks, numbered_lines

_MAX_ELEMENT_CHARACTERS = 1 << 28  # an element beyond this is a broken one
_MAX_BROKEN_IN_A_ROW = 100
_MAX_FIRST_KEYS = 20
_LONGEST_TOKEN = 16  # "false", "-Infinity", "\\u0000" cut by the end of a chunk
_LONGEST_OPENING = 200
_MAX_DIGITS = 1000  # Python itself refuses to convert 4,301
_WHITESPACE = " \t\r\n"

# Fractions keep the digits they were written with: a float would change them.
_DECODER = json.JSONDecoder(parse_float=Decimal)


def _short_integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


# As above, but a number too long for Python stays text, which the record then refuses by name.
_PATIENT_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_short_integer)

_OPENING = re.compile(r'\{\s*"([^"\\]{1,100})"\s*:').match


def json_lines(stream: TextIO, path: Path) -> Iterator[Line | Rejected]:
    """Lines that hold an object each, blank ones left out."""
    for number, line in numbered_lines(stream, path):
        if isinstance(line, Rejected):
            yield line
        elif not line.isspace():
            yield Line(f"{path}:{number}", line)


def parsed(where: str, line: str) -> Numbered | Rejected:
    """The object of a line."""
    try:
        fields = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        return Rejected.of(where, f"not JSON: {error}", line.strip())
    return _object(where, fields)


def json_elements(stream: TextIO, path: Path, *, is_array: bool) -> Iterator[Numbered | Rejected]:
    """The elements of an array; otherwise objects one after another, however they are laid out."""
    reader = _ElementReader(path, is_array=is_array)
    for chunk in chunks(stream, path):
        if isinstance(chunk, Rejected):
            yield chunk
            return
        yield from reader.take(chunk)
        if reader.is_done:
            return
    yield from reader.end()


def spans_lines(stream: TextIO, path: Path) -> bool:
    """Whether text that opens an object is not one object a line but laid out otherwise."""
    text = ""
    for chunk in chunks(stream, path):
        if isinstance(chunk, Rejected):
            return False
        text = (text + chunk).lstrip(_WHITESPACE)
        line = text.partition("\n")[0]
        try:
            end = _PATIENT_DECODER.raw_decode(text)[1]
        except json.JSONDecodeError as error:
            if not _may_go_on(error, text) or len(text) > _MAX_ELEMENT_CHARACTERS:
                return False
        except RecursionError:
            return False
        else:
            return end > len(line) or line[end:].lstrip(_WHITESPACE).startswith(("{", ","))
    return False


class _ElementReader:
    """Takes text as it comes and gives the elements that are complete."""

    def __init__(self, path: Path, *, is_array: bool) -> None:
        self.is_done = False
        self._path = path
        self._is_array = is_array
        self._text = ""
        self._index = 0
        self._first_keys: set[str] = set()  # with which elements open
        self._broken_in_a_row = 0
        self._is_lost = False  # between a broken element and the next that opens

    def take(self, chunk: str) -> Iterator[Numbered | Rejected]:
        """Elements that end in what was read so far."""
        self._text += chunk
        yield from self._elements(is_end=False)
        if len(self._text) > _MAX_ELEMENT_CHARACTERS:
            yield self._nothing_more()

    def end(self) -> Iterator[Numbered | Rejected]:
        """The same once no more text comes; what is left over is broken."""
        yield from self._elements(is_end=True)
        is_whole = not self._is_array and not self._text.strip(_WHITESPACE + ",")
        if not (self.is_done or self._is_lost or is_whole):
            yield self._nothing_more()

    def _elements(self, *, is_end: bool) -> Iterator[Numbered | Rejected]:
        position = 0
        while not self.is_done:
            start = self._start(position)
            if start is None:  # an opening may be cut by the end of the chunk
                position = max(position, len(self._text) - _LONGEST_OPENING)
                break
            if start >= len(self._text):
                position = start
                break
            if self._is_array and self._text[start] == "]":
                self.is_done = True
                return
            try:
                fields, position = self._decoded(start)
            except (ValueError, RecursionError) as error:
                if not is_end and _may_go_on(error, self._text):
                    position = start
                    break
                yield from self._broken(start)
                position = start + 1
                continue
            self._broken_in_a_row = 0
            yield _object(self._where, fields)
            self._index += 1
        self._text = self._text[position:]

    def _start(self, position: int) -> int | None:
        """Where the next element begins; None when a broken one hides it."""
        if self._is_lost:
            keys = "|".join(map(re.escape, sorted(self._first_keys)))
            opening = re.compile(rf'[,}}\n]\s*(?=\{{\s*"(?:{keys})"\s*:)')
            found = opening.search(self._text, position)
            if found is None:
                return None
            self._is_lost = False
            return found.end()
        between = _WHITESPACE + ("," if self._index or not self._is_array else "[")
        while position < len(self._text) and self._text[position] in between:
            position += 1
        return position

    def _decoded(self, start: int) -> tuple[Any, int]:
        opening = _OPENING(self._text, start)
        if opening and len(self._first_keys) < _MAX_FIRST_KEYS:
            self._first_keys.add(opening[1])
        try:
            return _DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            return _PATIENT_DECODER.raw_decode(self._text, start)

    def _broken(self, start: int) -> Iterator[Rejected]:
        self._broken_in_a_row += 1
        if not self._first_keys or self._broken_in_a_row > _MAX_BROKEN_IN_A_ROW:
            self._text = self._text[start:]
            yield self._nothing_more()
            return
        shown = self._text[start : start + _LONGEST_OPENING]
        yield Rejected.of(
            self._where, "this element of the JSON is broken or ends here", shown, loses_more=True
        )
        self._index += 1
        self._is_lost = True

    def _nothing_more(self) -> Rejected:
        self.is_done = True
        reason = "the JSON is broken or ends here; nothing after this point can be read"
        shown = self._text[: 2 * _LONGEST_OPENING].strip(_WHITESPACE + ",")
        return Rejected.of(self._where, reason, shown, loses_more=True)

    @property
    def _where(self) -> str:
        return f"{self._path}[{self._index}]"


def _may_go_on(error: Exception, text: str) -> bool:
    """Whether more text could make it right: it went wrong only at the very end."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    is_open_string = error.msg.startswith("Unterminated string")
    return is_open_string or error.pos >= len(text) - _LONGEST_TOKEN


def _object(where: str, fields: object) -> Numbered | Rejected:
    if isinstance(fields, dict):
        return Numbered(where, fields)
    return Rejected.of(where, f"expected a JSON object, found {type(fields).__name__}", fields)
