"""A transaction and replacements in, the transaction with all of them made everywhere out.

Addresses are replaced wherever their 40 digits stand, packed paths and batches included; amounts
where they fill a word of calldata or of a log's data. What the new one means is to be decided anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ethtune.core.described import Argument, DecodedCall, DescribedTransaction
from ethtune.core.transaction import InternalTransfer, Log, Transaction

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Replacements:
    """Old to new: addresses with 0x, amounts in wei or raw units."""

    addresses: Mapping[str, str] = field(default_factory=dict)
    amounts: Mapping[int, int] = field(default_factory=dict)


def rewrite(transaction: Transaction, replacements: Replacements) -> Transaction:
    """The same transaction about other accounts and amounts; hash and nonce stay."""
    addresses, amounts = replacements.addresses, replacements.amounts
    names = _Substitution({old[2:]: new[2:] for old, new in addresses.items()})
    words = _Substitution({f"{old:064x}": f"{new:064x}" for old, new in amounts.items()})

    def log(old: Log) -> Log:
        topics = tuple(map(names, old.topics))
        return Log(names(old.address), topics, names(words(old.data)), old.index)

    def moved(old: InternalTransfer) -> InternalTransfer:
        value_wei = amounts.get(old.value_wei, old.value_wei)
        return InternalTransfer(names(old.sender), old.to and names(old.to), value_wei)

    logs, internal = transaction.logs, transaction.internal_transfers
    return replace(
        transaction,
        sender=names(transaction.sender),
        to=transaction.to and names(transaction.to),
        value_wei=amounts.get(transaction.value_wei, transaction.value_wei),
        calldata=names(words(transaction.calldata)),
        logs=None if logs is None else tuple(map(log, logs)),
        internal_transfers=None if internal is None else tuple(map(moved, internal)),
        contract_address=transaction.contract_address and names(transaction.contract_address),
    )


def rename(text: str, addresses: Mapping[str, str]) -> str:
    """A text that spells addresses, such as a label, with the new ones."""
    return _ADDRESS.sub(lambda found: addresses.get(found[0], found[0]), text)


def every_argument(described: DescribedTransaction) -> Iterator[Argument]:
    """Arguments of the call, of the calls within it, and of the events."""
    yield from described.arguments
    for call in _every_call(described.calls):
        yield from call.arguments
    for event in described.events:
        yield from event.arguments


def _every_call(calls: Iterable[DecodedCall]) -> Iterator[DecodedCall]:
    for call in calls:
        yield call
        yield from _every_call(call.calls)


class _Substitution:
    """Replaces digits at whole bytes, all at once, so that no new value is replaced again."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._find = re.compile("|".join(table)) if table else None

    def __call__(self, text: str) -> str:
        return self._find.sub(self._new, text) if self._find else text

    def _new(self, match: re.Match[str]) -> str:
        return match[0] if match.start() % 2 else self._table[match[0]]
