"""A described transaction in, new addresses for the unknown ones in it out.

Addresses that mean something stay: known tokens and contracts, which the caller names, and those
that are no account's, such as zero. A model then has to copy what it reads instead of knowing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from ethtune.core.described import DescribedTransaction, Value
from ethtune.dataset.rewriting import every_argument

_DISTINCT_DIGITS_MIN = 6  # of 40; a random address has 15, zero and placeholders have one or two


def new_addresses(
    described: DescribedTransaction, rng: Random, *, is_known: Callable[[str], bool]
) -> dict[str, str]:
    """Old to new, for the sender as well."""
    found = sorted(set(_addresses(described)))
    return {
        address: f"0x{rng.getrandbits(160):040x}"
        for address in found
        if len(set(address[2:])) >= _DISTINCT_DIGITS_MIN and not is_known(address)
    }


def _addresses(described: DescribedTransaction) -> Iterator[str]:
    transaction = described.transaction
    yield transaction.sender
    if transaction.to is not None:
        yield transaction.to
    for log in transaction.logs or ():
        yield log.address
    for moved in transaction.internal_transfers or ():
        yield from filter(None, (moved.sender, moved.to))
    for argument in every_argument(described):
        if "address" in argument.type:
            yield from _leaves(argument.value)


def _leaves(value: Value) -> Iterator[str]:
    """Address-like texts of an array or tuple."""
    if not isinstance(value, str):
        for item in value:
            yield from _leaves(item)
    elif len(value) == 42 and value.startswith("0x"):
        yield value
