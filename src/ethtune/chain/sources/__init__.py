"""Exports in, transactions out: ``read_transactions`` knows every format by its content.

    path ──streams──▶ files ──kinds──▶ which export ──files──▶ rows
    whole rows   ──fields──────────────▶ records        labelled rows ──labels──▶ records
    split tables ──responses──▶ tables ──join──▶ records

A row that cannot be read becomes a ``Rejected`` with its place and reason; it never costs the rows
around it. Only what makes the whole input useless raises ``DataError``.
"""

from ethtune.chain.sources.read import (
    Unread,
    read_transactions,
    record_of,
    token_files,
    unread_transactions,
)
from ethtune.chain.sources.records import Labelled, Rejected, SourceRecord
from ethtune.chain.sources.streams import files_of

__all__ = [
    "Labelled",
    "Rejected",
    "SourceRecord",
    "Unread",
    "files_of",
    "read_transactions",
    "record_of",
    "token_files",
    "unread_transactions",
]
