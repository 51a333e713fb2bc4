"""What readers yield: a numbered row, and of rows a transaction, a labelled one, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ethtune.core.intent import Intent
from ethtune.core.transaction import Transaction

_SHOWN_CHARACTERS = 160

Row = dict[str, Any]


class Line(NamedTuple):
    """A row that is JSON text still, and where it stands."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row and where it stands: "file:line", or "file[n]" in an array or a Parquet file."""

    where: str
    fields: Row


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was left out. ``loses_more`` says that rows after it could not be read either."""

    where: str
    reason: str
    row: str = ""
    loses_more: bool = False

    @classmethod
    def of(
        cls, where: str, reason: object, row: object = "", *, loses_more: bool = False
    ) -> Rejected:
        """Keep the beginning of the offending row, enough to recognise it."""
        if isinstance(row, dict):
            row = {
                name: "0x" + value.hex() if isinstance(value, bytes) else value
                for name, value in row.items()
            }
        try:
            text = str(row)
        except RecursionError:
            text = "(nested too deeply to be shown)"
        if len(text) > _SHOWN_CHARACTERS:
            text = text[:_SHOWN_CHARACTERS] + "…"
        return cls(_encodable(where), _encodable(str(reason)), _encodable(text), loses_more)


def _encodable(text: str) -> str:
    """Lone surrogates, in JSON or in a file name, cannot be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A row that says what the transaction means.

    ``has_calldata`` is False where the row held none although the transaction had some: its hash
    and intent are good for joining with a raw export, its calldata of "0x" means nothing.
    """

    transaction: Transaction
    intent: Intent
    has_calldata: bool = True


SourceRecord = Transaction | Labelled | Rejected
