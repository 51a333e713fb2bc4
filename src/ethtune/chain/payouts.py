"""Ether that well-known contracts pay back to the actor, where no trace was given.

Such a payment is in no log, but some contracts keep nothing: what a router takes out of WETH and
what it does not wrap of the value goes to whom the calldata names. Anything less certain is left
out: unknown forks and bots take fees, pools of ether pay without a log.

A token that sells its own tax through the same router while it moves leaves Withdrawals that are
not the actor's. Those lie inside the outer call, so its own is the last; likewise for Deposits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ethtune.chain.actors import Acting, Call, values_of
from ethtune.chain.flows import ZERO_ADDRESS, Transfer
from ethtune.chain.plans import CALLER, ROUTER, ether_of_pools, steps_of
from ethtune.chain.protocols import WETH, contracts
from ethtune.chain.sales import reported_ether, unwrapped_ether
from ethtune.chain.trades import read_trade
from ethtune.core.described import DescribedTransaction, Value

_BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What the called contract turned into WETH and back, in wei and in order."""

    deposits: list[int]
    withdrawals: list[int]


def ether_payouts(
    acting: Acting, transfers: tuple[Transfer, ...], described: DescribedTransaction
) -> int:
    """Wei that the actor certainly got from contracts."""
    paid = sum(_wrapping(acting.actor, transfers).withdrawals)
    if described.transaction.chain_id != 1:
        return paid
    for call in acting.calls:
        if call.target != WETH:
            paid += _paid(acting.actor, call, transfers, described)
    return paid


def _paid(
    actor: str, call: Call, transfers: tuple[Transfer, ...], described: DescribedTransaction
) -> int:
    contract = contracts().get(str(call.target))
    if contract is None:
        return 0
    told = reported_ether(actor, call, described) + _rent(call, described)
    if told:
        return told
    if contract.role == "universal_router":
        return _universal_router(actor, call, _wrapping(contract.address, transfers), described)
    read = _READERS.get((contract.role, call.function)) or _READERS.get((contract.role, None))
    if read is not None:
        return read(actor, call, _wrapping(contract.address, transfers))
    return unwrapped_ether(actor, call, transfers) if contract.role == "aggregator" else 0


def _wrapping(account: str, transfers: tuple[Transfer, ...]) -> Wrapping:
    weth = [item for item in transfers if item.token == WETH and ZERO_ADDRESS in item[1:3]]
    return Wrapping(
        [item.amount for item in weth if item.to == account],
        [item.amount for item in weth if item.sender == account],
    )


def _pair_router(actor: str, call: Call, wrapping: Wrapping) -> int:
    function = call.function or ""
    if function == "swapETHForExactTokens":
        return _rest(call.value_wei, wrapping.deposits[:1])
    if function == "addLiquidityETH":
        return _rest(call.value_wei, wrapping.deposits[-1:])
    pays_ether = function.startswith((
        "swapExactTokensForETH", "swapTokensForExactETH", "removeLiquidityETH",
    ))  # fmt: skip
    if not pays_ether or call.arguments.get("to") != actor:
        return 0
    return sum(wrapping.withdrawals[-1:])


def _rest(value_wei: int, deposits: list[int]) -> int:
    """Of a value that was offered, what was not wrapped goes back to the caller."""
    return max(0, value_wei - deposits[0]) if deposits else 0


def _multicall(actor: str, call: Call, wrapping: Wrapping) -> int:
    payout, withdrawn = 0, sum(wrapping.withdrawals)
    for step in call.inner:
        values = {argument.name: argument.value for argument in step.arguments}
        name = step.function or ""
        if name.startswith("unwrapWETH9"):
            fee = withdrawn * int(str(values.get("feeBips", "0"))) // _BASIS_POINTS
            is_actor = values.get("recipient", actor) in (actor, CALLER)
            payout += withdrawn - fee if is_actor else 0
            withdrawn = 0
        elif name == "refundETH":
            payout += max(0, call.value_wei - sum(wrapping.deposits))
    return payout


def _universal_router(
    actor: str, call: Call, wrapping: Wrapping, described: DescribedTransaction
) -> int:
    steps = list(steps_of(call.inner))
    pooled = ether_of_pools(steps, described)
    if pooled is None or any(not name for name, _ in steps):
        return 0  # these may take or pay ether that no log shows
    spent = sum(wrapping.deposits) - sum(wei for wei in pooled if wei < 0)
    purse = _Purse(
        actor,
        held=max(0, call.value_wei - spent),
        owed=sum(wei for wei in pooled if wei > 0),
        wrapped=sum(wrapping.withdrawals),
    )
    for name, values in steps:
        purse.take(name, values)
    return max(0, purse.paid)


class _Purse:
    """Ether that a router holds, that pools owe it, and that it paid the actor."""

    def __init__(self, actor: str, *, held: int, owed: int, wrapped: int) -> None:
        self._actor = actor
        self._held, self._owed, self._wrapped = held, owed, wrapped
        self.paid = 0

    def take(self, name: str, values: Mapping[str, Value]) -> None:
        """One step of the plan."""
        recipient = str(values.get("recipient", CALLER))
        if name == "UNWRAP_WETH":
            self._pay(self._wrapped, recipient)
            self._wrapped = 0
        elif values.get("token") != ZERO_ADDRESS:
            return
        elif name == "SWEEP":
            wei, self._held = self._held, 0
            self._pay(wei, recipient)
        elif name == "TRANSFER":
            self._held -= min(self._held, int(str(values["value"])))
        elif name == "PAY_PORTION":
            self._held -= self._held * int(str(values["bips"])) // _BASIS_POINTS
        else:
            self._settle(name, values, recipient)

    def _settle(self, name: str, values: Mapping[str, Value], recipient: str) -> None:
        if name == "TAKE_PORTION":
            self._owed -= self._owed * int(str(values["bips"])) // _BASIS_POINTS
        elif name in ("TAKE", "TAKE_ALL"):
            wei = min(self._owed, int(str(values.get("amount", "0"))) or self._owed)
            self._owed -= wei
            self._pay(wei, recipient)

    def _pay(self, wei: int, recipient: str) -> None:
        if recipient == ROUTER:
            self._held += wei
        elif recipient in (self._actor, CALLER):
            self.paid += wei


def _gateway(actor: str, call: Call, wrapping: Wrapping) -> int:
    return sum(wrapping.withdrawals) if call.arguments.get("to") == actor else 0


def _sale(actor: str, call: Call, wrapping: Wrapping) -> int:
    """Aggregators that sell along given pools and pass everything on."""
    is_own = read_trade(call).payee in (actor, None)
    return sum(wrapping.withdrawals[-1:]) if is_own else 0


def _pool(actor: str, call: Call, wrapping: Wrapping) -> int:
    """What keeps ether for its users gives back what they ask for."""
    return call.number("amount") if call.arguments.keys() == {"amount"} else 0


def _rent(call: Call, described: DescribedTransaction) -> int:
    """ENS reports what it kept of the value; the rest went back."""
    payout = 0
    for event in described.events:
        if event.address == call.target and event.name in ("NameRegistered", "NameRenewed"):
            values = values_of(event.arguments)
            costs = (values.get(name, "0") for name in ("cost", "baseCost", "premium"))
            payout += max(0, call.value_wei - sum(int(str(cost)) for cost in costs))
    return payout


_Reader = Callable[[str, Call, Wrapping], int]
_READERS: Mapping[tuple[str, str | None], _Reader] = {
    ("router", "multicall"): _multicall,
    ("positions", "multicall"): _multicall,
    ("router", None): _pair_router,
    ("lending_gateway", "withdrawETH"): _gateway,
    ("ether_pool", "withdraw"): _pool,
    ("aggregator", "unoswap"): _sale,
    ("aggregator", "unoswapWithPermit"): _sale,
    ("aggregator", "uniswapV3Swap"): _sale,
    ("aggregator", "sellToUniswap"): _sale,
    ("aggregator", "sellTokenForEthToUniswapV3"): _sale,
    ("aggregator", "swapExactTokensForETHSupportingFeeOnTransferTokens"): _pair_router,
}
