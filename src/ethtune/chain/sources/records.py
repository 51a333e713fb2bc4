"""What a reader yields: a transaction, a transaction with the user's own label, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.core.intent import Intent
from ethtune.core.transaction import Transaction

_SHOWN_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was left out. ``where`` is "file:line", or "file[n]" for the n-th of an array."""

    where: str
    reason: str
    row: str = ""

    @classmethod
    def of(cls, where: str, reason: object, row: object = "") -> Rejected:
        """Keep the beginning of the offending row, enough to recognise it."""
        text = str(row)
        if len(text) > _SHOWN_CHARACTERS:
            text = text[:_SHOWN_CHARACTERS] + "…"
        return cls(where, str(reason), text)


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
