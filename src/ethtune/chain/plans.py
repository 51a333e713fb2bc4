"""A router's plan in, its steps out, and what its swaps in Uniswap V4 did with ether.

Pools of V4 hold ether itself, and one contract keeps them all: no transfer shows what a swap paid,
only the pool's own report, found by the pool's number, the hash of what tells it from others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from eth_hash.auto import keccak

from ethtune.chain.actors import values_of
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.core.described import DecodedCall, DescribedTransaction, Value

CALLER = "0x0000000000000000000000000000000000000001"  # in Uniswap's routers: who called
ROUTER = "0x0000000000000000000000000000000000000002"  # in Uniswap's routers: the router itself

Step = tuple[str, Mapping[str, Value]]
_PoolKey = tuple[str, str, str, str, str]  # two currencies in order, fee, tick spacing, hooks

_PLANS = frozenset({"V4_SWAP", "V4_ACTIONS", "EXECUTE_SUB_PLAN", "modifyLiquidities", "multicall"})
_WORD_BITS = 256


def steps_of(calls: Iterable[DecodedCall]) -> Iterator[Step]:
    """Calls by name with their values, those of nested plans in the place of the plan."""
    for call in calls:
        if call.function in _PLANS and call.calls:
            yield from steps_of(call.calls)
        else:
            yield call.function or "", values_of(call.arguments)


def ether_of_pools(steps: Iterable[Step], described: DescribedTransaction) -> list[int] | None:
    """Wei that the plan's pools paid, negative what they took; None where that is not sure."""
    keys = [key for _, values in steps for key in _pools(values) if key[0] == ZERO_ADDRESS]
    if not keys:
        return []
    if any(hooks != ZERO_ADDRESS for *_, hooks in keys):
        return None  # foreign code may have moved more
    numbers = {_pool_id(key) for key in keys}
    found = [
        (str(values["id"]), int(str(values["amount0"])))
        for event in described.events
        if event.name == "Swap" and "id" in (values := values_of(event.arguments))
    ]
    if not numbers <= {number for number, _ in found}:
        return None
    return [amount for number, amount in found if number in numbers]


def _pools(values: Mapping[str, Value]) -> Iterator[_PoolKey]:
    """Pools that a swap goes through."""
    if "zeroForOne" in values:
        one, other, fee, spacing, hooks = map(str, values["poolKey"])
        yield one, other, fee, spacing, hooks
    elif "currencyIn" in values:
        yield from _path(str(values["currencyIn"]), values["path"])
    elif "currencyOut" in values:
        yield from _path(str(values["currencyOut"]), values["path"][::-1])


def _path(currency: str, path: Iterable[Value]) -> Iterator[_PoolKey]:
    for step in path:
        following, fee, spacing, hooks = map(str, step[:4])
        one, other = sorted((currency, following))
        yield one, other, fee, spacing, hooks
        currency = following


def _pool_id(key: _PoolKey) -> str:
    one, other, fee, spacing, hooks = key
    words = (int(one, 16), int(other, 16), int(fee), int(spacing), int(hooks, 16))
    digits = "".join(f"{word % (1 << _WORD_BITS):064x}" for word in words)
    return "0x" + keccak(bytes.fromhex(digits)).hex()
