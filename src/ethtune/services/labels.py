"""The user's own labels in, intents by transaction hash out.

Two kinds of file: JSON lines of ``{"hash": …, "intent": {…}}``, and any file of decoded rows that
``chain.sources`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ethtune.chain.sources import Labelled, Rejected, read_transactions
from ethtune.core.errors import DataError
from ethtune.core.intent import Intent, intent_from_dict, parse_intent

_HINT = 'expected JSON lines such as {"hash":"0x…","intent":{"action":"transfer"}}'


def read_labels(path: Path) -> dict[str, Intent]:
    """Intents by lower-case hash. Raises DataError for a bad row: a label is never guessed."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint=_HINT)
    pairs = _hash_and_intent(path) if _names_intents(path) else _decoded_rows(path)
    labels: dict[str, Intent] = {}
    for where, transaction_hash, intent in pairs:
        if labels.setdefault(transaction_hash, intent) != intent:
            raise DataError(f"{where}: a second, different label for {transaction_hash}")
    return labels


def _names_intents(path: Path) -> bool:
    with path.open("rb") as lines:
        try:
            first = json.loads(lines.readline())
        except ValueError:
            return False
    return isinstance(first, dict) and "intent" in first


def _hash_and_intent(path: Path) -> Iterator[tuple[str, str, Intent]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield where, str(row["hash"]).lower(), _intent(row["intent"])
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"{where}: no label: {error}", hint=_HINT) from None


def _intent(value: Any) -> Intent:
    """The record, or its text form."""
    return parse_intent(value) if isinstance(value, str) else intent_from_dict(value)


def _decoded_rows(path: Path) -> Iterator[tuple[str, str, Intent]]:
    for record in read_transactions(path):
        if isinstance(record, Rejected):
            raise DataError(f"{record.where}: no label: {record.reason}", hint=_HINT)
        if not isinstance(record, Labelled):
            raise DataError(f"{path}: holds transactions without labels", hint=_HINT)
        yield str(path), record.transaction.hash, record.intent
