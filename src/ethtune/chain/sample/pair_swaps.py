"""Trades through the routers of Uniswap V2 and SushiSwap: a world in, one draft out.

The order of events is that of real receipts; a hop sends its output before Sync and Swap:

    [WETH Deposit]  in→pair  (pair→next, Sync, Swap) per hop  [WETH Withdrawal]
"""

from __future__ import annotations

from ethtune.chain.sample.encoding import (
    Event,
    call,
    transfer,
    weth_deposit,
    weth_withdrawal,
)
from ethtune.chain.sample.pools import SUSHISWAP_FACTORY, UNISWAP_V2_FACTORY, PairPool
from ethtune.chain.sample.tokens import SampleToken, tokens
from ethtune.chain.sample.transfers import (
    SUSHISWAP_ROUTER,
    UNISWAP_V2_ROUTER,
    transfer_from_events,
)
from ethtune.chain.sample.world import Draft, World

_FACTORY_OF = {UNISWAP_V2_ROUTER: UNISWAP_V2_FACTORY, SUSHISWAP_ROUTER: SUSHISWAP_FACTORY}
_AT_MOST_USD = 20_000
_DIRECT_SHARE = 0.3


def eth_for_tokens(router: str, world: World) -> Draft:
    """Ether for tokens: swapExactETHForTokens."""
    sender, weth, token = world.account(), tokens()["WETH"], _traded(world, router)
    amount = world.wei(at_most_usd=_AT_MOST_USD)
    events = [
        weth_deposit(weth.address, router, amount),
        transfer(weth.address, router, _pair(world, router, weth, token).address, amount),
    ]
    amount_out, hops = _route(world, router, [weth, token], amount, sender)
    calldata = call(
        "swapExactETHForTokens(uint256,address[],address,uint256)",
        world.slipped(amount_out, -1),
        [weth.address, token.address],
        sender,
        world.deadline(),
    )
    return Draft(sender, router, amount, calldata, _gas(world, 1), (*events, *hops))


def tokens_for_eth(router: str, world: World) -> Draft:
    """Tokens for ether: swapExactTokensForETH."""
    sender, weth, token = world.account(), tokens()["WETH"], _traded(world, router)
    amount = world.amount(token, at_most_usd=_AT_MOST_USD)
    pair = _pair(world, router, token, weth).address
    events = transfer_from_events(world, token, (sender, router, pair), amount)
    amount_out, hops = _route(world, router, [token, weth], amount, router)
    withdrawal = weth_withdrawal(weth.address, router, amount_out)
    calldata = call(
        "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
        amount,
        world.slipped(amount_out, -1),
        [token.address, weth.address],
        sender,
        world.deadline(),
    )
    return Draft(sender, router, 0, calldata, _gas(world, 1), (*events, *hops, withdrawal))


def tokens_for_tokens(router: str, world: World) -> Draft:
    """One token for another: swapExactTokensForTokens, over WETH unless one side is WETH itself."""
    sender, weth = world.account(), tokens()["WETH"]
    first, last = _traded(world, router), _traded(world, router)
    is_direct = first == last or world.random.random() < _DIRECT_SHARE
    path = [weth, last] if is_direct else [first, weth, last]
    amount = world.amount(path[0], at_most_usd=_AT_MOST_USD)
    pair = _pair(world, router, path[0], path[1]).address
    events = transfer_from_events(world, path[0], (sender, router, pair), amount)
    amount_out, hops = _route(world, router, path, amount, sender)
    calldata = call(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        amount,
        world.slipped(amount_out, -1),
        [token.address for token in path],
        sender,
        world.deadline(),
    )
    return Draft(sender, router, 0, calldata, _gas(world, len(path) - 1), (*events, *hops))


def _route(
    world: World, router: str, path: list[SampleToken], amount: int, recipient: str
) -> tuple[int, list[Event]]:
    """Swap along the path, its first pair holding the input: the output and the events."""
    events: list[Event] = []
    for place in range(len(path) - 1):
        token_in, token_out = path[place : place + 2]
        pair = _pair(world, router, token_in, token_out)
        is_last = place == len(path) - 2
        to = recipient if is_last else _pair(world, router, token_out, path[place + 2]).address
        swapped = pair.swap(token_in, amount)
        world.pairs[_FACTORY_OF[router], pair.tokens] = swapped.pool
        amount = swapped.amount_out
        events.append(transfer(token_out.address, pair.address, to, amount))
        events.extend(swapped.pool.events(token_in, swapped, router, to))
    return amount, events


def _traded(world: World, router: str) -> SampleToken:
    """A token that the router's exchange pairs with WETH."""
    weth, factory = tokens()["WETH"], _FACTORY_OF[router]
    pools = [pool for (owner, _), pool in world.pairs.items() if owner == factory]
    pool = world.random.choice(pools)
    return pool.token0 if pool.token1 == weth else pool.token1


def _pair(world: World, router: str, first: SampleToken, second: SampleToken) -> PairPool:
    return world.pairs[_FACTORY_OF[router], frozenset((first.address, second.address))]


def _gas(world: World, num_hops: int) -> int:
    return 55_000 + num_hops * 60_000 + world.random.randrange(30_000)
