"""Any input of ``predict`` in, one prompt for each of its rows out.

An export's transactions are described and rendered just as ``prepare`` does it for training;
prepared rows already hold their prompt, and their references are ignored.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ethtune.chain.describe import describe
from ethtune.chain.sources import Rejected, read_transactions, token_files
from ethtune.chain.sources.files import Syntax, read_rows, syntax_of
from ethtune.chain.sources.records import Numbered
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.described import DescribedTransaction
from ethtune.core.events import Emit, Message
from ethtune.core.example import Example
from ethtune.core.transaction import Transaction
from ethtune.dataset.prompts import INSTRUCTION, render

_REJECTIONS_SHOWN = 5
_PREPARED_KEYS = ("instruction", "input")
_NO_REFERENCE = "{}"  # an example cannot be built without an output; prompts do not show it


@dataclass(frozen=True, slots=True)
class Query:
    """A row to be answered. ``described`` is None for a prepared row, whose text is all we have."""

    id: str
    instruction: str
    input: str
    described: DescribedTransaction | None = None

    @property
    def prompt(self) -> str:
        """What the model is given, as in training."""
        return Example(self.id, self.instruction, self.input, _NO_REFERENCE).prompt


@contextmanager
def spooled(path: Path | None) -> Iterator[Path]:
    """The path itself, or stdin as a file: telling what an export is needs a look ahead."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "stdin")
        with copy.open("wb") as handle:
            shutil.copyfileobj(sys.stdin.buffer, handle)
        yield copy


def read_queries(path: Path, tokens: Sequence[Path], events: Emit) -> Iterator[Query]:
    """Every readable row; the others are counted and the first of them shown."""
    syntax = _prepared_syntax(path)
    if syntax is not None:
        queries = _prepared(path, syntax)
    else:
        registry = TokenRegistry.with_files((*tokens, *token_files(path)))
        queries = _described(path, registry)
    num_rejected = 0
    for query in queries:
        if isinstance(query, Query):
            yield query
            continue
        num_rejected += 1
        if num_rejected <= _REJECTIONS_SHOWN:
            events(Message("warning", f"{query.where}: {query.reason}"))
    if num_rejected > _REJECTIONS_SHOWN:
        events(Message("warning", f"{num_rejected:,} rows were left out in all"))


def _prepared_syntax(path: Path) -> Syntax | None:
    """How a file of prepared rows is written; None when it holds something else."""
    if not path.is_file():
        return None
    syntax = syntax_of(path)
    if syntax not in ("json lines", "json array"):
        return None
    first = next(islice(read_rows(path, syntax), 1), None)
    is_prepared = isinstance(first, Numbered) and all(key in first.fields for key in _PREPARED_KEYS)
    return syntax if is_prepared else None


def _prepared(path: Path, syntax: Syntax) -> Iterator[Query | Rejected]:
    for row in read_rows(path, syntax):
        if isinstance(row, Rejected):
            yield row
            continue
        instruction, text = (row.fields.get(key) for key in _PREPARED_KEYS)
        if isinstance(instruction, str) and isinstance(text, str):
            yield Query(str(row.fields.get("id") or row.where), instruction, text)
        else:
            yield Rejected(row.where, f"{' and '.join(_PREPARED_KEYS)} are not both text")


def _described(path: Path, registry: TokenRegistry) -> Iterator[Query | Rejected]:
    for record in read_transactions(path):
        if isinstance(record, Rejected):
            yield record
        elif isinstance(record, Transaction):
            yield _query(record, registry)
        elif record.has_calldata:
            yield _query(record.transaction, registry)
        else:
            yield Rejected(record.transaction.hash, "the row holds no calldata to read")


def _query(transaction: Transaction, registry: TokenRegistry) -> Query:
    described = describe(transaction, registry)
    return Query(transaction.hash, INSTRUCTION, render(described), described)
