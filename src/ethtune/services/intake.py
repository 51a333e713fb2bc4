"""Records and what was made of them in, spooled rows out, with an account of every record."""

from __future__ import annotations

import json
import pickle
import zlib
from collections import Counter
from typing import TextIO

from ethtune.chain.sources import SourceRecord, Unread, record_of
from ethtune.core.events import Emit, Message
from ethtune.dataset.examples import reason_kind
from ethtune.dataset.spool import Spool, SpooledRow
from ethtune.services.rowmaker import Refused


class Intake:
    """Takes rows and refusals one by one. With ``keeps_sources`` the records stay as well."""

    def __init__(
        self, spool: Spool, rejections: TextIO, *, keeps_sources: bool, events: Emit
    ) -> None:
        self.num_read = 0
        self.num_duplicates = 0
        self.rejected: Counter[str] = Counter()
        self._spool = spool
        self._rejections = rejections
        self._keeps_sources = keeps_sources
        self._events = events

    def take(self, record: SourceRecord | Unread, made: SpooledRow | Refused) -> None:
        """Spool a row, or account for its refusal."""
        self.num_read += 1
        if isinstance(made, Refused):
            self._reject(made)
            return
        source = packed(record) if self._keeps_sources else None
        verdict, earlier = self._spool.add(made, source=source)
        if verdict == "duplicate":
            self.num_duplicates += 1
        elif verdict == "contradiction":
            reason = f"same input but another output than {earlier}"
            self._reject(Refused("0x" + made.id.hex(), reason))

    def _reject(self, refused: Refused) -> None:
        self.rejected[reason_kind(refused.reason)] += 1
        plain = {"where": refused.where, "reason": refused.reason}
        if refused.row:
            plain["row"] = refused.row
        self._rejections.write(json.dumps(plain, ensure_ascii=False) + "\n")
        if refused.loses_more:
            self._events(Message("warning", f"{refused.where}: {refused.reason}"))


def packed(record: SourceRecord | Unread) -> bytes:
    """A record for the spool: calldata is mostly zeros."""
    return zlib.compress(pickle.dumps(record, pickle.HIGHEST_PROTOCOL), 1)


def unpacked(source: bytes) -> SourceRecord:
    """The record that was packed."""
    return record_of(pickle.loads(zlib.decompress(source)))  # noqa: S301  # ours, see packed
