"""Why a file that looks like an export cannot be used, and what to do instead.

Each refusal is about files people really have: an explorer's download, an answer that is an error,
a table whose amounts lost their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ethtune.chain.sources.names import CRYO_EXACT_VALUES
from ethtune.chain.sources.records import Numbered, Row

_FORMATS = (
    "ethereum-etl, BigQuery and cryo tables, JSON-RPC answers, Etherscan's API, JSON rows with "
    "from, to, value and input, and decoded.csv or decoded.json with an action and a protocol; as "
    "CSV, JSON or Parquet, text also as .gz or .zst"
)
FORMATS_HINT = f"ethtune reads {_FORMATS}; docs/exports.md shows how to get each"

# Explorers call the hash and the sender so in their CSV downloads, which hold no calldata.
_EXPLORER_HASHES = frozenset({"txhash", "transaction hash", "parenttxhash"})
_CALLDATA_HINT = (
    "write the hashes to a file, one a line, and run `ethtune fetch --input hashes.txt`; or export "
    "with ethereum-etl, BigQuery or cryo"
)
_HASHES = frozenset({"hash", "tx_hash", "transaction_hash"})
_SENDERS = frozenset({"from", "from_address"})
_NAMES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Refusal:
    """``hint`` says what to do next; ``is_export`` that the file was meant to hold transactions."""

    reason: str
    hint: str | None = FORMATS_HINT
    is_export: bool = True


def refusal_of(syntax: str, names: Sequence[str], kind: str | None) -> Refusal | None:
    """Why a file of these names cannot be used; None when it can."""
    if kind == "transactions":
        return _inexact(names)
    if kind is not None:
        return None
    lowered = {name.lower().strip() for name in names}
    shown = shown_names(syntax, names)
    if lowered & _EXPLORER_HASHES and syntax == "csv":
        return Refusal(_explorer_reason(names), _CALLDATA_HINT)
    if lowered & _HASHES and lowered & _SENDERS:
        reason = f'transactions without calldata: no column or key "input" ({shown})'
        return Refusal(reason, _CALLDATA_HINT)
    return Refusal(f"not an export we know: {shown}", is_export=False)


def shown_names(syntax: str, names: Sequence[str]) -> str:
    """What a file begins with, for a message."""
    shown = ", ".join(name[:40] for name in names[:_NAMES_SHOWN]) or "nothing readable"
    return f"{'keys' if syntax.startswith('json') else 'columns'} {shown}"


def _explorer_reason(names: Sequence[str]) -> str:
    prices = [name for name in names if "$" in name]
    price = f", and prices ({', '.join(prices)}) that no chain knows" if prices else ""
    return (
        f"an explorer's CSV download: transactions without calldata and without logs "
        f"({shown_names('csv', names)}){price}"
    )


def _inexact(names: Sequence[str]) -> Refusal | None:
    """Transactions of cryo whose value is there in floating point only."""
    rounded = [name for name in names if name.startswith("value_")]
    if not rounded or "value" in names or any(name in names for name in CRYO_EXACT_VALUES):
        return None
    return Refusal(
        f"value only as {', '.join(rounded)}, which does not keep every digit",
        "export again with `cryo transactions --u256-types binary string`",
    )


def api_error(rows: Sequence[Numbered]) -> str | None:
    """What an API answered instead of data, when that is all that a file holds."""
    errors = [error_text(row.fields) for row in rows]
    return errors[0] if errors and all(errors) else None


def error_text(row: Row) -> str | None:
    """The error of one answer of Etherscan's API or of a node; None when it holds a result."""
    error = row.get("error")
    if error and "result" not in row:
        if isinstance(error, dict):
            code = error.get("code")
            return f"the node answered with error {code}: {str(error.get('message'))[:200]}"
        return f"the node answered with an error: {str(error)[:200]}"
    if {"status", "message", "result"} <= row.keys() and isinstance(row["result"], str):
        return f"Etherscan answered {row['result'][:200]!r} ({str(row['message'])[:40]})"
    return None
