"""Exports in, transactions out: ``read_transactions`` knows every format by its content.

    file or folder ──files──▶ rows ──kinds──▶ which export ──fields/etl/labels──▶ records

A row that cannot be read becomes a ``Rejected`` with its place and reason; it never costs the rows
around it. Only what makes the whole input useless raises ``DataError``.
"""

from ethtune.chain.sources.read import read_transactions, token_files
from ethtune.chain.sources.records import Labelled, Rejected, SourceRecord

__all__ = ["Labelled", "Rejected", "SourceRecord", "read_transactions", "token_files"]
