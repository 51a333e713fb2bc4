"""Records of an export in, spooled examples out, with an account of every record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TextIO

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.sources import Rejected, SourceRecord
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.example import Example
from ethtune.core.intent import Intent
from ethtune.core.transaction import Transaction
from ethtune.dataset.examples import UngroundedLabel, View, make_example, reason_kind
from ethtune.dataset.spool import Spool


class Intake:
    """Takes records one by one. ``labels`` are the user's, by hash, and win over the rules."""

    def __init__(
        self,
        view: View,
        registry: TokenRegistry,
        labels: Mapping[str, Intent],
        spool: Spool,
        rejections: TextIO,
    ) -> None:
        self.num_read = 0
        self.num_duplicates = 0
        self.rejected: Counter[str] = Counter()
        self._view = view
        self._registry = registry
        self._labels = labels
        self._spool = spool
        self._rejections = rejections

    def take(self, record: SourceRecord) -> None:
        """Spool a record or reject it."""
        self.num_read += 1
        if isinstance(record, Rejected):
            self._reject(record.where, record.reason, record.row)
        elif isinstance(record, Transaction):
            self._take_transaction(record, None)
        elif record.has_calldata:
            self._take_transaction(record.transaction, record.intent)
        else:
            self._reject(
                record.transaction.hash,
                "no calldata in a row that is labelled: give it as --labels beside the raw export",
            )

    def _take_transaction(self, transaction: Transaction, intent: Intent | None) -> None:
        try:
            example = self._example(transaction, self._labels.get(transaction.hash) or intent)
        except UngroundedLabel as error:
            self._reject(transaction.hash, str(error))
            return
        verdict, earlier = self._spool.add(example, sender=transaction.sender)
        if verdict == "contradiction":
            self._reject(transaction.hash, f"same input but another output than {earlier}")
        elif verdict != "kept":
            self.num_duplicates += 1

    def _example(self, transaction: Transaction, label: Intent | None) -> Example:
        if self._view == "signing":
            transaction = transaction.before_signing()
            label = label and replace(label, outcome="unknown")
        described = describe(transaction, self._registry)
        return make_example(
            described,
            label or decode(described),
            view=self._view,
            label_source="user" if label else "rules",
        )

    def _reject(self, where: str, reason: str, row: str = "") -> None:
        self.rejected[reason_kind(reason)] += 1
        plain = {"where": where, "reason": reason} | ({"row": row} if row else {})
        self._rejections.write(json.dumps(plain, ensure_ascii=False) + "\n")
