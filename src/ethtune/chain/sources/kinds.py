"""Which export a file is, told from the names of its fields and never from its file name."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ethtune.chain.sources.files import Syntax, first_rows, syntax_of
from ethtune.chain.sources.names import COOKBOOK, PLAIN, FieldNames, field_names
from ethtune.chain.sources.records import Numbered
from ethtune.chain.sources.refusals import Refusal, api_error, refusal_of
from ethtune.core.errors import DataError

Kind = Literal[
    "transactions", "labelled", "pairs", "responses", "receipts", "logs", "traces", "blocks",
    "listing", "tokens", "companion",
]  # fmt: skip

_SNIFFED_ROWS = 20
_HASHES = frozenset({"hash", "tx_hash", "transaction_hash"})
_SENDERS = frozenset({"from", "from_address"})

# The first set of names that a row has decides; the order matters where one holds another.
_KINDS: tuple[tuple[Set[str], Kind], ...] = (
    ({"jsonrpc", "result"}, "responses"),
    ({"jsonrpc", "error"}, "responses"),
    ({"status", "message", "result"}, "responses"),
    ({"params", "body"}, "responses"),
    ({"transaction", "receipt"}, "pairs"),
    ({"tx", "receipt"}, "pairs"),
    # account listings of explorers: what one account saw of a transaction
    ({"contractAddress", "tokenDecimal"}, "listing"),
    ({"contractAddress", "tokenID"}, "listing"),
    ({"errCode", "isError", "type"}, "listing"),
    ({"topics", "transactionHash", "data"}, "listing"),
    ({"trace_type", "trace_address", "value"}, "traces"),
    ({"transaction_hash", "topics", "data"}, "logs"),
    ({"transaction_hash", "topic0", "data"}, "logs"),
    ({"transaction_hash", "cumulative_gas_used", "gas_used"}, "receipts"),
    ({"transactionHash", "cumulativeGasUsed"}, "responses"),
    ({"parentHash", "number", "timestamp"}, "responses"),
    ({"parent_hash", "number", "timestamp"}, "blocks"),
    ({"block_number", "block_hash", "timestamp", "author"}, "blocks"),
    ({"address", "symbol", "decimals"}, "tokens"),
    # what ethereum-etl and cryo write beside and what says nothing more about transactions
    ({"token_address", "from_address", "value"}, "companion"),
    ({"token_address", "owner_address", "value"}, "companion"),
    ({"erc20", "transaction_hash"}, "companion"),
    ({"erc721", "transaction_hash"}, "companion"),
    ({"transfer_index", "transaction_hash"}, "companion"),
    ({"action_type", "trace_address"}, "companion"),
    ({"erc20", "symbol", "decimals"}, "companion"),
    ({"address", "bytecode"}, "companion"),
    # what ``ethtune fetch`` could not get, beside what it got
    ({"error", "hash"}, "companion"),
    ({"error", "block"}, "companion"),
    ({"error", "line"}, "companion"),
)

# Rows of these may stand in one file, as a node answers them or ethereum-etl streams them.
_TOLD_ROW_BY_ROW = frozenset({
    "transactions", "pairs", "responses", "receipts", "logs", "traces", "blocks", "tokens",
    "companion", None,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Export:
    """A file, how it is written, and what it holds; ``kind`` is None for what we cannot use."""

    path: Path
    syntax: Syntax | None  # None: the file is empty
    kind: Kind | None
    names: tuple[str, ...] = ()
    refusal: Refusal | None = None  # why there is no kind

    @property
    def fields(self) -> FieldNames:
        """What it calls the fields of a transaction."""
        return field_names(self.names)

    @property
    def is_split(self) -> bool:
        """Receipts and logs of these transactions stand in rows of their own, if anywhere."""
        return self.kind == "responses" or (
            self.kind == "transactions" and self.fields not in (PLAIN, COOKBOOK)
        )

    @property
    def is_beside(self) -> bool:
        """Rows that are joined to transactions."""
        return self.kind in ("responses", "receipts", "logs", "traces", "blocks")


def identify(path: Path) -> Export:
    """Look at the beginning of a file. What cannot be opened has a refusal that says why."""
    try:
        syntax = syntax_of(path)
        rows = first_rows(path, syntax, _SNIFFED_ROWS) if syntax else []
    except DataError as problem:
        reason = problem.message.removeprefix(f"{path}: ")
        return Export(path, None, None, (), Refusal(reason, problem.hint))
    if syntax is None:
        return Export(path, None, None, (), Refusal("the file is empty", is_export=False))
    readable = [row for row in rows if isinstance(row, Numbered)]
    kind, names = _kind_and_names(readable)
    may_be_answers = kind != "companion" and len(rows) < _SNIFFED_ROWS
    answered = api_error(readable) if may_be_answers else None
    if answered:
        hint = "ask again, later or for less, and keep only answers that hold data"
        return Export(path, syntax, None, names, Refusal(answered, hint))
    refusal = refusal_of(syntax, names, kind)
    return Export(path, syntax, None if refusal else kind, names, refusal)


def _kind_and_names(rows: Sequence[Numbered]) -> tuple[Kind | None, tuple[str, ...]]:
    """Those of the first row that is known, unless rows of several tables are mixed."""
    kinds = [kind_of(row.fields.keys()) for row in rows]
    place = next((place for place, kind in enumerate(kinds) if kind), 0)
    names = tuple(rows[place].fields) if rows else ()
    is_mixed = len(set(kinds) - {None}) > 1 and set(kinds) <= _TOLD_ROW_BY_ROW
    return ("responses" if is_mixed else kinds[place] if rows else None), names


def kind_of(names: Set[str]) -> Kind | None:
    """What a row with these names holds."""
    if names & _HASHES and "protocol" in names and names & {"action", "decoded_action"}:
        return "labelled"
    found = next((kind for known, kind in _KINDS if known <= names), None)
    if found is None and "input" in names and names & _HASHES and names & _SENDERS:
        return "transactions"
    return found
