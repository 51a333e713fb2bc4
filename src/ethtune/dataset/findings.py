"""What was found in a dataset and where; what each code means stands on its page (``rules``).

E1xx lines and rows · E2xx what a row says · E3xx rows against each other · E4xx length ·
E5xx the dataset as a whole. W in the place of E is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ethtune.dataset.rules import rules

Severity = Literal["error", "warning"]

_SHOWN_CHARACTERS = 80
_MESSAGE_CHARACTERS = 300
_ROW_GROUPS = "1234"
_WHOLE_DATASET = frozenset({"E201"})  # an error of every row: leaving them out leaves nothing
_NEEDLESS = frozenset({"W304"})  # warnings whose rows a corrected copy can spare


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one place. ``value`` is what stands there, for programs.

    ``line`` is None where a file or folder as a whole is meant.
    """

    code: str
    message: str
    file: str
    line: int | None = None
    value: str | None = None

    @property
    def where(self) -> str:
        """As editors and terminals follow it: "file:line", or the file or folder."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "code": self.code,
            "severity": severity(self.code),
            "where": self.where,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "value": self.value,
            "fix": rules()[self.code].fix,
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding that does not know its place yet."""

    code: str
    message: str
    value: str | None = None

    def at(self, file: str, line: int | None) -> Finding:
        """The finding. Foreign text in it is cut to what a person would read."""
        message = writable(cut(self.message, _MESSAGE_CHARACTERS))
        value = None if self.value is None else writable(cut(self.value, _MESSAGE_CHARACTERS))
        return Finding(self.code, message, file, line, value)


def severity(code: str) -> Severity:
    """Errors make the dataset unfit to train on."""
    return "error" if code.startswith("E") else "warning"


def costs_the_row(code: str) -> bool:
    """Whether rows with this code are no good to train on."""
    is_row_error = code[0] == "E" and code[1] in _ROW_GROUPS and code not in _WHOLE_DATASET
    return is_row_error or code in _NEEDLESS


def cut(text: str, characters: int = _SHOWN_CHARACTERS) -> str:
    """The beginning of a text that may be of any length."""
    return text if len(text) <= characters else text[:characters] + "…"


def writable(text: str) -> str:
    """The text with escapes for what no UTF-8 file holds."""
    return text.encode(errors="backslashreplace").decode()


def quoted(value: object) -> str:
    """Foreign data as a message shows it: cut, in quotes, on one line."""
    try:
        return repr(cut(value)) if isinstance(value, str) else cut(repr(value))
    except RecursionError:
        return f"a {type(value).__name__}, nested too deep to show"
