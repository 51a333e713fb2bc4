"""Which export a file is, told from the names of its fields and never from its file name."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from ethtune.chain.sources.files import Numbered, Syntax, csv_header, read_rows, syntax_of

Kind = Literal["transactions", "labelled", "receipts", "logs", "tokens", "companion"]

FORMATS = (
    "ethereum-etl CSV or JSON lines (transactions, receipts, logs), JSON lines or a JSON array of "
    "transactions with from, to, value and input, and decoded.csv or decoded.json with an action "
    "and a protocol; each also as .gz"
)
_SNIFFED_ROWS = 20
_HASHES = frozenset({"hash", "tx_hash"})
_SENDERS = frozenset({"from", "from_address"})
_ACTIONS = frozenset({"action", "decoded_action"})

# Files that ethereum-etl writes beside the transactions and that say nothing more about them.
_COMPANIONS: tuple[frozenset[str], ...] = (
    frozenset({"token_address", "from_address", "value"}),
    frozenset({"number", "parent_hash"}),
    frozenset({"trace_type", "trace_address"}),
    frozenset({"address", "bytecode"}),
)
# Explorers call the hash and the sender so in their CSV downloads, which hold no calldata.
_EXPLORER_HASHES = frozenset({"txhash", "transaction hash", "hash", "tx_hash"})
_EXPLORER_SENDERS = frozenset({"from", "from_address", "sender"})


@dataclass(frozen=True, slots=True)
class Export:
    """A file, how it is written, and what it holds; ``kind`` is None for what we do not know."""

    path: Path
    syntax: Syntax | None  # None: the file is empty
    kind: Kind | None
    names: tuple[str, ...]

    @property
    def lacks_calldata(self) -> bool:
        """Transactions like those of an explorer's CSV download, without their calldata."""
        lowered = {name.lower() for name in self.names}
        return self.kind is None and bool(
            lowered & _EXPLORER_HASHES and lowered & _EXPLORER_SENDERS
        )

    @property
    def is_etl(self) -> bool:
        """Receipts and logs of these transactions stand in files of their own."""
        return self.kind == "transactions" and "from_address" in self.names

    @property
    def found(self) -> str:
        """What the file begins with, for a message."""
        if self.syntax is None:
            return "an empty file"
        shown = ", ".join(name[:40] for name in self.names[:6]) or "nothing readable"
        return f"{'columns' if self.syntax == 'csv' else 'keys'} {shown}"


def identify(path: Path) -> Export:
    """Look at the beginning of a file. Raises DataError when it cannot be decompressed."""
    syntax = syntax_of(path)
    if syntax is None:
        return Export(path, None, None, ())
    names = tuple(csv_header(path)) if syntax == "csv" else _first_keys(path, syntax)
    return Export(path, syntax, _kind(frozenset(names)), names)


def _first_keys(path: Path, syntax: Syntax) -> tuple[str, ...]:
    for row in islice(read_rows(path, syntax), _SNIFFED_ROWS):
        if isinstance(row, Numbered):
            return tuple(row.fields)
    return ()


def _kind(names: Set[str]) -> Kind | None:
    kind: Kind | None = None
    if names & _HASHES and names & _ACTIONS and "protocol" in names:
        kind = "labelled"
    elif names & _HASHES and names & _SENDERS and "input" in names:
        kind = "transactions"
    elif {"transaction_hash", "topics", "data"} <= names:
        kind = "logs"
    elif {"transaction_hash", "cumulative_gas_used"} <= names:
        kind = "receipts"
    elif {"address", "symbol", "decimals"} <= names:
        kind = "tokens"
    elif any(companion <= names for companion in _COMPANIONS):
        kind = "companion"
    return kind
