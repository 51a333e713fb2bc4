"""Transfers, allowances and wrapping: a world in, one draft out."""

from __future__ import annotations

from ethtune.chain.sample.encoding import (
    Event,
    approval,
    call,
    transfer,
    weth_deposit,
    weth_withdrawal,
)
from ethtune.chain.sample.tokens import SampleToken, tokens
from ethtune.chain.sample.world import Draft, World
from ethtune.core.transaction import UINT256_MAX

UNISWAP_V2_ROUTER = "0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
SUSHISWAP_ROUTER = "0xd9e1ce17f2641f24ae83637ab66a2cca9c378b9f"
UNISWAP_V3_ROUTER = "0xe592427a0aece92de3edee1f18e0157c05861564"
UNISWAP_V3_ROUTER_02 = "0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45"
_SPENDERS = (UNISWAP_V2_ROUTER, SUSHISWAP_ROUTER, UNISWAP_V3_ROUTER, UNISWAP_V3_ROUTER_02)


def eth_transfer(world: World) -> Draft:
    """Ether without calldata."""
    return Draft(world.account(), world.recipient(), world.wei(), "0x", 21_000)


def erc20_transfer(world: World) -> Draft:
    """transfer(to, amount)."""
    sender, to, token = world.account(), world.recipient(), world.token()
    amount = world.amount(token)
    calldata = call("transfer(address,uint256)", to, amount)
    gas = world.random.randrange(34_000, 65_000)
    event = transfer(token.address, sender, to, amount)
    return Draft(sender, token.address, 0, calldata, gas, (event,))


def erc20_transfer_from(world: World) -> Draft:
    """transferFrom(from, to, amount) by someone with an allowance."""
    sender, owner, token = world.account(), world.address(), world.token()
    to = sender if world.random.random() < 0.5 else world.recipient()
    amount = world.amount(token)
    calldata = call("transferFrom(address,address,uint256)", owner, to, amount)
    events = transfer_from_events(world, token, (owner, sender, to), amount)
    gas = world.random.randrange(45_000, 80_000)
    return Draft(sender, token.address, 0, calldata, gas, tuple(events))


def transfer_from_events(
    world: World, token: SampleToken, parties: tuple[str, str, str], amount: int
) -> list[Event]:
    """What transferFrom logs; ``parties`` are owner, spender and recipient."""
    owner, spender, to = parties
    events = [transfer(token.address, owner, to, amount)]
    if token.approves_after:
        remaining = UINT256_MAX - amount - world.amount(token)
        events.append(approval(token.address, owner, spender, remaining))
    return events


def approve_unlimited(world: World) -> Draft:
    """The allowance that most applications ask for."""
    return _approve(world, world.token(), UINT256_MAX)


def approve_exact(world: World) -> Draft:
    """An allowance for one purchase."""
    token = world.token()
    return _approve(world, token, world.amount(token))


def revoke_approval(world: World) -> Draft:
    """An allowance of nothing."""
    return _approve(world, world.token(), 0)


def _approve(world: World, token: SampleToken, amount: int) -> Draft:
    sender = world.account()
    is_known = world.random.random() < 0.6
    spender = world.random.choice(_SPENDERS) if is_known else world.address()
    calldata = call("approve(address,uint256)", spender, amount)
    gas = world.random.randrange(26_000, 56_000)
    event = approval(token.address, sender, spender, amount)
    return Draft(sender, token.address, 0, calldata, gas, (event,))


def wrap(world: World) -> Draft:
    """Ether into WETH, by deposit() or by plain payment."""
    sender, weth, amount = world.account(), tokens()["WETH"].address, world.wei()
    calldata = "0x" if world.random.random() < 0.1 else call("deposit()")
    gas = world.random.randrange(27_000, 46_000)
    return Draft(sender, weth, amount, calldata, gas, (weth_deposit(weth, sender, amount),))


def unwrap(world: World) -> Draft:
    """WETH into ether."""
    sender, weth, amount = world.account(), tokens()["WETH"].address, world.wei()
    calldata = call("withdraw(uint256)", amount)
    gas = world.random.randrange(30_000, 36_000)
    return Draft(sender, weth, 0, calldata, gas, (weth_withdrawal(weth, sender, amount),))
