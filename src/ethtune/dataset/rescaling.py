"""A described transaction in, other amounts for it out, which add up as the old ones did.

All amounts are multiples of their greatest common divisor. Another divisor of as many digits keeps
every sum and ratio exact: a payment of 1.5 ETH becomes one of 4.2, a swap of 1.5 ETH for 1,203 USDC
one of 4.5 ETH for 3,609.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from random import Random

from ethtune.core.described import DescribedTransaction
from ethtune.dataset.amounts import is_amount
from ethtune.dataset.rewriting import every_argument

_LEAST = 1 << 20  # below, a number may as well be an offset, a length or a count of NFTs
_BEYOND = 1 << 120  # above, it is a bound without meaning; ten times it must fit as well


def new_amounts(described: DescribedTransaction, rng: Random) -> dict[int, int]:
    """Old to new; empty where an amount is too small to be told from other numbers."""
    amounts = {amount for amount in amounts_of(described) if 0 < amount < _BEYOND}
    if not amounts or min(amounts) < _LEAST:
        return {}
    divisor = gcd(*amounts)
    mantissa = str(divisor).rstrip("0")
    drawn = rng.randrange(10 ** (len(mantissa) - 1), 10 ** len(mantissa))
    new = drawn * 10 ** (len(str(divisor)) - len(mantissa))
    return {amount: amount // divisor * new for amount in amounts} if new != divisor else {}


def amounts_of(described: DescribedTransaction) -> Iterator[int]:
    """What is counted in the call and the events, and the ether that moves; bounds as well."""
    transaction = described.transaction
    yield transaction.value_wei
    for moved in transaction.internal_transfers or ():
        yield moved.value_wei
    for argument in every_argument(described):
        if is_amount(argument):
            yield int(str(argument.value))
