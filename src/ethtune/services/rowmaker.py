"""A record of an export in, a spooled row or a refusal out; what worker processes do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.sources import Labelled, Rejected, SourceRecord, Unread, record_of
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.intent import Intent
from ethtune.core.transaction import Transaction
from ethtune.dataset.examples import UngroundedLabel, View, make_example
from ethtune.dataset.spool import SpooledRow, spooled

_NO_CALLDATA = "no calldata in a row that is labelled: give it as --labels beside the raw export"


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that makes no row, and why. ``loses_more``: rows after it are lost as well."""

    where: str
    reason: str
    row: str = ""
    loses_more: bool = False


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes rows of one view; a ``Labelled`` record brings the user's label along."""

    view: View
    registry: TokenRegistry

    def __call__(self, item: SourceRecord | Unread) -> SpooledRow | Refused:
        """The row, or why not."""
        record = record_of(item)
        if isinstance(record, Rejected):
            return Refused(record.where, record.reason, record.row, record.loses_more)
        if isinstance(record, Labelled) and not record.has_calldata:
            return Refused(record.transaction.hash, _NO_CALLDATA)
        transaction, label = self.seen(record)
        try:
            described = describe(transaction, self.registry)
            example = make_example(
                described,
                label or decode(described),
                view=self.view,
                label_source="user" if label else "rules",
            )
            return spooled(example, sender=transaction.sender)
        except UngroundedLabel as error:
            return Refused(transaction.hash, str(error))
        except UnicodeEncodeError:
            return Refused(transaction.hash, "text in it is no Unicode: half of a surrogate pair")

    def seen(self, record: Transaction | Labelled) -> tuple[Transaction, Intent | None]:
        """The transaction and the user's label as they stand in this view."""
        if isinstance(record, Transaction):
            transaction, label = record, None
        else:
            transaction, label = record.transaction, record.intent
        if self.view == "receipt":
            return transaction, label
        return transaction.before_signing(), label and replace(label, outcome="unknown")


def record_name(record: SourceRecord | Unread) -> str:
    """What a user finds a record by."""
    if isinstance(record, Rejected | Unread):
        return record.where
    return (record if isinstance(record, Transaction) else record.transaction).hash
