"""Lines of one file in, rows out, with everything that can be told of each by itself.

Rows against each other: ``comparison``. All rows together: ``balance``, ``rowlengths``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ethtune.core.intent import Intent
from ethtune.dataset.checksums import wrong_checksums
from ethtune.dataset.findings import Fault, cut, quoted
from ethtune.dataset.labelchecks import label_faults
from ethtune.dataset.rawlines import RawLine
from ethtune.dataset.rowforms import Form, Row, read_row

_PLACEHOLDERS = frozenset({
    "todo", "tbd", "n/a", "na", "none", "null", "nan", "-", "--", "...", "…", "?", "???", "xxx",
    "placeholder", "empty", "{}", "[]", '""', "undefined", "your answer here", "<answer>",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckedLine:
    """``row`` is None for a line that is none; ``intent`` where the output is one."""

    row: Row | None
    intent: Intent | None
    faults: list[Fault]


class LineChecker:
    """Checks the lines of one file; what holds for all of them it says once.

    ``any_task`` skips what only holds for intents; ``decimals`` are those of known tokens.
    """

    def __init__(self, *, any_task: bool, decimals: Mapping[str, int]) -> None:
        self._any_task = any_task
        self._decimals = decimals
        self._form: Form | None = None
        self._said: set[str] = set()

    def check(self, line: RawLine) -> CheckedLine:
        """The row on a line, and its faults; any bytes are answered, none raise."""
        marks = list(self._once(_line_end_faults(line)))
        plain = parse_line(line)
        if isinstance(plain, Fault):
            return CheckedLine(None, None, [*marks, plain])
        row = read_row(plain)
        if isinstance(row, Fault):
            return CheckedLine(None, None, [*marks, row])
        broken = _broken_text(row)
        if broken is not None:
            return CheckedLine(None, None, [*marks, broken])
        faults = [*marks, *self._form_faults(row), *_text_faults(row)]
        if row.form == "instruction" and not self._any_task:
            intent, found = label_faults(row.plain, self._decimals)
            return CheckedLine(row, intent, faults + found)
        return CheckedLine(row, None, [*faults, *_placeholder(row)])

    def _form_faults(self, row: Row) -> Iterator[Fault]:
        self._form = self._form or row.form
        if row.form != self._form:
            text = f"a row of form {row.form}, the first of the file is of form {self._form}"
            yield Fault("E104", text, row.form)
        elif row.form != "instruction":
            text = f"rows of form {row.form}; ethtune train reads instruction, input and output"
            yield from self._once([Fault("W110", text, row.form)])
        keys = (Fault("W109", f"key {quoted(key)}", cut(key)) for key in row.unknown_keys)
        yield from self._once(keys)

    def _once(self, faults: Iterator[Fault] | list[Fault]) -> Iterator[Fault]:
        for fault in faults:
            if fault.message not in self._said:
                self._said.add(fault.message)
                yield fault


def parse_line(line: RawLine) -> Any | Fault:
    """The JSON on a line, or why there is none, with the column."""
    if line.content is None:
        return Fault("E107", f"a line of {line.num_bytes:,} bytes", str(line.num_bytes))
    try:
        text = line.content.decode()
    except UnicodeDecodeError as error:
        around = line.content[max(error.start - 20, 0) : error.start + 20]
        byte = f"0x{line.content[error.start]:02x}"
        said = f"byte {byte} at column {error.start + 1} is no UTF-8: {quoted(around)}"
        return Fault("E101", said, byte)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        around_text = text[max(error.pos - 20, 0) : error.pos + 20]
        nul = "the line holds NUL bytes, as after a crash" if "\0" in text else error.msg
        return Fault("E101", f"{nul} at column {error.pos + 1}: {quoted(around_text)}", around_text)
    except (ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else cut(str(error), 120)
        return Fault("E101", f"{said}: {quoted(text)}", cut(text))


def _refuse_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity; JSON has neither."""
    raise ValueError(f"{name} is no JSON")


def _line_end_faults(line: RawLine) -> Iterator[Fault]:
    if line.has_bom:
        yield Fault("W108", "the file begins with a byte order mark", "U+FEFF")
    if line.has_carriage_return:
        yield Fault("W108", "lines end with a carriage return", "\\r\\n")


def _broken_text(row: Row) -> Fault | None:
    text = "\n".join(row.texts)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        return Fault("E106", f"{half} is half a character, no tokenizer reads it", half)
    return None


def _text_faults(row: Row) -> Iterator[Fault]:
    for text in row.texts:
        for address in wrong_checksums(text):
            yield Fault("E209", f"{address} has the wrong checksum", address)
            return  # one is enough to make the row suspect


def _placeholder(row: Row) -> Iterator[Fault]:
    if row.answer.strip().lower() in _PLACEHOLDERS:
        yield Fault("W111", f"the answer is {quoted(row.answer)}", row.answer.strip())
