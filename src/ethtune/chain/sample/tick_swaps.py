"""Trades through the two routers of Uniswap V3: a world in, one draft out.

The order of events is that of real receipts: the pool pays out first, then calls the router back
for the input, and logs its Swap last:

    pool→recipient  [WETH Deposit]  in→pool  Swap
"""

from __future__ import annotations

from ethtune.chain.sample.encoding import call, transfer, weth_deposit
from ethtune.chain.sample.pools import Swapped, TickPool
from ethtune.chain.sample.tokens import SampleToken, tokens
from ethtune.chain.sample.transfers import (
    UNISWAP_V3_ROUTER,
    UNISWAP_V3_ROUTER_02,
    transfer_from_events,
)
from ethtune.chain.sample.world import Draft, World

_AT_MOST_USD = 100_000
_FIRST_ROUTER_SHARE = 0.4


def exact_input(world: World) -> Draft:
    """Sell exactly so much: exactInputSingle with a token that the sender holds."""
    pool = _pool(world)
    token_in, token_out = world.random.sample((pool.token0, pool.token1), 2)
    amount = world.amount(token_in, at_most_usd=_AT_MOST_USD)
    swapped = pool.swap(token_in, amount)
    bounds = (amount, world.slipped(swapped.amount_out, -1))
    return _draft(world, "exactInputSingle", (token_in, token_out), swapped, bounds)


def exact_input_of_ether(world: World) -> Draft:
    """Sell the ether sent along: exactInputSingle that the router feeds from it."""
    weth = tokens()["WETH"]
    pool = _pool(world, holding=weth)
    token_out = pool.token0 if pool.token1 == weth else pool.token1
    amount = world.wei(at_most_usd=_AT_MOST_USD)
    swapped = pool.swap(weth, amount)
    bounds = (amount, world.slipped(swapped.amount_out, -1))
    return _draft(world, "exactInputSingle", (weth, token_out), swapped, bounds, value_wei=amount)


def exact_output(world: World) -> Draft:
    """Buy exactly so much: exactOutputSingle with a token that the sender holds."""
    pool = _pool(world)
    token_in, token_out = world.random.sample((pool.token0, pool.token1), 2)
    amount = world.amount(token_out, at_most_usd=_AT_MOST_USD)
    swapped = pool.swap_for(token_in, amount)
    bounds = (amount, world.slipped(swapped.amount_in, 1))
    return _draft(world, "exactOutputSingle", (token_in, token_out), swapped, bounds)


def _draft(
    world: World,
    function: str,
    path: tuple[SampleToken, SampleToken],
    swapped: Swapped[TickPool],
    bounds: tuple[int, int],
    *,
    value_wei: int = 0,
) -> Draft:
    """``bounds`` are the exact amount and the limit of the other one, as both calls order them."""
    token_in, token_out = path
    sender, pool = world.account(), swapped.pool
    is_first = world.random.random() < _FIRST_ROUTER_SHARE
    router = UNISWAP_V3_ROUTER if is_first else UNISWAP_V3_ROUTER_02
    deadline = (world.deadline(),) if is_first else ()
    types = ("address", "address", "uint24", "address") + ("uint256",) * (2 + len(deadline))
    arguments = (token_in.address, token_out.address, pool.fee, sender, *deadline, *bounds, 0)
    calldata = call(f"{function}(({','.join(types)},uint160))", arguments)
    if value_wei:
        paid = [
            weth_deposit(token_in.address, router, swapped.amount_in),
            transfer(token_in.address, router, pool.address, swapped.amount_in),
        ]
    else:
        parties = (sender, router, pool.address)
        paid = transfer_from_events(world, token_in, parties, swapped.amount_in)
    events = (
        transfer(token_out.address, pool.address, sender, swapped.amount_out),
        *paid,
        *pool.events(token_in, swapped, router, sender),
    )
    world.tick_pools[pool.address] = pool
    return Draft(sender, router, value_wei, calldata, _gas(world), events)


def _pool(world: World, *, holding: SampleToken | None = None) -> TickPool:
    pools = [
        pool
        for pool in world.tick_pools.values()
        if holding is None or holding in (pool.token0, pool.token1)
    ]
    return world.random.choice(pools)


def _gas(world: World) -> int:
    return 100_000 + world.random.randrange(60_000)
